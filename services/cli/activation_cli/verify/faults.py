"""The faults: each breaks something, and has mended it when it returns."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import aio_pika

from activation_cli.verify.proxy import PASS, Behaviour
from activation_cli.verify.servers import execute
from activation_cli.verify.system import Link, System

_BROKER_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.05
_LONG_CALL_S: Final = 2.5  # the others take less
_POISON_S: Final = 45.0  # for a poison task to use up its attempts

Kind = Literal["gateway", "worker"]
Strike = Callable[[System, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is broken for a while.

    Attributes:
        name: What the timeline calls it.
        strike: Breaks it and mends it again; what is left to chance is drawn from the argument.
    """

    name: str
    strike: Strike


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
        await asyncio.sleep(0.7)  # so that both workers have begun such calls
        await freeze.strike(system, chance)
        await asyncio.sleep(1.0)
        await system.mock.play_nothing()

    return Fault("a worker is frozen, and its calls fail", strike)


def poisoned() -> Fault:
    """Kill whichever worker calls for one task, until that task is given up."""

    async def strike(system: System, _: random.Random) -> None:
        await system.mock.play(
            {"do": "hang"}
        )  # one call, whichever comes next, ends with its worker
        victim = await _a_long_call(system)
        await system.mock.play({"do": "hang", "times": None}, device=victim["equipment"])
        deadline = asyncio.get_running_loop().time() + _POISON_S
        killed_for = 0
        while asyncio.get_running_loop().time() < deadline:
            task = await system.task(victim["key"])
            if task["state"] in {"failed", "succeeded"}:
                break
            if task["state"] == "running" and task["attempt"] > killed_for:
                killed_for = task["attempt"]
                names: list[str | None] = [worker.process.name for worker in system.workers]
                await _kill(system, "worker", names.index(task["worker"]), 0.0)
            await asyncio.sleep(_LOOK_EVERY_S)
        await system.mock.play_nothing()

    return Fault("a task kills its workers", strike)


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


def gateway_killed_while(name: str, behaviour: Behaviour, *, for_s: float) -> Fault:
    """Kill a gateway whose connection to the broker has behaved badly for a while."""

    async def strike(system: System, chance: random.Random) -> None:
        link = system.proxies[Link.GATEWAY_BROKER]
        link.behave(behaviour)
        await asyncio.sleep(for_s)
        killing = asyncio.ensure_future(_kill(system, "gateway", chance.randrange(2), 1.0))
        await asyncio.sleep(0.5)
        link.behave(PASS)
        await killing

    return Fault(name, strike)


def broker_restarted() -> Fault:
    """Stop and start RabbitMQ in good order."""

    async def strike(system: System, _: random.Random) -> None:
        await asyncio.to_thread(system.broker.restart)

    return Fault("RabbitMQ is restarted", strike)


def broker_killed() -> Fault:
    """SIGKILL to RabbitMQ, and start it again."""

    async def strike(system: System, _: random.Random) -> None:
        await asyncio.to_thread(system.broker.kill)
        await asyncio.to_thread(system.broker.start)

    return Fault("RabbitMQ is killed", strike)


def broker_down() -> Fault:
    """Stop RabbitMQ for as long as outages last."""

    async def strike(system: System, _: random.Random) -> None:
        await asyncio.to_thread(system.broker.stop)
        await asyncio.sleep(system.outage_s)
        await asyncio.to_thread(system.broker.start)

    return Fault("RabbitMQ is away", strike)


def queue_deleted() -> Fault:
    """Delete the queue with all its messages."""

    async def strike(system: System, _: random.Random) -> None:
        async with asyncio.timeout(_BROKER_S):
            async with await aio_pika.connect(system.broker.amqp_url) as connection:
                channel = await connection.channel()
                await channel.queue_delete(system.task_queue)

    return Fault("the queue is deleted", strike)


def messages_repeated(*, copies: int) -> Fault:
    """Publish the messages of all tasks again, in any order, whatever has become of the tasks."""

    async def strike(system: System, chance: random.Random) -> None:
        ids = [call["key"] for call in await system.mock.calls()] * copies
        chance.shuffle(ids)
        async with asyncio.timeout(_BROKER_S):
            async with await aio_pika.connect(system.broker.amqp_url) as connection:
                channel = await connection.channel()
                for task_id in ids:
                    body = f'{{"version": 1, "taskId": "{task_id}"}}'.encode()
                    await channel.default_exchange.publish(
                        aio_pika.Message(body), routing_key=system.task_queue
                    )

    return Fault("messages come again, in any order", strike)


def store_restarted() -> Fault:
    """Stop and start PostgreSQL, which cuts all its connections."""

    async def strike(system: System, _: random.Random) -> None:
        if system.database is not None:
            await asyncio.to_thread(system.database.restart)

    return Fault("PostgreSQL is restarted", strike)


def store_connections_terminated(*, times: int = 3) -> Fault:
    """Have PostgreSQL end all connections to the database, a few times in a row."""

    async def strike(system: System, _: random.Random) -> None:
        for _n in range(times):
            await execute(
                system.database_url,
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()",
            )
            await asyncio.sleep(0.4)

    return Fault("PostgreSQL ends all connections", strike)


def handler_does(name: str, step: Mapping[str, Any], *, for_s: float, share: float = 1.0) -> Fault:
    """Have a share of the handler's calls meet a step of its scripts."""

    async def strike(system: System, chance: random.Random) -> None:
        await system.mock.play({**step, "times": None}, share=share, seed=chance.randrange(2**31))
        try:
            await asyncio.sleep(for_s)
        finally:
            await system.mock.play_nothing()

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
