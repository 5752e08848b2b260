"""Waking the requests that wait for the end of a task."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from activation.domain.task import UNFINISHED, Task, TaskId
from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.telemetry.logging import get_logger

_PAUSE_S = 1.0

log = get_logger()


class Endings:
    """Wakes waiters when the store says that a task ended, and the relay when one is ready.

    Args:
        store: Says what changed.
        on_ready: Called when tasks may have become ready to publish.
    """

    def __init__(self, store: TaskStore, *, on_ready: Callable[[], None] = lambda: None) -> None:
        self._store = store
        self._on_ready = on_ready
        self._waiters: defaultdict[TaskId, set[asyncio.Event]] = defaultdict(set)
        self._closed = False

    async def await_end(
        self, task_id: TaskId, timeout_s: float, *, equipment: str | None = None
    ) -> Task | None:
        """Return a task when it has ended, or as it is when the time is over or at shutdown.

        None if there is no such task.

        Args:
            task_id: Which task.
            timeout_s: How long to wait.
            equipment: A task of another equipment is not waited for.

        Raises:
            StoreUnavailableError: The store did not answer.
        """
        deadline = asyncio.get_running_loop().time() + timeout_s
        with self._listen(task_id) as woken:  # before reading, or an end in between goes unseen
            task = await self._store.get(task_id)
            while not self._closed and _is_awaited(task, equipment):
                try:
                    async with asyncio.timeout_at(deadline):
                        await woken.wait()
                except TimeoutError:
                    return await self._store.get(task_id)
                woken.clear()
                task = await self._store.get(task_id)
        return task

    @contextmanager
    def _listen(self, task_id: TaskId) -> Iterator[asyncio.Event]:
        woken = asyncio.Event()
        self._waiters[task_id].add(woken)
        try:
            yield woken
        finally:
            self._waiters[task_id].discard(woken)
            if not self._waiters[task_id]:
                del self._waiters[task_id]

    def close(self) -> None:
        """Let all waiters go: the service is about to stop."""
        self._closed = True
        self._wake(list(self._waiters))

    async def run(self) -> None:
        """Listen to the store until cancelled."""
        while True:
            try:
                async for notice in self._store.watch():
                    if notice.ready:
                        self._on_ready()
                    self._wake(list(self._waiters) if notice.ended is None else notice.ended)
            except StoreUnavailableError as error:
                log.warning("watch_interrupted", error=str(error))
            await asyncio.sleep(_PAUSE_S)

    def _wake(self, task_ids: Iterable[TaskId]) -> None:
        for task_id in task_ids:
            for woken in self._waiters.get(task_id, ()):
                woken.set()


def _is_awaited(task: Task | None, equipment: str | None) -> bool:
    if task is None or equipment not in {None, task.equipment}:
        return False
    return task.state in UNFINISHED
