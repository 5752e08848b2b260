"""Everything at once: whatever is killed, and whenever, nothing is lost and nothing done twice."""

import asyncio
import os
import random
from pathlib import Path
from typing import Final

import pytest

from activation_cli.verify.accountant import Account
from tests.support.servers import Postgres, RabbitMQ
from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

DEVICES: Final = 100
EACH: Final = 5
KILLS: Final = 14
KILL_EVERY_S: Final = 1.0


async def test_random_kills_lose_nothing_and_activate_nothing_twice(
    tmp_path: Path, own_rabbitmq: RabbitMQ, own_postgres: Postgres
) -> None:
    """500 tasks of 100 devices, while any gateway, any worker, RabbitMQ and PostgreSQL go down.

    The seed decides who is killed and when; it is printed, and can be given.
    """
    seed = int(os.environ.get("ACTIVATION_TEST_SEED") or random.SystemRandom().randrange(10**6))
    print(f"ACTIVATION_TEST_SEED={seed}")  # noqa: T201  # to repeat a failure
    async with System(
        tmp_path,
        own_rabbitmq.amqp_url,
        own_postgres.url(),
        gateways=2,
        workers=2,
        handler_s=1,
        lease_s=3,
        max_attempts=100,
        retry_cap_s=2,
    ) as system:
        async with asyncio.TaskGroup() as group:
            for n in range(DEVICES):
                group.create_task(submit_line(system, f"DEVICE{n:03}", chance(seed + n + 1)))
            await kill_at_random(system, own_rabbitmq, own_postgres, chance(seed))
        await asyncio.gather(*(service.wait_ready() for service in system.services))
        await system.wait_all_ended(limit_s=120)

        account = await system.account()
        print(summary(account))  # noqa: T201  # how much was broken, with `pytest -s`
        assert len(account.tasks) == DEVICES * EACH
        assert {task["state"] for task in account.tasks} == {"succeeded"}


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # no secret depends on it


async def submit_line(system: System, device: str, draw: random.Random) -> None:
    """Submit the tasks of a device at random moments of the time of the kills."""
    for n in range(EACH):
        await asyncio.sleep(draw.uniform(0, 2 * KILLS * KILL_EVERY_S / EACH))
        await system.submit_surely(device, key=f"{device}-{n}")


async def kill_at_random(
    system: System, broker: RabbitMQ, database: Postgres, draw: random.Random
) -> None:
    """Kill a gateway or a worker every second; two of the kills are restarts of servers instead."""
    restarts = dict(zip(draw.sample(range(KILLS), 2), [broker, database], strict=True))
    for n in range(KILLS):
        await asyncio.sleep(KILL_EVERY_S)
        if n in restarts:
            await asyncio.to_thread(restarts[n].restart)
            continue
        victim = draw.choice([*system.gateways, *system.workers])
        victim.kill()
        victim.launch()


def summary(account: Account) -> str:
    unanswered = sum(post.status is None for post in account.posts)
    repeated = len(account.known_calls) - len({call["key"] for call in account.known_calls})
    return (
        f"{len(account.tasks)} tasks, {len(account.posts)} POSTs ({unanswered} without an answer), "
        f"{len(account.known_calls)} calls ({repeated} again with the same key), lost: 0, twice: 0"
    )
