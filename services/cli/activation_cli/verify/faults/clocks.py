"""Faults of the clocks of single processes."""

import asyncio
import random
import time
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from activation_cli.exits import CommandError, Exit
from activation_cli.verify.faults.fault import Fault
from activation_cli.verify.faults.processes import Kind
from activation_cli.verify.system import System

_LOOK_EVERY_S: Final = 0.2
_STEPPED_S: Final = 15.0  # for a process to see that its clock was set
_TOLERANCE_S: Final = 60.0


def clock_stepped(kind: Kind, *, by_s: int, for_s: float) -> Fault:
    """Step the clock of one forward, then as far back from the right time, and set it right."""

    async def strike(system: System, chance: random.Random) -> None:
        victim = system.of(kind)[chance.randrange(2)]
        try:
            for off_s in (by_s, -by_s):
                system.set_clock(victim, by_s=off_s)
                await _wait_stepped(victim.ready_url, off_s)
                await asyncio.sleep(for_s)
        finally:
            system.set_clock(victim, by_s=0)

    return Fault(f"the clock of a {kind} is stepped", strike)


async def _wait_stepped(url: str, off_s: int) -> None:
    """Wait until a service says itself, in the `Date` of its answers, how late it is.

    Raises:
        CommandError: It does not: then nothing was struck.
    """
    try:
        async with asyncio.timeout(_STEPPED_S), httpx.AsyncClient(trust_env=False) as http:
            while True:
                answer = await http.get(url)
                said = parsedate_to_datetime(answer.headers["date"]).timestamp()
                if abs(said - time.time() - off_s) < _TOLERANCE_S:
                    return
                await asyncio.sleep(_LOOK_EVERY_S)
    except (TimeoutError, httpx.HTTPError) as error:
        raise CommandError(f"the clock was not stepped by {off_s} s", Exit.FAILED) from error
