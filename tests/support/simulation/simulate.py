"""One simulation: a seed decides everything, so the same seed is the same story."""

import asyncio
import gc
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import structlog

from tests.support.simulation.accountant import Accountant, at_rest
from tests.support.simulation.clients import Clients
from tests.support.simulation.faults import Chaos, Schedule, draw_schedule
from tests.support.simulation.fleet import Fleet
from tests.support.simulation.journal import Journal
from tests.support.simulation.loop import SimulatedLoop

_LIMIT_S: Final = 600.0  # of virtual time: everything has long come to rest
_LAST_STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class Report:
    """How a simulation went.

    Attributes:
        findings: What must not be; empty if all is well.
        steps: How many callbacks ran.
    """

    seed: int
    schedule: Schedule
    findings: list[str]
    journal: Journal
    steps: int

    def __str__(self) -> str:
        return "\n".join(
            [
                f"seed {self.seed} breaks a promise:",
                *(f"  - {finding}" for finding in self.findings),
                "",
                f"Replay: SEED={self.seed} uv run pytest tests/simulation -k promises",
                "",
                "What went wrong on purpose:",
                str(self.schedule),
                "",
                "The last steps:",
                *self.journal.lines(_LAST_STEPS),
            ]
        )


def simulate(seed: int) -> Report:
    """Run the system through the faults of a seed, and account for everything."""
    random = Random(seed)  # noqa: S311  # no secret
    schedule = draw_schedule(random)
    loop = SimulatedLoop(random)  # type: ignore[abstract]  # what nobody asks of it
    with _logged_errors() as errors, _no_collector():
        findings, journal, steps = loop.run(_tell(loop, random, schedule))
    return Report(seed, schedule, [*findings, *errors], journal, steps)


async def _tell(
    loop: SimulatedLoop, random: Random, schedule: Schedule
) -> tuple[list[str], Journal, int]:
    fleet = Fleet(loop, random)
    clients, chaos = Clients(fleet), Chaos(fleet, schedule)
    restless = []
    try:
        async with asyncio.timeout(_LIMIT_S):
            async with asyncio.TaskGroup() as group:
                group.create_task(chaos.run())
                group.create_task(clients.run())
            while not at_rest(fleet):  # noqa: ASYNC110  # looking costs no real time
                await asyncio.sleep(1.0)
    except TimeoutError:
        restless = [f"no rest after {_LIMIT_S:g} s"]
    findings = Accountant(fleet, clients, chaos).findings()
    return [*restless, *findings], fleet.journal, loop.steps


@contextmanager
def _no_collector() -> Iterator[None]:
    """Let no finaliser run at a moment that the seed has not drawn."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _logged_errors() -> Iterator[list[str]]:
    """Collect what the services log as a bug of their own."""
    errors: list[str] = []

    def collect(_: Any, __: str, event: MutableMapping[str, Any]) -> Any:
        if event["event"] == "delivery_failed":
            errors.append(f"logged: {event}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, collect],
        wrapper_class=structlog.make_filtering_bound_logger(40),
    )
    try:
        yield errors
    finally:
        structlog.configure(**before)
