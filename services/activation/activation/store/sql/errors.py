"""What the errors of the databases and their drivers mean."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from activation.cancellation import heeded_cancellation
from activation.errors import StoreUnavailableError

_AWAY: Final = (
    OperationalError,
    InterfaceError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the server's last word has come, and the end has not yet
    PoolTimeoutError,
    OSError,
    TimeoutError,
)


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
    # 08 connection, 40 rollback (deadlock), 53 resources, 57 operator intervention, 58 trouble
    # outside (its disk), 25006 standby, 25P03 silent for too long, 55P03 lock timeout (PostgreSQL
    # documentation, appendix A)
    return code[:2] in {"08", "40", "53", "57", "58"} or code in {"25006", "25P03", "55P03"}


def first_line(error: BaseException) -> str:
    """Return what a driver says, without SQLAlchemy's additions."""
    cause = getattr(error, "orig", None) or error
    return (str(cause) or type(cause).__name__).splitlines()[0]
