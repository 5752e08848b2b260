"""PostgreSQL is restarted under hundreds of running tasks."""

import asyncio
from pathlib import Path

import pytest

from activation_cli.local.postgres import PostgresServer
from tests.support.servers import Postgres
from tests.support.service import eventually
from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

RUNNING = 220


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_of_the_database_repeats_no_call(
    tmp_path: Path, amqp_url: str, own_postgres: Postgres, mode: str
) -> None:
    """220 tasks run while it restarts: their results are written afterwards, POSTs go on."""
    async with System(tmp_path, amqp_url, own_postgres.url(), concurrency=400) as system:
        await system.script([{"do": "answer", "latency_s": 8, "times": RUNNING}])
        await system.submit_many([f"RUNNING{n:03}" for n in range(RUNNING)])

        async def all_called() -> bool:
            return len(await system.calls_in_progress()) == RUNNING

        await eventually(all_called, what=f"{RUNNING} calls")
        restarted = asyncio.Event()

        async def keep_submitting(client: int) -> None:
            count = 0
            while not restarted.is_set() or count < 5:
                await system.submit(f"DURING{client}X{count:04}")
                count += 1

        async with asyncio.TaskGroup() as group:
            for client in range(4):
                group.create_task(keep_submitting(client))
            await asyncio.to_thread(restart, own_postgres, mode)
            restarted.set()
        await system.wait_all_ended()

        account = await system.account()
        calls_by_key = [call["key"] for call in account.known_calls]
        assert {post.status for post in account.posts} <= {200, 503}
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert len(calls_by_key) == len(set(calls_by_key))


async def test_an_outage_longer_than_the_lease_repeats_no_call(
    tmp_path: Path, amqp_url: str, own_postgres: Postgres
) -> None:
    """Leases run out while nobody can renew them: workers renew before the reaper takes them."""
    lease_s = 3
    async with System(
        tmp_path, amqp_url, own_postgres.url(), lease_s=lease_s, reap_patience_s=6
    ) as system:
        await system.script([{"do": "answer", "latency_s": 4 * lease_s, "times": 10}])
        await system.submit_many([f"RUNNING{n:03}" for n in range(10)])

        async def all_called() -> bool:
            return len(await system.calls_in_progress()) == 10

        await eventually(all_called, what="ten calls")
        await asyncio.to_thread(own_postgres.stop)
        await asyncio.sleep(1.5 * lease_s)  # the length of the outage
        await asyncio.to_thread(own_postgres.start)
        await system.wait_all_ended()

        account = await system.account()
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert len(account.known_calls) == 10


def restart(server: Postgres, mode: str) -> None:
    """Restart as an operator would ("fast"), or as a crash would ("immediate")."""
    if mode == "fast" or not isinstance(server, PostgresServer):
        server.restart()
        return
    server.stop(immediately=True)
    server.start()
