"""The memory store as a server that is asked over a wire."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

from activation.ports import Notice
from activation.store.memory import MemoryStore
from tests.support.simulation.wire import Wire


class SimulatedStore:
    """A `TaskStore` in one process: a connection to the server.

    Args:
        server: Holds the tasks; does each operation at one moment.
        wire: Leads to it.
    """

    def __init__(self, server: MemoryStore, wire: Wire) -> None:
        self._server = server
        self._wire = wire

    def of_another_process(self) -> "SimulatedStore":
        """Return another connection to the same server."""
        return SimulatedStore(self._server, self._wire)

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        """Give an operation of the store: all go the same way."""
        return partial(self._ask, name, getattr(self._server, name))

    async def _ask(
        self, name: str, operation: Callable[..., Coroutine[Any, Any, Any]], *args: Any, **more: Any
    ) -> Any:
        def work() -> Any:
            return _at_once(operation(*args, **more))

        return await self._wire.ask(name, work, *args)

    async def watch(self) -> AsyncGenerator[Notice, None]:
        await self._wire.ask("watch", lambda: None)
        async for notice in self._server.watch():
            await asyncio.sleep(self._wire.way_s())
            self._wire.must_be_up()
            yield notice

    def now(self) -> datetime:
        return self._server.now()

    async def close(self) -> None:
        """Do nothing: the server goes on."""


def _at_once(operation: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never waits."""
    try:
        operation.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("an operation of the memory store must not wait")
