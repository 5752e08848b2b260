"""What the store needs of a database, whichever it is."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Executable

from activation.telemetry.metrics import STORE_CONNECTIONS, STORE_CONNECTIONS_MAX

Row = Mapping[str, Any]
"""A row of a result: columns by their names. To copy one, `dict`; to go through it is not safe."""

Rows = Sequence[Row]


class Connection(Protocol):
    """Runs statements, one after the other."""

    async def fetch(self, statement: Executable, given: Mapping[str, Any] | None = None) -> Rows:
        """Run a statement with the values of its parameters; no rows if it returns none."""
        ...


@dataclass(frozen=True, slots=True)
class Pool:
    """How many connections there are now, and at most."""

    in_use: int
    idle: int
    most: int


class Database(Protocol):
    """Lends connections."""

    @property
    def dialect(self) -> str:
        """Return `postgresql` or `sqlite`."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection whose statements are committed together; an exception undoes them."""
        ...

    def statements(self) -> AbstractAsyncContextManager[Connection]:
        """Lend a connection on which each statement is a transaction of its own."""
        ...

    def pool(self) -> Pool:
        """Count the connections."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...


def show_pool(database: Database) -> None:
    """Show the connections in the metrics, as they are when somebody asks."""
    STORE_CONNECTIONS.labels("in_use").set_function(lambda: database.pool().in_use)
    STORE_CONNECTIONS.labels("idle").set_function(lambda: database.pool().idle)
    STORE_CONNECTIONS_MAX.set(database.pool().most)
