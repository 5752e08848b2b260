"""A session with the broker that is opened anew whenever it is lost.

aio-pika's own robust connection restores channels and consumers behind the caller's back. Here a
lost connection ends the session, and the next one declares, and consumes, from the start: there is
one way to come up, and nothing to be half restored.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

from activation.broker.ports import Session
from activation.cancellation import heeded_cancellation
from activation.errors import BrokerUnavailableError, first_cause
from activation.telemetry.logging import get_logger
from activation.telemetry.metrics import BROKER_CONNECTED

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0

log = get_logger()


class Broker:
    """Keeps a session with the broker.

    Args:
        open_session: Opens a session, or raises `BrokerUnavailableError` or `StartError`.
        draw: Random numbers in [0, 1) for the jitter of the pauses.

    Attributes:
        session: The one that is open now, if any.
    """

    def __init__(
        self,
        open_session: Callable[[], AbstractAsyncContextManager[Session]],
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._open_session = open_session
        self._draw = draw
        self.session: Session | None = None

    async def keep(self, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do some work with a session; when the session is lost, again with a new one.

        Returns when the work returns.

        Raises:
            StartError: What exists at the broker contradicts what is declared.
        """
        now = asyncio.get_running_loop().time
        pause_s = _FIRST_PAUSE_S
        while True:
            begun = now()
            try:
                # In a task of its own: a task group forgets a cancellation that comes together with
                # the loss of the session, and this loop would go on for ever.
                with heeded_cancellation():
                    await asyncio.create_task(self._work(work), name="broker session")
                return  # noqa: TRY300  # the work is done
            except* BrokerUnavailableError as errors:
                # A session that ends as soon as it is open must not be opened again in a hurry.
                if now() - begun > 2 * _LONGEST_PAUSE_S:
                    pause_s = _FIRST_PAUSE_S
                cause = str(first_cause(errors))
                log.warning("broker_unavailable", error=cause, retry_in_s=round(pause_s, 2))
            await asyncio.sleep(pause_s * (0.5 + self._draw() / 2))
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _work(self, work: Callable[[Session], Awaitable[None]]) -> None:
        async with self._open_session() as session, asyncio.TaskGroup() as group:
            log.info("broker_connected")
            losing = group.create_task(session.wait_lost(), name="session")
            self.session = session
            try:
                with BROKER_CONNECTED.track_inprogress():
                    await work(session)
            finally:
                self.session = None
            losing.cancel()
