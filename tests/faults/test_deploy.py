"""Guarantee 5: a deploy loses nothing, repeats nothing and burns no attempt."""

import asyncio
from pathlib import Path

import pytest

from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


async def test_a_rolling_deploy_under_load_goes_unnoticed(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Each gateway and each worker is told to leave and comes back, while clients submit."""
    async with System(
        tmp_path, amqp_url, postgres_url, gateways=2, workers=2, handler_s=0.5, drain_delay_s=0.2
    ) as system:
        deployed = asyncio.Event()

        async def keep_submitting(client: int) -> None:
            count = 0
            while not deployed.is_set():
                await system.submit(f"CLIENT{client}X{count % 20}")
                count += 1
                await asyncio.sleep(0.05)  # the pace of the requests; nothing waits for it

        async with asyncio.TaskGroup() as group:
            for client in range(4):
                group.create_task(keep_submitting(client))
            exit_codes = [await replace(system, n) for n in range(2)]
            deployed.set()
        await system.wait_all_ended()

        account = await system.account()
        assert exit_codes == [(0, 0), (0, 0)]
        assert {post.status for post in account.posts} == {200}
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert {task["maxAttempts"] - task["attempt"] for task in account.tasks} == {4}  # of five
        assert len(account.known_calls) == len(account.tasks)


async def replace(system: System, n: int) -> tuple[int | None, ...]:
    """Replace a gateway and a worker by new ones, and return the exit codes of the old ones."""
    services = system.gateways[n], system.workers[n]
    exit_codes = await asyncio.gather(*(service.terminate() for service in services))
    await asyncio.gather(*(service.start() for service in services))
    return tuple(exit_codes)
