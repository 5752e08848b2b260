"""Connections to PostgreSQL and SQLite, and what their errors mean."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import asyncpg
from sqlalchemy import URL, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from activation.cancellation import heeded_cancellation
from activation.errors import StartError, StoreUnavailableError
from activation.telemetry.metrics import STORE_CONNECTIONS, STORE_CONNECTIONS_MAX

_SHARE_OF_TIMEOUT: Final = 0.8
_AUTOCOMMIT: Final = "autocommit"  # ours: SQLAlchemy's own way costs three calls on SQLite
_SSL_OFF: Final = frozenset({"disable", "allow", "prefer"})
_AWAY: Final = (
    OperationalError,
    InterfaceError,
    asyncpg.InterfaceError,
    PoolTimeoutError,
    OSError,
    TimeoutError,
)


def read_url(text: str) -> URL:
    """Read a database URL and choose our drivers for it.

    Raises:
        StartError: It is no URL of PostgreSQL or SQLite. The message leaves the password out.
    """
    try:
        url = make_url(text)
    except ArgumentError:
        raise StartError(
            "the database URL cannot be read; "
            "write postgresql://user:password@host/name or sqlite:////path/file.db"
        ) from None
    match url.get_backend_name():
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+asyncpg")
        case "sqlite" if url.database:
            return url.set(drivername="sqlite+aiosqlite")
        case other:
            raise StartError(f"the database URL names {other!r}; use postgresql or sqlite")


def open_engine(url: URL, *, pool_size: int, timeout_s: float) -> AsyncEngine:
    """Make an engine whose every connection and statement has a deadline."""
    if url.get_backend_name() == "sqlite":
        engine = _open_sqlite(url, timeout_s=timeout_s)
    else:
        engine = _open_postgres(url, pool_size=pool_size, timeout_s=timeout_s)
    _show_pool(engine)
    return engine


def _open_postgres(url: URL, *, pool_size: int, timeout_s: float) -> AsyncEngine:
    mode = url.query.get("sslmode", "prefer")
    return create_async_engine(
        url.difference_update_query(["sslmode"]),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=timeout_s,
        hide_parameters=True,  # an error's text must not quote a task's parameters
        connect_args={
            "timeout": timeout_s,
            "command_timeout": timeout_s,
            "server_settings": {"application_name": "activation"},
            **({} if mode in _SSL_OFF else {"ssl": _tls(str(mode))}),
        },
    )


def autocommitting(engine: AsyncEngine) -> AsyncEngine:
    """Return the same connections, on which each statement is a transaction of its own."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{_AUTOCOMMIT: True})
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def dsn(url: URL) -> str:
    """Return the URL in the form that asyncpg itself reads."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn the drivers' ways of saying that the database is out of reach into one error."""
    try:
        with heeded_cancellation():
            yield
    except _AWAY as error:
        raise StoreUnavailableError(first_line(error)) from error
    except (DBAPIError, asyncpg.PostgresError) as error:  # asyncpg's own: what listens for notices
        if not _passes(error):
            raise
        raise StoreUnavailableError(first_line(error)) from error


def _passes(error: DBAPIError | asyncpg.PostgresError) -> bool:
    """Tell whether an error of PostgreSQL goes away by itself."""
    if getattr(error, "connection_invalidated", False):
        return True
    code = getattr(getattr(error, "orig", error), "sqlstate", None) or ""
    # 08 connection, 40 rollback (deadlock), 53 resources, 57 operator intervention, 25006 standby,
    # 55P03 lock timeout (PostgreSQL documentation, appendix A)
    return code[:2] in {"08", "40", "53", "57"} or code in {"25006", "55P03"}


def first_line(error: BaseException) -> str:
    """Return what a driver says, without SQLAlchemy's additions."""
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]


def _show_pool(engine: AsyncEngine) -> None:
    """Show the connections of a pool in the metrics, as they are when somebody asks."""

    def pool() -> QueuePool:
        return cast("QueuePool", engine.pool)  # asked anew: disposing of it makes another

    STORE_CONNECTIONS.labels("in_use").set_function(lambda: pool().checkedout())
    STORE_CONNECTIONS.labels("idle").set_function(lambda: pool().checkedin())
    STORE_CONNECTIONS_MAX.set(pool().size())


def _tls(mode: str) -> ssl.SSLContext:
    """Build TLS as libpq understands `sslmode` (PostgreSQL documentation, 34.19)."""
    context = ssl.create_default_context()
    if mode != "verify-full":
        context.check_hostname = False
    if mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context


def _open_sqlite(url: URL, *, timeout_s: float) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_size=4,
        max_overflow=0,
        pool_timeout=timeout_s,
        hide_parameters=True,
        # SQLite gives up first: a cancelled wait would get the lock later and never let it go.
        connect_args={"timeout": timeout_s * _SHARE_OF_TIMEOUT},
    )

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
