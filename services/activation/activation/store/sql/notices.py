"""Word of changes between processes, so that nobody has to poll the tasks themselves."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from activation.domain.task import TaskId
from activation.errors import StoreUnavailableError
from activation.ports import Notice
from activation.store.sql.errors import store_errors
from activation.store.sql.statements.line import CHANNEL

LOOK_AT_EVERYTHING: Final = Notice(ready=True, ended=None)

_MOST_IDS: Final = 200  # a NOTIFY payload must stay below 8000 bytes (PostgreSQL, NOTIFY)
_LOOK_EVERY_S: Final = 0.005  # one look takes about 0.1 ms
_PROBE_EVERY_S: Final = 15.0


class Notices(Protocol):
    """A way to hear of changes that other processes made."""

    def watch(self) -> AsyncIterator[Notice]:
        """Yield notices for ever, the first one at once."""
        ...


def write_notice(*, ready: bool, ended: Iterable[TaskId]) -> str:
    """Write the payload of a NOTIFY; too many ids become "look at everything"."""
    ids = [task_id.hex for task_id in ended]
    return orjson.dumps([ready, ids if len(ids) <= _MOST_IDS else None]).decode()


def read_notice(payload: str) -> Notice:
    """Read what `write_notice` wrote."""
    ready, ids = orjson.loads(payload)
    return Notice(ready, None if ids is None else frozenset(TaskId(UUID(hex=one)) for one in ids))


class PostgresNotices:
    """LISTEN on a connection of its own (PostgreSQL documentation, LISTEN)."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    async def watch(self) -> AsyncIterator[Notice]:
        """Yield notices; raises `StoreUnavailableError` when the connection is lost."""
        with store_errors():
            connection = await asyncpg.connect(**self._options)
        heard: asyncio.Queue[str | None] = asyncio.Queue()
        try:
            connection.add_termination_listener(lambda _: heard.put_nowait(None))
            with store_errors():
                await connection.add_listener(CHANNEL, lambda *given: heard.put_nowait(given[3]))
            yield LOOK_AT_EVERYTHING
            while True:
                yield read_notice(await self._next(connection, heard))
        finally:
            connection.terminate()

    async def _next(self, connection: Any, heard: asyncio.Queue[str | None]) -> str:
        """Wait for a payload; a silent connection is probed, as it may be dead."""
        while True:
            try:
                async with asyncio.timeout(_PROBE_EVERY_S):
                    payload = await heard.get()
            except TimeoutError:
                with store_errors():
                    await connection.execute("select 1")
                continue
            if payload is None:
                raise StoreUnavailableError("the connection that listens for changes was lost")
            return payload


class SqliteNotices:
    """SQLite's own count of changes by others (SQLite documentation, PRAGMA data_version)."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def watch(self) -> AsyncIterator[Notice]:
        """Yield a notice whenever anything was committed; SQLite does not say what."""
        with store_errors():
            async with self._engine.connect() as opened:
                # The driver's own call is one visit to its thread; SQLAlchemy's are four.
                connection: Any = (await opened.get_raw_connection()).driver_connection
                before: object = None
                while True:
                    version = await connection.execute_fetchall("pragma data_version")
                    if version != before:
                        before = version
                        yield LOOK_AT_EVERYTHING
                    await asyncio.sleep(_LOOK_EVERY_S)
