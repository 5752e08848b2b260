"""Bringing a database to the present schema."""

import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from activation.errors import StartError, StoreUnavailableError
from activation.store.sql.errors import first_line, store_errors
from activation.store.sql.migrations import revisions
from activation.store.sql.sqlite import open_sqlite
from activation.store.sql.url import connect_options, without_tls

_LOCK = 0x41637469  # any number, the same for every pod
_TIMEOUT_S = 300.0  # another pod may be migrating a large table


class Schema(enum.Enum):
    """What a database's schema is to this version of the code."""

    BEHIND = "behind"
    PRESENT = "present"
    NEWER = "newer"  # of a later version; migrations are made so that older code works on it


async def migrate(url: URL) -> Schema:
    """Apply the missing migrations; several processes may do so at the same time.

    Returns:
        What was found before.

    Raises:
        StartError: The database refuses us.
        StoreUnavailableError: The database did not answer.
    """
    async with _connection(url, timeout_s=_TIMEOUT_S) as connection:
        await _wait_for_turn(connection)
        return await connection.run_sync(_migrate)


async def require_schema(url: URL, *, timeout_s: float) -> None:
    """Check that nothing is missing, and change nothing.

    Raises:
        StartError: The database refuses us.
        StoreUnavailableError: The database did not answer, or `activation-migrate` has yet to run.
    """
    async with _connection(url, timeout_s=timeout_s) as connection:
        if await connection.run_sync(_schema) is Schema.BEHIND:
            raise StoreUnavailableError("the schema is not up to date: activation-migrate must run")


def _migrate(connection: Connection) -> Schema:
    found = _schema(connection)
    if found is Schema.BEHIND:
        from activation.store.sql.upgrade import upgrade  # noqa: PLC0415  # Alembic: 11 MiB

        upgrade(connection)
    return found


def _schema(connection: Connection) -> Schema:
    if not inspect(connection).has_table("alembic_version"):
        return Schema.BEHIND
    found = connection.scalar(text("select version_num from alembic_version"))
    known = revisions()
    if found == known[-1]:
        return Schema.PRESENT
    return Schema.BEHIND if found is None or found in known else Schema.NEWER


@asynccontextmanager
async def _connection(url: URL, *, timeout_s: float) -> AsyncIterator[AsyncConnection]:
    """Open one transaction."""
    engine = _engine(url, timeout_s=timeout_s)
    try:
        with store_errors():
            async with asyncio.timeout(timeout_s), engine.begin() as connection:
                yield connection
    except DBAPIError as error:
        raise StartError(f"the database cannot be used: {first_line(error)}") from error
    finally:
        await engine.dispose()


def _engine(url: URL, *, timeout_s: float) -> AsyncEngine:
    if url.get_backend_name() == "sqlite":
        return open_sqlite(url, timeout_s=timeout_s)
    options = connect_options(url, timeout_s=timeout_s)
    del options["dsn"]  # the engine has the URL itself
    return create_async_engine(
        without_tls(url),
        poolclass=NullPool,
        hide_parameters=True,
        connect_args=options,
    )


async def _wait_for_turn(connection: AsyncConnection) -> None:
    """Let one process migrate at a time; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"select pg_advisory_xact_lock({_LOCK})"))
        # Not to queue up behind a long transaction and block every reader meanwhile.
        await connection.execute(text("set local lock_timeout = '5s'"))
