"""RabbitMQ is away, is killed, and loses its queue."""

import asyncio
import time
from pathlib import Path
from typing import Final

import aio_pika
import pytest

from tests.support.servers import RabbitMQ
from tests.support.service import eventually
from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

OUTAGE_S: Final = 20.0


async def test_an_outage_of_the_broker_delays_tasks_and_loses_none(
    tmp_path: Path, own_rabbitmq: RabbitMQ, postgres_url: str
) -> None:
    """Stopped for 20 s while POSTs go on: all are accepted, and calls in flight are not repeated.

    The calls take longer than the outage, so that their messages are delivered a second time.
    """
    async with System(tmp_path, own_rabbitmq.amqp_url, postgres_url, concurrency=50) as system:
        [worker] = system.workers
        await system.script([{"do": "answer", "latency_s": OUTAGE_S + 5, "times": 10}])
        before = await system.submit_many([f"BEFORE{n:02}" for n in range(10)])

        async def all_called() -> bool:
            return len(await system.calls_in_progress()) == 10

        await eventually(all_called, what="ten calls")
        ready_before = worker.is_ready()
        await asyncio.to_thread(own_rabbitmq.stop)
        back_at = time.monotonic() + OUTAGE_S
        count = 0
        while time.monotonic() < back_at:
            await system.submit(f"DURING{count:03}")
            count += 1
            await asyncio.sleep(0.2)  # the pace of the requests; nothing waits for it
        ready_during = worker.is_ready()
        await asyncio.to_thread(own_rabbitmq.start)
        await worker.wait_ready()
        await system.wait_all_ended()

        account = await system.account()
        assert (ready_before, ready_during) == (True, False)
        assert [post.status for post in account.posts] == [200] * (10 + count)
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert [len(account.calls_of(task_id)) for task_id in before] == [1] * 10
        assert len(account.known_calls) == 10 + count


async def test_messages_survive_a_kill_of_the_broker(
    tmp_path: Path, own_rabbitmq: RabbitMQ, postgres_url: str
) -> None:
    """SIGKILL with messages in the queue: each task is still called once.

    RabbitMQ 3.10 forgets where a queue is that it made less than half a second before, so the first
    task takes a while.
    """
    async with System(
        tmp_path, own_rabbitmq.amqp_url, postgres_url, concurrency=2, handler_s=0.3
    ) as system:
        await system.script([{"do": "answer", "latency_s": 2}])
        await system.submit("FIRST001")
        await system.wait_all_ended()
        await system.submit_many([f"DEVICE{n:02}" for n in range(60)])

        async def queue_is_filled() -> bool:
            return ((await system.status())["queue"]["ready"] or 0) >= 20

        await eventually(queue_is_filled, what="20 messages in the queue")
        own_rabbitmq.kill()
        await asyncio.to_thread(own_rabbitmq.start)
        await system.wait_all_ended()

        account = await system.account()
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert len(account.known_calls) == 61


async def test_tasks_whose_messages_the_broker_lost_are_published_again(
    tmp_path: Path, amqp_url: str, sqlite_url: str
) -> None:
    """The queue is deleted while tasks wait in it: it is declared and filled again."""
    async with System(tmp_path, amqp_url, sqlite_url, workers=0) as system:
        await system.submit_many([f"DEVICE{n:02}" for n in range(20)])

        async def all_published() -> bool:
            status = await system.status()
            settled = {task["waitingFor"] for task in await system.tasks()} == {"worker"}
            return settled and status["queue"]["ready"] == 20

        await eventually(all_published, what="20 messages in the queue")
        lost = await delete_queue(amqp_url, "activation.tasks")
        await system.add_worker().start()
        await system.wait_all_ended()

        account = await system.account()
        assert lost == 20
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert len(account.known_calls) == 20


async def delete_queue(url: str, name: str) -> int:
    """Delete a queue with its messages, and return how many there were."""
    async with asyncio.timeout(10), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        deleted = await channel.queue_delete(name)
        return deleted.message_count or 0
