"""Faults of gateways and workers."""

import asyncio
import random
import signal
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from activation_cli.verify.faults.fault import Fault
from activation_cli.verify.proxy import PASS, Behaviour
from activation_cli.verify.system import Link, System

_LOOK_EVERY_S: Final = 0.05
_KILLING_S: Final = 0.5  # for the end of a process that was killed
_LONG_CALL_S: Final = 2.5  # the others take less
_POISON_S: Final = 45.0  # for a poison task to use up its attempts


Kind = Literal["gateway", "worker"]


def killed(kind: Kind, *, away_s: float = 1.0) -> Fault:
    """SIGKILL to one, as the failure of a node would; it is started again later."""

    async def strike(system: System, chance: random.Random) -> None:
        await _kill(system, kind, chance.randrange(2), away_s)

    return Fault(f"a {kind} is killed", strike)


def all_killed(kind: Kind, *, away_s: float = 0.5) -> Fault:
    """SIGKILL to all of a kind at once."""

    async def strike(system: System, _: random.Random) -> None:
        await asyncio.gather(*(_kill(system, kind, n, away_s) for n in range(2)))

    return Fault(f"all {kind}s are killed", strike)


def terminated(kind: Kind, *, away_s: float = 0.5) -> Fault:
    """SIGTERM to one, as a deploy sends it; a new one is started when it has left."""

    async def strike(system: System, chance: random.Random) -> None:
        victim = system.of(kind)[chance.randrange(2)]
        async with system.replacing(victim):
            await asyncio.to_thread(victim.process.stop, timeout_s=30.0)
            await asyncio.sleep(away_s)

    return Fault(f"a {kind} is told to leave", strike)


def frozen(kind: Kind, *, for_s: float) -> Fault:
    """SIGSTOP: alive, but deaf; SIGCONT later."""

    async def strike(system: System, chance: random.Random) -> None:
        victim = system.of(kind)[chance.randrange(2)].process
        victim.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            victim.send(signal.SIGCONT)

    return Fault(f"a {kind} is frozen", strike)


def zombie(*, for_s: float, calls: int) -> Fault:
    """Freeze a worker while its calls are answered by a failure that it reads too late.

    The other worker makes the next attempts meanwhile. They take so long that the late results come
    while they run, and in the end they succeed.
    """
    freeze = frozen("worker", for_s=for_s)

    async def strike(system: System, chance: random.Random) -> None:
        await system.mock.play(
            {"do": "answer", "status": 500, "latency_s": 1.5, "times": calls},
            {"do": "answer", "latency_s": 6.0, "times": None},
        )
        try:
            await asyncio.sleep(0.7)  # so that both workers have begun such calls
            await freeze.strike(system, chance)
            await asyncio.sleep(1.0)
        finally:
            await system.mock.play_nothing()

    return Fault("a worker is frozen, and its calls fail", strike)


def poisoned() -> Fault:
    """Kill whichever worker calls for one task, until that task is given up."""

    async def strike(system: System, _: random.Random) -> None:
        # One call, whichever comes next, ends with its worker.
        await system.mock.play({"do": "hang"})
        try:
            async with asyncio.timeout(_POISON_S):
                victim = await _a_long_call(system)
                await system.mock.play({"do": "hang", "times": None}, device=victim["equipment"])
                await _kill_all_who_call(system, victim["key"])
        finally:
            await system.mock.play_nothing()

    return Fault("a task kills its workers", strike)


async def _kill_all_who_call(system: System, task_id: str) -> None:
    killed_for = 0
    while (task := await system.task(task_id))["state"] not in {"failed", "succeeded"}:
        if task["state"] == "running" and task["attempt"] > killed_for:
            killed_for = task["attempt"]
            names: list[str | None] = [worker.process.name for worker in system.workers]
            await _kill(system, "worker", names.index(task["worker"]), 0.0)
        await asyncio.sleep(_LOOK_EVERY_S)


def gateway_killed_while(
    name: str,
    behaviour: Behaviour,
    *,
    links: tuple[Link, ...] = (Link.GATEWAY_BROKER,),
    for_s: float,
) -> Fault:
    """Kill a gateway whose connections have behaved badly for a while."""

    async def strike(system: System, chance: random.Random) -> None:
        proxies = [system.proxies[link] for link in links]
        for proxy in proxies:
            proxy.behave(behaviour)
        try:
            await asyncio.sleep(for_s)
            async with asyncio.TaskGroup() as group:
                group.create_task(_kill(system, "gateway", chance.randrange(2), 1.0))
                await asyncio.sleep(_KILLING_S)
                for proxy in proxies:
                    await proxy.cut()  # what was on its way never arrives
                    proxy.behave(PASS)
        finally:
            for proxy in proxies:
                proxy.behave(PASS)

    return Fault(name, strike)


async def _kill(system: System, kind: Kind, number: int, away_s: float) -> None:
    victim = system.of(kind)[number]
    async with system.replacing(victim):
        await asyncio.to_thread(victim.process.kill)
        await asyncio.sleep(away_s)


async def _a_long_call(system: System) -> Mapping[str, Any]:
    """Wait for a call that takes longer than calls take."""
    while True:
        for call in await system.mock.calls():
            if call["ended_at"] is None and time.time() - call["started_at"] > _LONG_CALL_S:
                return call
        await asyncio.sleep(_LOOK_EVERY_S)
