"""What SQLite does for an operation grows with the operation's own tasks alone, and in proportion.

Measured in instructions of its virtual machine, so neither the machine nor the disk matters.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from sqlalchemy import Engine, event

from activation.domain.task import Claim
from activation.ports import TaskStore
from activation.store import open_store
from tests.support.store_operations import (
    OPERATIONS,
    Operation,
    Prepare,
    deferred,
    failed,
    new,
    running,
)
from tests.support.tasks import DEVICE, accept, claim, success

FEW: Final = 10  # tasks in one operation
MORE: Final = 100
MANY: Final = 1000  # tasks of each kind that it has nothing to do with
PAST: Final = 50  # tasks of one device that have ended
SOME: Final = 1.25  # a branch here and there is longer


class Steps:
    """Counts the instructions of all SQLite databases that are opened while it exists."""

    def __init__(self) -> None:
        self.total = 0

    def _count(self) -> int:
        self.total += 1
        return 0  # go on (SQLite documentation, sqlite3_progress_handler)

    def listen(self, connection: Any, _: Any) -> None:
        connection.run_async(lambda driver: driver.set_progress_handler(self._count, 1))

    async def of(self, store: TaskStore, operation: Operation) -> int:
        before = self.total
        await operation(store)
        return self.total - before


@pytest.fixture
def steps() -> Iterator[Steps]:
    counted = Steps()
    event.listen(Engine, "connect", counted.listen)
    yield counted
    event.remove(Engine, "connect", counted.listen)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[TaskStore]:
    store = await open_store(f"sqlite:///{path}", publish_lease_s=3600.0)
    yield store
    await store.close()


async def fill(path: Path, amount: int) -> Path:
    """Make a database with so many tasks that wait, run, have succeeded and have failed."""
    async with opened(path) as store:
        await running(store, amount)
        await store.finish([success(one) for one in await running(store, amount)])
        await failed(store, amount)
        await deferred(store, amount)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await fill(tmp_path_factory.mktemp("sqlite") / "small.db", FEW)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return await fill(tmp_path_factory.mktemp("sqlite") / "large.db", MANY)


@pytest.mark.parametrize("prepare", OPERATIONS)
async def test_an_operation_takes_no_more_steps_among_many_tasks(
    small: Path, large: Path, tmp_path: Path, steps: Steps, prepare: Prepare
) -> None:
    async with opened(Path(shutil.copy(small, tmp_path))) as store:
        among_few = await steps.of(store, await prepare(store, FEW))

    async with opened(Path(shutil.copy(large, tmp_path))) as store:
        among_many = await steps.of(store, await prepare(store, FEW))

    assert among_many <= among_few * SOME


@pytest.mark.parametrize("prepare", OPERATIONS)
async def test_a_task_takes_no_more_steps_in_a_larger_batch(
    large: Path, tmp_path: Path, steps: Steps, prepare: Prepare
) -> None:
    async with opened(Path(shutil.copy(large, tmp_path))) as store:
        few = await steps.of(store, await prepare(store, FEW))
        more = await steps.of(store, await prepare(store, MORE))

    assert more / MORE <= few / FEW * SOME


async def test_the_past_of_a_device_costs_nothing(tmp_path: Path, steps: Steps) -> None:
    """Whose turn is next is found among what has not ended."""
    async with opened(tmp_path / "store.db") as store:

        async def end_one() -> int:
            held = await claim(store, await accept(store, DEVICE))
            return await steps.of(store, lambda it: it.finish([success(held)]))

        first = await end_one()
        for _ in range(PAST):
            await end_one()

        assert await end_one() <= first * SOME


async def test_lost_messages_are_not_looked_for_among_ended_tasks(
    tmp_path: Path, steps: Steps
) -> None:
    """The relay looks every quarter of a minute while its queue is empty."""

    def look(store: TaskStore) -> Awaitable[object]:
        return store.offer_again(60.0, FEW)

    async with opened(tmp_path / "store.db") as store:
        among_none = await steps.of(store, look)
        tasks = new(MANY)
        await store.accept(tasks)
        claims = await store.claim([task.id for task in tasks], "worker", 60.0)
        await store.finish([success(one) for one in claims if isinstance(one, Claim)])

        assert await steps.of(store, look) <= among_none * SOME
