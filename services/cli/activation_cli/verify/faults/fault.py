"""What a fault is, and the faults of the ways between two parts."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from activation_cli.verify.proxy import PASS, Behaviour
from activation_cli.verify.release import Release
from activation_cli.verify.system import Link, System

# What is broken is a `System` of processes or an `Installation` in a cluster: scenarios for the one
# are never carried out on the other.
Strike = Callable[[Any, random.Random], Coroutine[Any, Any, None]]
Obstacle = Callable[[Release], Coroutine[Any, Any, str | None]]


async def _none(_: Release) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is broken for a while.

    Attributes:
        name: What the timeline calls it.
        strike: Breaks it and mends it again; what is left to chance is drawn from the argument.
        obstacle: Says of a release why it cannot be done to it; None if it can.
    """

    name: str
    strike: Strike
    obstacle: Obstacle = _none


def behaving(name: str, links: tuple[Link, ...], behaviour: Behaviour, *, for_s: float) -> Fault:
    """Have the connections between two parts behave badly for a while."""

    async def strike(system: System, _: random.Random) -> None:
        for link in links:
            system.proxies[link].behave(behaviour)
        try:
            await asyncio.sleep(for_s)
        finally:
            for link in links:
                system.proxies[link].behave(PASS)

    return Fault(name, strike)


def cut(name: str, links: tuple[Link, ...], *, times: int = 1, every_s: float = 0.5) -> Fault:
    """Reset all connections between two parts, a few times in a row."""

    async def strike(system: System, _: random.Random) -> None:
        for n in range(times):
            await asyncio.sleep(every_s if n else 0.0)
            for link in links:
                await system.proxies[link].cut()

    return Fault(name, strike)
