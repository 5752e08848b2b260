"""What the database's drivers say, and what it means for the services."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from activation.errors import StoreUnavailableError
from activation.store.sql.errors import store_errors

PASSES = [
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.AdminShutdownError("terminating connection due to administrator command"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.TooManyConnectionsError("sorry, too many clients already"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.IdleInTransactionSessionTimeoutError("terminating connection due to idle transaction"),
    asyncpg.ReadOnlySQLTransactionError("cannot execute UPDATE in a read-only transaction"),
]
STAYS = [
    asyncpg.InvalidPasswordError("password authentication failed"),
    asyncpg.InvalidCatalogNameError("database does not exist"),
    asyncpg.UndefinedTableError("relation does not exist"),
]


def by_sqlalchemy(error: asyncpg.PostgresError) -> DBAPIError:
    return DBAPIError("select 1", None, error)


@pytest.mark.parametrize("error", [*PASSES, *map(by_sqlalchemy, PASSES)])
async def test_an_error_that_goes_away_means_try_again(error: Exception) -> None:
    """A server that starts, stops or fails over is out of reach, whichever driver says so."""
    with pytest.raises(StoreUnavailableError), store_errors():
        raise error


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("another operation (2) is in progress"),
        ConnectionRefusedError(),
        TimeoutError(),
    ],
)
async def test_a_connection_that_is_gone_means_try_again(error: Exception) -> None:
    """What the drivers say of a connection themselves."""
    with pytest.raises(StoreUnavailableError), store_errors():
        raise error


@pytest.mark.parametrize("error", [*STAYS, *map(by_sqlalchemy, STAYS)])
async def test_an_error_that_stays_is_not_hidden(error: Exception) -> None:
    """To try again would give the same for ever."""
    with pytest.raises(type(error)), store_errors():
        raise error
