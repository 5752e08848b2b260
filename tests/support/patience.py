"""Waiting for a cluster: a look at it costs a good part of a processor, so it is taken rarely."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tests.support import system

_PAUSE_S: Final = 1.0

_T = TypeVar("_T")


async def eventually(probe: Callable[[], Awaitable[_T]], *, limit_s: float, what: str) -> _T:
    """Return the first answer of a probe that is true; look once a second."""

    async def look() -> _T:
        if not (answer := await probe()):
            await asyncio.sleep(_PAUSE_S)
        return answer

    return await system.eventually(look, limit_s=limit_s, what=what)
