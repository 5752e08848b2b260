"""PostgreSQL through asyncpg alone.

SQLAlchemy writes the statements, once each. Its own way of running them would cost about a
millisecond more for each, and a task takes a dozen.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, Final, NamedTuple

import asyncpg
from sqlalchemy import URL, Dialect, Executable
from sqlalchemy.dialects.postgresql.asyncpg import dialect as asyncpg_dialect

from activation.errors import ActivationError
from activation.store.sql.database import Connection, Pool, Rows
from activation.store.sql.url import connect_options

_DIALECT: Final[Dialect] = asyncpg_dialect()  # type: ignore[no-untyped-call]
_RELEASE_S: Final = 1.0
# Each statement is about few rows and names them by an index, in its order. The planner would
# rather read, and sort, a whole table that it believes to be small, and it learns late of one that
# fills within a minute (PostgreSQL documentation, 19.7.1 "Planner Method Configuration").
_KEEP_TO_INDEXES: Final = "set enable_seqscan = off; set enable_bitmapscan = off"
# A process that is frozen, or whose network is gone, in the middle of a transaction would hold its
# devices until TCP gives up, which takes hours (19.11.1 "Statement Behavior").
_END_THE_SILENT: Final = "set idle_in_transaction_session_timeout"  # ms


class PostgresDatabase:
    """A pool of connections to PostgreSQL; implements `Database`."""

    dialect: Final = "postgresql"

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: URL, *, pool_size: int, timeout_s: float) -> "PostgresDatabase":
        """Make a pool; connections are opened when they are needed.

        Args:
            url: The database.
            pool_size: Connections at most.
            timeout_s: Limit of opening a connection, of one statement, and of the time between two
                in a transaction.
        """
        options = connect_options(url, timeout_s=timeout_s)

        settings = f"{_KEEP_TO_INDEXES}; {_END_THE_SILENT} = {round(timeout_s * 1000)}"

        # Not at the start of the connection: poolers refuse what they do not know there.
        async def prepare(connection: Any) -> None:
            await connection.execute(settings)

        return cls(
            await asyncpg.create_pool(
                **options,
                min_size=0,
                max_size=pool_size,
                init=prepare,
                reset=_nothing_to_reset,
            )
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction."""
        async with self._lent() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield _Connection(connection)
            except ActivationError:  # our own refusal: the connection itself is well
                await transaction.rollback()
                raise
            await transaction.commit()

    @asynccontextmanager
    async def statements(self) -> AsyncIterator[Connection]:
        """Lend a connection that commits each statement."""
        async with self._lent() as connection:
            yield _Connection(connection)

    def pool(self) -> Pool:
        """Count the connections."""
        idle = self._pool.get_idle_size()
        return Pool(in_use=self._pool.get_size() - idle, idle=idle, most=self._pool.get_max_size())

    async def close(self) -> None:
        """Close all connections, those in use as well."""
        self._pool.terminate()

    @asynccontextmanager
    async def _lent(self) -> AsyncIterator[Any]:
        connection = await self._pool.acquire()
        try:
            yield connection
        except ActivationError:
            raise
        except BaseException as error:
            connection.terminate()  # nobody knows what it was at
            if not isinstance(error, asyncpg.PostgresError | asyncio.CancelledError):
                await self._pool.expire_connections()  # what cut this one has cut the others
            raise
        finally:
            await self._pool.release(connection, timeout=_RELEASE_S)


class _Connection:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, statement: Executable, given: Mapping[str, Any] | None = None) -> Rows:
        text, names, values = _written(statement)
        values = {**values, **(given or {})}
        rows: Rows = await self._connection.fetch(text, *[values[name] for name in names])
        return rows


class _Written(NamedTuple):
    """A statement as text, the names of its parameters `$1`, `$2`, ..., and values it brings."""

    text: str
    names: tuple[str, ...]
    values: Mapping[str, Any]


@lru_cache(maxsize=256)
def _written(statement: Executable) -> _Written:
    compiled: Any = statement.compile(  # type: ignore[attr-defined]  # all of ours can be
        dialect=_DIALECT, compile_kwargs={"render_postcompile": True}
    )
    return _Written(str(compiled), tuple(compiled.positiontup), compiled.params)


async def _nothing_to_reset(_: Any) -> None:
    """Spare the round trip: no statement changes a connection's settings."""
