"""SQLite through SQLAlchemy and aiosqlite."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from sqlalchemy import URL, Executable, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from activation.store.sql.database import Connection, Pool, Rows

_SHARE_OF_TIMEOUT: Final = 0.8
_AUTOCOMMIT: Final = "autocommit"  # ours: SQLAlchemy's own way costs three calls


class SqliteDatabase:
    """Connections to a file; implements `Database`."""

    dialect: Final = "sqlite"

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._autocommitting = engine.execution_options(**{_AUTOCOMMIT: True})

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction, alone in writing."""
        async with self._engine.begin() as connection:
            yield _Connection(connection)

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[Connection]:
        """Lend a connection that commits each statement."""
        async with self._autocommitting.connect() as connection:
            yield _Connection(connection)

    def pool(self) -> Pool:
        """Count the connections."""
        pool = cast("QueuePool", self._engine.pool)
        return Pool(in_use=pool.checkedout(), idle=pool.checkedin(), most=pool.size())

    async def close(self) -> None:
        """Close the connections that are not in use."""
        await self._engine.dispose()


class _Connection:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def fetch(self, statement: Executable, given: Mapping[str, Any] | None = None) -> Rows:
        result = await self._connection.execute(statement, given)
        return cast("Rows", result.mappings().all()) if result.returns_rows else []


def open_sqlite(url: URL, *, timeout_s: float) -> AsyncEngine:
    """Make an engine whose every statement has a deadline."""
    engine = create_async_engine(
        url,
        pool_size=4,
        max_overflow=0,
        pool_timeout=timeout_s,
        hide_parameters=True,
        # SQLite gives up first: a cancelled wait would get the lock later and never let it go.
        connect_args={"timeout": timeout_s * _SHARE_OF_TIMEOUT},
    )
    # So that a condition is written as it stands in the partial indexes: `head`, not `head = 1`.
    engine.dialect.supports_native_boolean = True

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        cursor = connection.cursor()
        cursor.execute("pragma journal_mode = wal")
        cursor.execute("pragma synchronous = full")  # an accepted task survives a power cut
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # Taking the write lock first: a read that turns into a write can only fail.
        if not connection.get_execution_options().get(_AUTOCOMMIT):
            connection.exec_driver_sql("begin immediate")

    return engine
