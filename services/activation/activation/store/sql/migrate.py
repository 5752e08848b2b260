"""Bringing a database to the present schema."""

import asyncio
from importlib.resources import files

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from activation.errors import StartError
from activation.store.sql.engine import first_line, open_engine, store_errors

_LOCK = 0x41637469  # any number, the same for every pod
_TIMEOUT_S = 300.0  # another pod may be migrating a large table


def alembic_config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration; there is no ini file."""
    config = Config()
    config.set_main_option("script_location", str(files("activation.store.sql") / "migrations"))
    config.attributes["connection"] = connection
    return config


async def migrate(url: URL) -> None:
    """Apply the missing migrations; several processes may do so at the same time.

    Raises:
        StartError: The database refuses us.
        StoreUnavailableError: The database did not answer.
    """
    engine = open_engine(url, pool_size=1, timeout_s=_TIMEOUT_S)
    try:
        with store_errors():
            async with asyncio.timeout(_TIMEOUT_S), engine.begin() as connection:
                await _wait_for_turn(connection)
                await connection.run_sync(lambda one: command.upgrade(alembic_config(one), "head"))
    except DBAPIError as error:
        raise StartError(f"the database cannot be used: {first_line(error)}") from error
    finally:
        await engine.dispose()


async def _wait_for_turn(connection: AsyncConnection) -> None:
    """Let one process migrate at a time; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text(f"select pg_advisory_xact_lock({_LOCK})"))
        # Not to queue up behind a long transaction and block every reader meanwhile.
        await connection.execute(text("set local lock_timeout = '5s'"))
