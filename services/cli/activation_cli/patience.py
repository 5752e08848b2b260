"""Trying again while the gateway is away or busy."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from activation_cli.exits import UnavailableError

_Answer = TypeVar("_Answer")

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 5.0
_SHORTEST_RETRY_AFTER_S: Final = 0.1  # a `Retry-After: 0` must not become a busy loop


class Patience:
    """Makes calls until they are answered.

    A `Retry-After` is obeyed for as long as it comes: the gateway is alive and knows better. A
    gateway that gives no such sign is tried again for a while.

    Args:
        tell: Told once when trouble begins and once when it is over.
        silence_s: How long a call is tried without a sign of life.
    """

    def __init__(self, tell: Callable[[str], None], silence_s: float = 30.0) -> None:
        self._tell = tell
        self._silence_s = silence_s
        self._troubled = False

    async def __call__(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Return the answer of a call that is safe to repeat.

        Raises:
            UnavailableError: The gateway gave no sign of life for too long.
        """
        loop = asyncio.get_running_loop()
        heard_at = loop.time()
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                answer = await call()
            except UnavailableError as error:
                if error.retry_after_s is not None:
                    heard_at = loop.time()
                    wait_s = max(_SHORTEST_RETRY_AFTER_S, error.retry_after_s)
                elif loop.time() - heard_at >= self._silence_s:
                    raise
                else:
                    wait_s, pause_s = pause_s, min(_LONGEST_PAUSE_S, 2 * pause_s)
                self._begin_trouble(f"{error}; trying again")
            else:
                self._end_trouble()
                return answer
            await asyncio.sleep(wait_s)

    def _begin_trouble(self, message: str) -> None:
        if not self._troubled:
            self._troubled = True
            self._tell(message)

    def _end_trouble(self) -> None:
        if self._troubled:
            self._troubled = False
            self._tell("the gateway answers again")
