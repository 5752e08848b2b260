"""One call of `activation verify`: what was ordered is checked, carried out and reported."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from activation.errors import ActivationError
from activation_cli.exits import CommandError, Exit
from activation_cli.verify import screen
from activation_cli.verify.page import page
from activation_cli.verify.report import Result, broken_off, document, write
from activation_cli.verify.run import Plan, verify_installation, verify_locally
from activation_cli.verify.scenarios import CALM, SCENARIOS, Scenario
from activation_cli.verify.servers import Servers


@dataclass(frozen=True, slots=True)
class Order:
    """What the command line says; see its help."""

    local: bool
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
    report: Path | None
    as_json: bool
    api_key: str | None = field(default=None, repr=False)

    def chosen(self) -> list[Scenario]:
        """Return the scenarios that are asked for.

        Raises:
            CommandError: The order contradicts itself, or names what there is not.
        """
        unknown = [name for name in self.scenarios if name not in SCENARIOS]
        if unknown:
            raise _usage(f"there is no scenario {unknown[0]!r}: `activation verify --list`")
        if self.local == (self.url is not None):
            raise _usage("say either --local or --url of an installation that may be tried out")
        if self.url is not None:
            if self.every or self.scenarios or self.postgres:
                raise _usage("--url breaks nothing: scenarios and --postgres need --local")
            return [CALM]
        if self.ledger_url is not None:
            raise _usage("--ledger goes with --url: a local system has its own")
        if self.every == bool(self.scenarios):
            raise _usage("say either --scenario NAME, as often as you like, or --all")
        return list(SCENARIOS.values()) if self.every else [SCENARIOS[n] for n in self.scenarios]

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
    screen.show_list(SCENARIOS.values())


def carry_out(order: Order) -> Exit:
    """Carry an order out, and report.

    Raises:
        CommandError: It cannot be carried out.
    """
    chosen = order.chosen()
    show = screen.Screen()
    show.say(f"seed {order.seed}")
    run_at = datetime.now(UTC)
    try:
        results = asyncio.run(
            _locally(chosen, order, show) if order.local else _installed(order, show)
        )
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


async def _locally(chosen: Sequence[Scenario], order: Order, show: screen.Screen) -> list[Result]:
    """Carry scenarios out one after the other; the logs stay where one has failed."""
    folder = _folder()
    servers = Servers(folder)
    results: list[Result] = []
    try:
        await servers.broker()  # without it no scenario can begin
        for number, scenario in enumerate(chosen):
            plan = order.plan(number)
            own = folder / scenario.name
            with show.stage(scenario) as stage:
                try:
                    result = await verify_locally(scenario, plan, own, servers, stage)
                except (ActivationError, CommandError, TimeoutError) as error:
                    result = broken_off(scenario, order.seed, error, logs=own)
            show.ended(result)
            results.append(result)
    finally:
        await asyncio.to_thread(servers.stop)
        if len(results) == len(chosen) and all(result.passed for result in results):
            shutil.rmtree(folder)
        else:
            show.say(f"the logs are kept in {folder}")
    return results


async def _installed(order: Order, show: screen.Screen) -> list[Result]:
    url = order.url or ""
    with show.stage(CALM) as stage:
        result = await verify_installation(
            url, order.ledger_url, order.plan(0), stage, api_key=order.api_key
        )
    show.ended(result)
    return [result]


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
