"""Carrying scenarios out: load and faults side by side, then quiet, then the account."""

import asyncio
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from activation_cli.client import connect, key_header
from activation_cli.exits import CommandError, Exit
from activation_cli.patience import Patience
from activation_cli.side_by_side import together
from activation_cli.verify.accountant import Account, Finding, Verdict
from activation_cli.verify.evidence import Evidence
from activation_cli.verify.latency import Span
from activation_cli.verify.load import Load
from activation_cli.verify.mock_handler import MockHandler
from activation_cli.verify.release import Installation, Release
from activation_cli.verify.report import Result
from activation_cli.verify.scenarios import Scenario
from activation_cli.verify.schedule import PlannedFault, Schedule, draw_schedule
from activation_cli.verify.screen import Stage
from activation_cli.verify.servers import Servers
from activation_cli.verify.system import System, running_system

_CALL_S: Final = 10.0
_FAULT_S: Final = 120.0  # for a fault beyond what it means to take, such as a slow start
_CLUSTER_FAULT_S: Final = 400.0  # pods are scheduled, started and drained
_WITHOUT_LEDGER: Final = (
    "duplicates could not be checked: without --ledger nobody has looked at what the handler saw, "
    "whether a device was activated twice, tasks of a device overlapped, or the store says other "
    "than the handler answered"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How scenarios are carried out.

    Attributes:
        seed: Decides all that is left to chance.
        run: Begins serial numbers and keys, so that runs do not meet; letters and digits.
        rate: Requests a second.
        duration_s: How long requests are sent; None for one round of the scenario.
        quiet_s: The most that the last tasks may take to end.
        outage_s: How long an outage lasts.
        postgres: Whether the store is PostgreSQL also where SQLite would do.
    """

    seed: int
    run: str
    rate: float = 20.0
    duration_s: float | None = None
    quiet_s: float = 60.0
    outage_s: float = 5.0
    postgres: bool = False

    def schedule(self, scenario: Scenario) -> Schedule:
        """Draw the schedule of a scenario."""
        return draw_schedule(
            scenario,
            seed=self.seed,
            run=self.run,
            duration_s=self.duration_s or scenario.round_s,
            rate=self.rate,
        )


async def verify_locally(
    scenario: Scenario, plan: Plan, folder: Path, servers: Servers, stage: Stage
) -> Result:
    """Carry a scenario out on a system of its own.

    Raises:
        StartError: A part of the system cannot be started.
        CommandError: The gateways stay out of reach at the end.
    """
    started = time.monotonic()
    schedule = plan.schedule(scenario)
    settings = {"handler_seconds": scenario.handler_s, **scenario.settings}
    name = f"{scenario.name}-{plan.run}".lower()
    async with (
        _client() as http,
        running_system(
            name,
            folder,
            servers,
            postgres=plan.postgres or scenario.needs_postgres,
            http=http,
            outage_s=plan.outage_s,
            settings=settings,
            stepped_clocks=scenario.stepped_clocks,
        ) as system,
    ):
        load = Load(http, system.addresses, stage.posted)
        spans: list[Span] = []
        begun_at = asyncio.get_running_loop().time()
        await together(
            load.run(schedule.requests), _strike(system, schedule.faults, spans, stage, begun_at)
        )
        await system.wait_ready()
        async with connect(system.gateway_url, timeout_s=_CALL_S) as gateway:
            evidence = Evidence(
                gateway, Patience(stage.note), system.mock, devices=None, tell=stage.unfinished
            )
            account = await evidence.gather(load.posts, limit_s=plan.quiet_s)
        findings = [*_judge(account, scenario), *_fallen(system)]
    took_s = time.monotonic() - started
    return Result(scenario, plan.seed, account, findings, spans, begun_at, took_s, logs=folder)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a running installation is.

    Attributes:
        url: Of its gateways.
        ledger_url: Of the mock handler; None where another one is called.
        release: What is broken; None if nothing may be.
    """

    url: str
    ledger_url: str | None
    api_key: str | None = field(default=None, repr=False)
    release: Release | None = None


async def verify_installation(
    site: Site, scenario: Scenario, plan: Plan, stage: Stage, *, unchecked: Sequence[str] = ()
) -> Result:
    """Drive a running installation, carry out a scenario, and account for our own requests.

    Raises:
        CommandError: The gateway stays out of reach, the ledger is none, or a fault of the
            scenario cannot be carried out.
    """
    started = time.monotonic()
    schedule = plan.schedule(scenario)
    headers = key_header(site.api_key)
    async with (
        _client() as http,
        connect(site.url, timeout_s=_CALL_S, api_key=site.api_key) as gateway,
    ):
        await gateway.status()  # a wrong address is better told before than after
        mock = MockHandler(http, site.ledger_url) if site.ledger_url else None
        load = Load(http, lambda: [site.url.rstrip("/")], stage.posted, headers=headers)
        spans: list[Span] = []
        begun_at = asyncio.get_running_loop().time()
        works = [load.run(schedule.requests)]
        if site.release is not None:
            if mock is not None:
                await _set_pace(mock, schedule.devices, scenario.handler_s)
            installation = Installation(site.release, gateway)
            works.append(
                _strike(
                    installation, schedule.faults, spans, stage, begun_at, limit_s=_CLUSTER_FAULT_S
                )
            )
        await together(*works)
        evidence = Evidence(
            gateway,
            Patience(stage.note),
            mock,
            devices=sorted({request.equipment for request in schedule.requests}),
            tell=stage.unfinished,
        )
        account = await evidence.gather(load.posts, limit_s=plan.quiet_s)
    # How a handler of one's own takes invented devices is not for us to say.
    promising = mock is not None and site.release is not None
    return Result(
        scenario,
        plan.seed,
        account,
        list(_judge(account, scenario)) if promising else account.findings(),
        spans=spans,
        begun_at=begun_at,
        took_s=time.monotonic() - started,
        unchecked=(*unchecked, *(() if mock else (_WITHOUT_LEDGER,))),
    )


async def _set_pace(mock: MockHandler, devices: Sequence[str], handler_s: float) -> None:
    """Have our devices, and no others, take so long: the mock's own pace may be a minute."""
    try:
        for device in devices:
            step = {"do": "answer", "latency_s": handler_s, "times": None}
            await mock.play(step, device=device)
    except httpx.HTTPError as error:
        raise CommandError(
            f"the mock handler cannot be told what to do: {error}", Exit.UNREACHABLE
        ) from error


async def _strike(
    system: System | Installation,
    planned: Sequence[PlannedFault],
    spans: list[Span],
    stage: Stage,
    begun_at: float,
    *,
    limit_s: float = _FAULT_S,
) -> None:
    """Carry the faults out, each at its time, and note when they were."""
    now = asyncio.get_running_loop().time

    async def strike(one: PlannedFault) -> None:
        await asyncio.sleep(begun_at + one.at_s - now())
        begin_s = now() - begun_at
        stage.struck(one.fault.name)
        chance = random.Random(one.seed)  # noqa: S311  # no secret depends on it
        async with asyncio.timeout(limit_s):
            await one.fault.strike(system, chance)
        stage.mended(one.fault.name)
        spans.append(Span(one.fault.name, begin_s, now() - begun_at))

    await together(*map(strike, planned))


def _judge(account: Account, scenario: Scenario) -> Iterable[Finding]:
    yield from account.findings()
    for promise in scenario.promises:
        yield from promise(account)


def _fallen(system: System) -> Iterable[Finding]:
    for said in system.fallen():
        yield Finding(Verdict.UNMET, "a service ended by itself", said)


def _client() -> httpx.AsyncClient:
    """Return a client for many connections at once; the environment's proxies are not ours."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    return httpx.AsyncClient(timeout=_CALL_S, limits=limits, trust_env=False)
