"""Gateways are killed between an answer and a message, and in a storm of requests."""

import asyncio
from pathlib import Path

import pytest

from activation_cli.local.ports import LOOPBACK, free_port
from tests.support.service import eventually
from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


async def test_tasks_of_a_gateway_killed_before_it_published_are_published_by_another(
    tmp_path: Path, amqp_url: str, database_url: str
) -> None:
    """SIGKILL between insert and publish: the sweep of another gateway finds what is owed."""
    async with System(tmp_path, amqp_url, database_url, gateways=0) as system:
        nowhere = f"amqp://{LOOPBACK}:{free_port()}/"  # so that nothing can be published before
        doomed = system.add_gateway(amqp_url=nowhere)
        await doomed.start()
        await system.submit_many([f"DEVICE{n:02}" for n in range(20)], each=2)
        owed = (await system.status())["outbox"]["unpublished"]

        doomed.kill()
        await system.add_gateway().start()
        await system.wait_all_ended()

        account = await system.account()
        assert owed <= 20  # only the first task of each device can run
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert len(account.known_calls) == 40


async def test_every_answered_request_survives_its_gateway(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """SIGKILL in a storm of POSTs: clients go on at the other gateway, with the same keys."""
    async with System(tmp_path, amqp_url, postgres_url, gateways=2, concurrency=100) as system:
        doomed, _ = system.gateways
        keys = iter(range(400))

        async def client() -> None:
            for n in keys:
                await system.submit_surely(f"DEVICE{n:03}", key=f"request-{n}")

        async def half_way() -> bool:
            return len(system.posts) >= 150

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(client())
            await eventually(half_way, what="150 answers")
            doomed.kill()
        await system.wait_all_ended()

        account = await system.account()
        assert len(account.tasks) == 400
        assert len(account.known_calls) == 400
        assert any(post.status is None for post in account.posts), "the kill hit no request"
