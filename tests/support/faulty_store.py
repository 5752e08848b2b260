"""The memory store behind a connection that fails or dawdles when told to."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from activation.domain.retry import Verdict
from activation.domain.target import Target
from activation.domain.task import Claim, NewTask, State, Task, TaskId
from activation.errors import StoreUnavailableError
from activation.ports import (
    Accepted,
    NotAccepted,
    Notice,
    Ready,
    Reaped,
    Refused,
    Result,
    StoreStatus,
)
from activation.store.memory import MemoryStore

_T = TypeVar("_T")


class FaultyStore(MemoryStore):
    """A `MemoryStore` whose methods can be broken by name.

    Attributes:
        calls: How often each method was called.
        sizes: The sizes of the batches given to each method.
        slow: Seconds that the answer of a method is under way.
        errors: Raised by a method instead of doing anything, until it is taken away.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: Counter[str] = Counter()
        self.sizes: list[tuple[str, int]] = []
        self.slow: dict[str, float] = {}
        self.errors: dict[str, Exception] = {}
        self._down: Counter[str] = Counter()
        self._deaf: Counter[str] = Counter()
        self._watch_is_broken = False

    def fail(self, name: str, times: int = 1) -> None:
        """Do nothing and be out of reach for the next calls of a method."""
        self._down[name] += times

    def lose_answer(self, name: str, times: int = 1) -> None:
        """Do what is asked, but lose the answer on its way."""
        self._deaf[name] += times

    def interrupt_watch(self) -> None:
        """Break off what watches the store; what changes before the next watch goes unnoticed."""
        self._watch_is_broken = True
        for notices in self._watchers:
            notices.put_nowait(Notice(ready=False, ended=frozenset()))

    async def _through(self, name: str, work: Coroutine[Any, Any, _T]) -> _T:
        self.calls[name] += 1
        if self._down[name] or name in self.errors:
            work.close()
            self._down[name] -= self._down[name] > 0
            raise self.errors.get(name, StoreUnavailableError("connection refused"))
        answer = await work
        if self._deaf[name]:
            self._deaf[name] -= 1
            raise StoreUnavailableError("connection lost")
        if name in self.slow:
            await asyncio.sleep(self.slow[name])
        return answer

    async def accept(
        self, tasks: Sequence[NewTask], *, max_waiting: int = 0, share: int = 0
    ) -> Sequence[Accepted | NotAccepted]:
        self.sizes.append(("accept", len(tasks)))
        return await self._through(
            "accept", super().accept(tasks, max_waiting=max_waiting, share=share)
        )

    async def take_ready(self, limit: int) -> Sequence[Ready]:
        return await self._through("take_ready", super().take_ready(limit))

    async def admit(self, share: int, limit: int) -> Sequence[Ready]:
        return await self._through("admit", super().admit(share, limit))

    async def mark_published(self, published: Iterable[Ready]) -> None:
        await self._through("mark_published", super().mark_published(published))

    async def offer_again(self, published_before_s: float, limit: int) -> int:
        return await self._through("offer_again", super().offer_again(published_before_s, limit))

    async def claim(
        self, task_ids: Sequence[TaskId], worker: str, lease_s: float, *, limited: bool = False
    ) -> Sequence[Claim | Refused]:
        self.sizes.append(("claim", len(task_ids)))
        claiming = super().claim(task_ids, worker, lease_s, limited=limited)
        return await self._through("claim", claiming)

    async def renew(self, claims: Sequence[Claim], lease_s: float) -> frozenset[TaskId]:
        return await self._through("renew", super().renew(claims, lease_s))

    async def finish(self, results: Sequence[Result]) -> Sequence[State | None]:
        return await self._through("finish", super().finish(results))

    async def reap(self, judge: Callable[[int], Verdict], limit: int) -> Sequence[Reaped]:
        return await self._through("reap", super().reap(judge, limit))

    async def get(self, task_id: TaskId) -> Task | None:
        return await self._through("get", super().get(task_id))

    async def backlog(self) -> int:
        return await self._through("backlog", super().backlog())

    async def running(self) -> int:
        return await self._through("running", super().running())

    async def target(self) -> Target:
        return await self._through("target", super().target())

    async def change_target(self, change: Callable[[Target], Target]) -> Target:
        return await self._through("change_target", super().change_target(change))

    async def purge(self, ended_before_s: float, limit: int) -> int:
        return await self._through("purge", super().purge(ended_before_s, limit))

    async def status(self, *, ended: bool = True) -> StoreStatus:
        return await self._through("status", super().status(ended=ended))

    async def ping(self) -> None:
        await self._through("ping", super().ping())

    async def watch(self) -> AsyncGenerator[Notice, None]:
        async for notice in super().watch():
            if self._watch_is_broken:
                self._watch_is_broken = False
                raise StoreUnavailableError("connection lost")
            yield notice
