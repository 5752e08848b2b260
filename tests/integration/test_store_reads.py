"""What PostgreSQL reads for one operation does not grow with the tasks that wait or have ended.

Its planner knows little of a table that fills within a minute, and keeps plans that it made while
the table was empty: the statements must bring it to the index all the same.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg
import pytest
import pytest_asyncio

from activation.ports import TaskStore
from activation.store import open_store
from tests.support import servers
from tests.support.service import eventually
from tests.support.store_operations import OPERATIONS, Prepare, deferred, failed, running
from tests.support.tasks import success

FEW: Final = 10  # tasks in one operation
MANY: Final = 4000  # tasks of each kind that it has nothing to do with
GROUP: Final = 500
MOST_READ: Final = 40 * FEW  # rows and index entries of all tables
USED: Final = 6  # times that a statement runs before PostgreSQL keeps a plan for all values
# A process of PostgreSQL tells what it has read when it ends, and after a transaction, but not
# more often than once a second.
TOLD_AFTER_S: Final = 1.05
READS: Final = (
    "select (select sum(seq_tup_read + coalesce(idx_tup_fetch, 0)) from pg_stat_user_tables)"
    " + (select sum(idx_tup_read) from pg_stat_user_indexes)"
)
CONNECTIONS: Final = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and pid <> pg_backend_pid()"
    " and backend_type = 'client backend'"
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[TaskStore]:
    """A store with a single connection."""
    store = await open_store(url, pool_size=1, publish_lease_s=3600.0)
    yield store
    await store.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def database(postgres: servers.Postgres) -> AsyncIterator[str]:
    async with servers.fresh_database(postgres) as url:
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def early(database: str) -> AsyncIterator[TaskStore]:
    """A store whose connection has made its plans before the tasks came."""
    async with opened(database) as store:
        for _ in range(USED):
            for prepare in OPERATIONS:
                operation = await prepare(store, FEW)
                await operation(store)
        for _ in range(0, MANY, GROUP):
            await running(store, GROUP)
            await store.finish([success(claim) for claim in await running(store, GROUP)])
            await failed(store, GROUP)
            await deferred(store, GROUP)
        await told(store)
        yield store


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def observer(database: str, early: TaskStore) -> AsyncIterator[Any]:
    """A connection that sees what others have read."""
    connection = await asyncpg.connect(database, timeout=5.0, command_timeout=60.0)
    yield connection
    await connection.close(timeout=5.0)


async def told(store: TaskStore) -> None:
    """Let the process behind a store's connection tell what it has read."""
    await asyncio.sleep(TOLD_AFTER_S)
    await store.ping()


async def reads(observer: Any) -> int:
    """Count the rows and index entries that were ever read, once all but `early` have told."""

    async def only_one() -> bool:
        return bool(await observer.fetchval(CONNECTIONS) == 1)

    await eventually(only_one, limit_s=10.0, what="the end of other connections")
    found: int = await observer.fetchval(READS)
    return found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("prepare", OPERATIONS)
async def test_a_plan_made_while_the_store_was_empty_reads_only_what_it_is_about(
    early: TaskStore, database: str, observer: Any, prepare: Prepare
) -> None:
    async with opened(database) as another:
        operation = await prepare(another, FEW)
    before = await reads(observer)

    await operation(early)
    await told(early)

    assert await reads(observer) - before <= MOST_READ


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["never", "just now"])
async def analysed(request: pytest.FixtureRequest, observer: Any) -> None:
    """When the planner has looked at the tables."""
    if request.param == "just now":
        await observer.execute("vacuum analyze")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("prepare", OPERATIONS)
@pytest.mark.usefixtures("analysed")
async def test_a_plan_made_now_reads_only_what_it_is_about(
    database: str, observer: Any, prepare: Prepare
) -> None:
    async with opened(database) as another:
        operation = await prepare(another, FEW)
    before = await reads(observer)

    async with opened(database) as store:
        await operation(store)

    assert await reads(observer) - before <= MOST_READ
