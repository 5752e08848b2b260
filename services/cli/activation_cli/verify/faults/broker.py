"""Faults of RabbitMQ."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final

import aio_pika

from activation_cli.verify.faults.fault import Fault
from activation_cli.verify.system import Link, System

_BROKER_S: Final = 10.0


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
        try:
            await asyncio.sleep(system.outage_s)
        finally:
            await asyncio.to_thread(system.broker.start)

    return Fault("RabbitMQ is away", strike)


def out_of_memory(*, for_s: float) -> Fault:
    """Raise RabbitMQ's memory alarm: it blocks the connections of publishers."""
    command = "set_vm_memory_high_watermark"
    return _controlled(
        "RabbitMQ is out of memory", (command, "0.0000001"), (command, "0.6"), for_s=for_s
    )


def out_of_disk_space(*, for_s: float) -> Fault:
    """Raise RabbitMQ's disk alarm: it blocks the connections of publishers."""
    command = "set_disk_free_limit"
    return _controlled(
        "RabbitMQ is out of disk space", (command, "1000000GB"), (command, "50MB"), for_s=for_s
    )


def impatient(*, patience_s: float, for_s: float) -> Fault:
    """Have RabbitMQ close channels whose messages are acknowledged late (`consumer_timeout`).

    Channels look at it in a tick, whose length they learn when they are opened.
    """

    def waiting(at_most_s: float, tick_s: float) -> tuple[str, str]:
        settings = {"consumer_timeout": at_most_s, "channel_tick_interval": tick_s}
        calls = (
            f"application:set_env(rabbit, {name}, {1000 * value_s:.0f})"
            for name, value_s in settings.items()
        )
        return "eval", f"{', '.join(calls)}."

    return _controlled(
        "RabbitMQ does not wait for acknowledgements",
        waiting(patience_s, 0.5),
        waiting(1800.0, 60.0),  # RabbitMQ's own
        for_s=for_s,
        renewed=Link.WORKER_BROKER,
    )


def _controlled(
    name: str,
    breaking: Sequence[str],
    mending: Sequence[str],
    *,
    for_s: float,
    renewed: Link | None = None,
) -> Fault:
    """Change RabbitMQ's settings for a while; `renewed` are connections that learn it by a cut."""

    async def change(system: System, command: Sequence[str]) -> None:
        await asyncio.to_thread(system.broker.control, *command)
        if renewed is not None:
            await system.proxies[renewed].cut()

    async def strike(system: System, _: random.Random) -> None:
        await change(system, breaking)
        try:
            await asyncio.sleep(for_s)
        finally:
            await change(system, mending)

    return Fault(name, strike)


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
