"""Doing several things at once, with errors that come out as they went in."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

_Item = TypeVar("_Item")


async def for_each(
    items: Iterable[_Item], work: Callable[[_Item], Awaitable[None]], *, at_once: int
) -> None:
    """Work on all items, in their order, so many at once.

    Raises:
        Exception: The first that the work raises; the rest is cancelled.
    """
    waiting = iter(items)

    async def take() -> None:
        for item in waiting:
            await work(item)

    await together(*(take() for _ in range(at_once)))


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side until all are done.

    Raises:
        Exception: The first that one of them raises; the others are cancelled.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
