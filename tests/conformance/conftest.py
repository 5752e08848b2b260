"""Every store under test, behind one fixture: each test runs once for each of them."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from activation.encryption import Cipher, new_encryption_key
from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.store import open_store
from activation.store.memory import MemoryStore
from tests.support import servers
from tests.support.clock import VirtualClock
from tests.support.encryption import FixedKeys
from tests.support.simulation.store import SimulatedStore
from tests.support.simulation.wire import Wire

MEMORY_URL = "memory://"
SIMULATED_URL = "simulated://"


@pytest.fixture
def clock() -> VirtualClock:
    """The time of the store under test."""
    return VirtualClock()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the present schema: to copy it is quicker than to migrate again."""
    path = tmp_path_factory.mktemp("sqlite") / "empty.db"
    store = await open_store(f"sqlite:///{path}")
    await store.close()
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def migrated_database(postgres: servers.Postgres) -> AsyncIterator[str]:
    """The URL of a PostgreSQL database with the present schema: to empty it is quicker."""
    async with servers.fresh_database(postgres) as url:
        store = await open_store(url)
        await store.close()
        yield url


@pytest.fixture(params=["memory", "simulated", "sqlite", "encrypted", "postgres"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store with the present schema; PostgreSQL may hold another test's tasks."""
    match request.param:
        case "sqlite" | "encrypted":
            path = tmp_path / "store.db"
            shutil.copy(request.getfixturevalue("migrated_file"), path)
            return f"sqlite:///{path}"
        case "postgres":
            return str(request.getfixturevalue("migrated_database"))
        case "simulated":
            return SIMULATED_URL
        case _:
            return MEMORY_URL


@pytest.fixture
def cipher(request: pytest.FixtureRequest) -> Cipher | None:
    """What encrypts the parameters in the store under test, if anything."""
    if request.node.callspec.params.get("store_url") != "encrypted":
        return None
    return FixedKeys(new_encryption_key("test")).cipher


@pytest.fixture
async def store(
    store_url: str, clock: VirtualClock, cipher: Cipher | None
) -> AsyncIterator[TaskStore]:
    """An empty store."""
    if store_url.startswith("postgres"):
        await _truncate(store_url)
    if store_url == SIMULATED_URL:
        yield SimulatedStore(MemoryStore(clock), Wire(StoreUnavailableError))
        return
    opened = await open_store(store_url, clock=clock, migrate_schema=False, cipher=cipher)
    yield opened
    await opened.close()


@pytest.fixture
async def twin(
    store: TaskStore, store_url: str, clock: VirtualClock, cipher: Cipher | None
) -> AsyncIterator[TaskStore]:
    """The same tasks as another process sees them; memory has only one process."""
    if isinstance(store, SimulatedStore):
        yield store.of_another_process()
        return
    if store_url == MEMORY_URL:
        yield store
        return
    opened = await open_store(store_url, clock=clock, migrate_schema=False, cipher=cipher)
    yield opened
    await opened.close()


async def _truncate(url: str) -> None:
    connection = await asyncpg.connect(url, timeout=5.0)
    try:
        await connection.execute("truncate tasks, events, target restart identity", timeout=5.0)
    finally:
        await connection.close(timeout=5.0)
