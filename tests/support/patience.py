"""Waiting for a cluster: a look at it costs a good part of a processor, so it is taken rarely."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tests.support import service

_PAUSE_S: Final = 1.0

_T = TypeVar("_T")


async def eventually(probe: Callable[[], Awaitable[_T]], *, limit_s: float, what: str) -> _T:
    """Return the first answer of a probe that is true; look once a second."""

    async def look() -> _T:
        if not (answer := await probe()):
            await asyncio.sleep(_PAUSE_S)
        return answer

    return await service.eventually(look, limit_s=limit_s, what=what)


async def becomes(
    look: Callable[[], Awaitable[object]], expected: object, *, limit_s: float
) -> None:
    """Wait until what is looked at is as expected; if it is not in time, show what is there."""
    seen: list[object] = []

    async def as_expected() -> bool:
        seen[:] = [await look()]
        return seen == [expected]

    with contextlib.suppress(AssertionError):
        await eventually(as_expected, limit_s=limit_s, what=str(expected))
    assert seen == [expected], f"there is {seen}"
