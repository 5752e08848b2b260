"""Group commit: requests that arrive while a commit is under way share the next one.

A request that comes alone is committed at once, so low load pays nothing; under load the size of a
group follows from how long the commit before it took. The idea is that of databases' own logs.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from activation.errors import StoreUnavailableError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Collects items and commits them together, in the order they came.

    Args:
        commit: Writes items and returns one answer for each, in their order.
        largest: Items in one commit at most.
    """

    def __init__(
        self, commit: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], *, largest: int
    ) -> None:
        self._commit = commit
        self._largest = largest
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._arrived = asyncio.Event()

    async def submit(self, item: Item) -> Answer:
        """Commit an item with others and return its answer, or raise what the commit raised.

        Cancelling the caller withdraws an item that has not been taken into a commit.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        self._arrived.set()
        return await answer

    async def run(self) -> None:
        """Commit what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(0)  # let everybody who is ready in this turn of the loop join
            await self._commit_group(self._take_group())
            if not self._waiting:
                self._arrived.clear()

    def _take_group(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        group: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self._waiting and len(group) < self._largest:
            item, answer = self._waiting.popleft()
            if not answer.done():
                group.append((item, answer))
        return group

    async def _commit_group(self, group: list[tuple[Item, asyncio.Future[Answer]]]) -> None:
        if not group:
            return
        try:
            answers = await self._commit([item for item, _ in group])
        except StoreUnavailableError as error:
            _fail(group, error)
        except Exception as error:  # noqa: BLE001  # one bad item must not fail its neighbours
            await self._commit_alone(group, error)
        except BaseException:
            for _, answer in group:
                answer.cancel()
            raise
        else:
            for (_, answer), given in zip(group, answers, strict=True):
                if not answer.done():
                    answer.set_result(given)

    async def _commit_alone(
        self, group: list[tuple[Item, asyncio.Future[Answer]]], error: Exception
    ) -> None:
        if len(group) == 1:
            _fail(group, error)
            return
        for one in group:
            await self._commit_group([one])


def _fail(group: list[tuple[Item, asyncio.Future[Answer]]], error: Exception) -> None:
    for _, answer in group:
        if not answer.done():
            answer.set_exception(error)
