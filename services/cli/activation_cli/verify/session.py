"""One call of `activation verify`: what was ordered is checked, carried out and reported."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import typer

from activation.errors import ActivationError
from activation_cli.exits import CommandError, Exit
from activation_cli.interruption import end_like_ctrl_c
from activation_cli.verify import screen
from activation_cli.verify.cluster import find_obstacles, find_release, reached
from activation_cli.verify.lanes import count_lanes, verify_in_lanes
from activation_cli.verify.page import page
from activation_cli.verify.release import Release
from activation_cli.verify.report import Result, broken_off, document, write
from activation_cli.verify.run import Plan, Site, verify_installation, verify_locally
from activation_cli.verify.scenarios import CALM, IN_CLUSTER, SCENARIOS, Scenario
from activation_cli.verify.screen import Stage
from activation_cli.verify.servers import Servers


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line says; see its help."""

    local: bool
    kubernetes: bool
    namespace: str | None
    release: str
    agreed: bool
    url: str | None
    ledger_url: str | None
    scenarios: Sequence[str]
    every: bool
    seed: int
    run: str
    duration_s: float | None
    rate: float
    quiet_s: float
    outage_s: float
    postgres: bool
    jobs: int | None
    report: Path | None
    as_json: bool
    api_key: str | None = field(default=None, repr=False)

    def chosen(self) -> list[Scenario]:
        """Return the scenarios that are asked for.

        Raises:
            CommandError: The order contradicts itself, or names what there is not.
        """
        known = IN_CLUSTER if self.kubernetes else SCENARIOS
        unknown = [name for name in self.scenarios if name not in known]
        if unknown:
            raise _usage(f"there is no scenario {unknown[0]!r} here: `activation verify --list`")
        if self.kubernetes and (self.local or self.postgres or self.jobs):
            raise _usage("--kubernetes has no use for --local, --postgres and --jobs")
        if not self.kubernetes:
            if self.local == (self.url is not None):
                raise _usage(
                    "say either --local or --url of an installation that may be tried out, or "
                    "--kubernetes"
                )
            if self.namespace is not None or self.agreed:
                raise _usage("--namespace and --yes go with --kubernetes")
            if self.url is not None:
                if self.every or self.scenarios or self.postgres or self.jobs:
                    raise _usage("--url breaks nothing: scenarios, --postgres, --jobs need --local")
                return [CALM]
            if self.ledger_url is not None:
                raise _usage("--ledger goes with --url: a local system has its own")
        if self.every == bool(self.scenarios):
            raise _usage("say either --scenario NAME, as often as you like, or --all")
        return list(known.values()) if self.every else [known[name] for name in self.scenarios]

    def lanes(self, scenarios: int) -> int:
        """Return how many scenarios go on at a time on this machine; errors as `count_lanes`."""
        return count_lanes(self.jobs, scenarios=scenarios, cpus=len(os.sched_getaffinity(0)))

    def plan(self, number: int) -> Plan:
        """Return how the scenario of this number is carried out."""
        return Plan(
            seed=self.seed,
            run=f"{self.run}{number:02}X",
            rate=self.rate,
            duration_s=self.duration_s,
            quiet_s=self.quiet_s,
            outage_s=self.outage_s,
            postgres=self.postgres,
        )


def list_scenarios() -> None:
    """Print the scenarios."""
    screen.show_list("--local", SCENARIOS.values())
    screen.show_list("--kubernetes", IN_CLUSTER.values())


def carry_out(order: Order) -> Exit:
    """Carry an order out, and report.

    Raises:
        CommandError: It cannot be carried out.
    """
    chosen = order.chosen()
    lanes = order.lanes(len(chosen))
    if order.local or order.kubernetes:
        end_like_ctrl_c()  # what was started is stopped, and what was changed is put back
    show = screen.Screen()
    show.say(f"seed {order.seed}")
    run_at = datetime.now(UTC)
    try:
        if order.kubernetes:
            release = asyncio.run(find_release(order.namespace, order.release))
            _agree(release, order)
            works = _in_cluster(chosen, release, order, show)
        else:
            works = _locally(chosen, lanes, order, show) if order.local else _installed(order, show)
        results = asyncio.run(works)
    except ActivationError as error:
        raise CommandError(str(error), Exit.FAILED) from error
    report = document(results, run_at)
    if order.report is not None:
        _write(report, results, order.report)
        show.say(f"report: {order.report / 'report.html'}")
    if order.as_json:
        print(json.dumps(report))
    else:
        screen.show_report(results)
    return Exit.DONE if report["passed"] else Exit.FAILED


async def _locally(
    chosen: Sequence[Scenario], lanes: int, order: Order, show: screen.Screen
) -> list[Result]:
    """Carry scenarios out on systems of their own; the logs stay where one has failed."""
    folder = _folder()
    numbers = count(1)
    results: list[Result] = []

    async def verify(
        number: int, scenario: Scenario, logs: Path, servers: Servers, stage: Stage
    ) -> Result:
        return await verify_locally(scenario, order.plan(number), logs, servers, stage)

    try:
        results = await verify_in_lanes(
            chosen,
            lanes,
            lambda: Servers(folder / f"servers-{next(numbers)}"),
            verify,
            seed=order.seed,
            logs=folder,
            show=show,
        )
    finally:
        if results and all(result.passed for result in results):
            shutil.rmtree(folder)
        else:
            show.say(f"the logs are kept in {folder}")
    return results


async def _installed(order: Order, show: screen.Screen) -> list[Result]:
    site = Site(order.url or "", order.ledger_url, order.api_key)
    with show.stage(CALM) as stage:
        result = await verify_installation(site, CALM, order.plan(0), stage)
    show.ended(result)
    return [result]


async def _in_cluster(
    chosen: Sequence[Scenario], release: Release, order: Order, show: screen.Screen
) -> list[Result]:
    """Carry scenarios out one after the other on a release, all that can be."""
    results: list[Result] = []
    async with reached(release, order.url, order.ledger_url, order.api_key) as site:
        obstacles = await find_obstacles(release, chosen)
        left_out = [f"{name}: {why}" for name, why in obstacles.items()]
        if left_out and not order.every:
            raise _usage(f"cannot be done here: {left_out[0]}")
        for number, scenario in enumerate(chosen):
            if scenario.name in obstacles:
                continue
            with show.stage(scenario) as stage:
                try:
                    result = await verify_installation(
                        site, scenario, order.plan(number), stage, unchecked=left_out
                    )
                except Exception as error:  # noqa: BLE001  # the report tells of it
                    result = broken_off(scenario, order.seed, error)
            show.ended(result)
            results.append(result)
    return results


def _agree(release: Release, order: Order) -> None:
    """Have the person agree to what is done to the cluster."""
    kubectl = release.kubectl
    where = f"release {release.name!r} in {kubectl.namespace!r} of the context {kubectl.context!r}"
    if order.agreed:
        typer.echo(f"breaking {where}", err=True)
        return
    question = f"Invented devices are activated and pods are deleted: {where}. Go on?"
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise _usage(f"nobody agreed to break {where}: say --yes") from None
    if not agreed:
        raise _usage("nothing was done")


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="activation-verify-"))
    folder.chmod(0o755)  # PostgreSQL runs as somebody else where we are root
    return folder


def _write(report: dict[str, object], results: Sequence[Result], folder: Path) -> None:
    try:
        write(report, screen.text_report(results), page(report), folder)
    except OSError as error:
        raise _usage(f"cannot write to {folder}: {error.strerror}") from error


def _usage(message: str) -> CommandError:
    return CommandError(message, Exit.USAGE)
