"""Connections to PostgreSQL that something goes wrong with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import asyncpg
import pytest
from sqlalchemy import select

from activation.errors import StoreUnavailableError
from activation.ports import TaskQuery, TaskStore
from activation.store import open_store
from activation.store.sql.batch import encode
from activation.store.sql.errors import store_errors
from activation.store.sql.postgresql import PostgresDatabase
from activation.store.sql.statements import line
from activation.store.sql.url import read_url
from tests.support.tasks import accept, claim, is_ready, new_task, stored, success

TIMEOUT_S: Final = 2.0


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[TaskStore]:
    """A store with a single connection."""
    opened = await open_store(postgres_url, pool_size=1, timeout_s=TIMEOUT_S)
    yield opened
    await opened.close()


@asynccontextmanager
async def locked(url: str, table: str) -> AsyncIterator[None]:
    """Let everybody else wait for a table."""
    connection = await asyncpg.connect(url, timeout=5.0)
    try:
        async with connection.transaction():
            await connection.execute(f"lock table {table} in access exclusive mode")
            yield
    finally:
        await connection.close(timeout=5.0)


async def test_what_a_deadline_cut_off_is_not_done_and_the_next_one_is_served(
    store: TaskStore, postgres_url: str
) -> None:
    """The first statement of the transaction had been carried out; nothing of it stays."""
    task_id = await accept(store)
    begun = await claim(store, task_id)

    async with locked(postgres_url, "events"):
        with pytest.raises(StoreUnavailableError):
            await store.finish([success(begun)])
        untouched = await stored(store, task_id)
    [ended] = await store.finish([success(begun)])

    assert untouched.state == "running"
    assert ended == "succeeded"


async def test_a_read_that_was_cut_off_does_not_answer_the_next_one(
    store: TaskStore, postgres_url: str
) -> None:
    """Answers are not mixed up, and what is written afterwards is committed."""
    first, second = await accept(store, "DEVICE1"), await accept(store, "DEVICE2")

    async with locked(postgres_url, "tasks"):
        with pytest.raises(StoreUnavailableError):
            await store.get(first)

    assert (await stored(store, second)).equipment == "DEVICE2"
    await store.accept([new_task("DEVICE3")])
    another = await open_store(postgres_url, pool_size=1)
    assert [task.equipment for task in (await another.search(TaskQuery())).tasks] == [
        "DEVICE3",
        "DEVICE2",
        "DEVICE1",
    ]
    await another.close()
    assert await is_ready(store, second)


async def test_a_process_that_freezes_in_a_transaction_does_not_hold_its_devices(
    store: TaskStore, postgres_url: str
) -> None:
    """PostgreSQL ends its session, others go on, and once awake it sees that it was too late."""
    begun = await claim(store, await accept(store, "DEVICE1"))
    frozen = await PostgresDatabase.open(read_url(postgres_url), pool_size=1, timeout_s=0.5)
    lock_devices = line.lock_devices("postgresql")
    assert lock_devices is not None
    devices = {"batch": encode([{"equipment": "DEVICE1"}])}
    ended: list[str | None] = []

    async def freeze() -> None:
        with store_errors():
            async with frozen.transaction() as transaction:
                await transaction.fetch(lock_devices, devices)
                ended.extend(await store.finish([success(begun)]))
                await transaction.fetch(lock_devices, devices)

    with pytest.raises(StoreUnavailableError):
        await freeze()
    async with frozen.statements() as connection:
        served = await connection.fetch(select(1))
    await frozen.close()

    assert ended == ["succeeded"]
    assert len(served) == 1
