"""The relay: publishes tasks that are ready, and settles the outbox once the broker has confirmed.

What this gateway has accepted is published at once. Everything else that is owed a message (what a
killed gateway left, retries that are due, the next task of a device) is found by a sweep. A caller
with many tasks has only its share of them in the queue, so that others need not wait for all.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

from activation.broker import Broker, Queues, Session
from activation.domain.target import Standing
from activation.errors import BrokerUnavailableError, StoreUnavailableError
from activation.ports import Ready, TaskStore
from activation.telemetry.logging import get_logger
from activation_gateway import metrics

_MOST_OFFERED = 10_000  # beyond this the sweep takes over: the outbox itself has no limit
_SETTLE_EVERY_S = 1.0  # by then most are claimed, and need no mark
_LOOKS_FOR_LOST = 4  # within the time after which a message is lost

log = get_logger()


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The broker as the relay sees it; numbers are None while it is out of reach."""

    connected: bool
    ready: int | None = None
    consumers: int | None = None
    dead: int | None = None


class Relay:
    """Carries tasks from the store to the broker.

    Args:
        store: Holds the outbox.
        broker: Takes the messages.
        queues: Where they go.
        sweep_every_s: Pause between two looks at the outbox when nobody wakes the relay.
        publish_at_once: How many confirms are awaited together.
        lost_message_after_s: When the queue is empty, a task published so long ago and never
            claimed has lost its message.
        caller_share: Tasks of one caller that may wait for workers. 0 means no limit.
    """

    def __init__(
        self,
        store: TaskStore,
        broker: Broker,
        queues: Queues,
        *,
        sweep_every_s: float,
        publish_at_once: int,
        lost_message_after_s: float,
        caller_share: int = 0,
    ) -> None:
        self._store = store
        self._broker = broker
        self._queues = queues
        self._sweep_every_s = sweep_every_s
        self._publish_at_once = publish_at_once
        self._lost_message_after_s = lost_message_after_s
        self._caller_share = caller_share
        self._offered: deque[Ready] = deque(maxlen=_MOST_OFFERED)
        self._confirmed: list[Ready] = []
        self._wake = asyncio.Event()
        self._sweep = True

    def offer(self, ready: Sequence[Ready]) -> None:
        """Publish these soon; called right after their commit."""
        if ready:
            self._offered.extend(ready)
            self._wake.set()

    def wake(self) -> None:
        """Look into the outbox soon; called when the store says that tasks became ready."""
        self._sweep = True
        self._wake.set()

    async def run(self) -> None:
        """Publish until cancelled, whenever the broker is there."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._broker.keep(self._publish), name="relay publishing")
            group.create_task(self._settle(), name="relay settling")
            group.create_task(self._admit(), name="relay admitting")

    async def queue_status(self) -> QueueStatus:
        """Ask the broker for the depth of the queues."""
        session = self._broker.session
        if session is None:
            return QueueStatus(connected=False)
        try:
            ready, consumers = await session.count(self._queues.tasks)
            dead, _ = await session.count(self._queues.dead)
        except BrokerUnavailableError:
            return QueueStatus(connected=False)
        return QueueStatus(connected=True, ready=ready, consumers=consumers, dead=dead)

    async def _publish(self, session: Session) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._look_for_lost(session), name="relay lost messages")
            while True:
                batch = self._take_offered()
                if not batch and self._sweep:
                    batch = await self._take_ready()
                if not batch:
                    await self._pause()
                    continue
                await self._publish_batch(session, batch)

    async def _publish_batch(self, session: Session, batch: Sequence[Ready]) -> None:
        """Publish together; what is not confirmed is offered again."""
        try:
            answers = await asyncio.gather(
                *(_publish(session, ready) for ready in batch), return_exceptions=True
            )
        except asyncio.CancelledError:  # the session was lost: the next one begins with these
            metrics.PUBLISH_FAILURES.inc(len(batch))
            self._offered.extendleft(reversed(batch))
            raise
        paired = list(zip(batch, answers, strict=True))
        confirmed = [ready for ready, answer in paired if answer is None]
        faults = [answer for answer in answers if isinstance(answer, BaseException)]
        self._confirmed.extend(confirmed)
        metrics.PUBLISHED.inc(len(confirmed))
        if faults:
            metrics.PUBLISH_FAILURES.inc(len(faults))
            self._offered.extendleft(ready for ready, answer in reversed(paired) if answer)
            raise faults[0]

    def _take_offered(self) -> Sequence[Ready]:
        count = min(len(self._offered), self._publish_at_once)
        return [self._offered.popleft() for _ in range(count)]

    async def _take_ready(self) -> Sequence[Ready]:
        self._sweep = False  # before reading: whoever wakes us meanwhile means what comes after
        try:
            batch = await self._store.take_ready(self._publish_at_once)
        except StoreUnavailableError as error:
            log.warning("outbox_unreadable", error=str(error))
            return []
        if batch:
            metrics.SWEPT.inc(len(batch))
            log.debug("outbox_swept", tasks=len(batch))
        if len(batch) == self._publish_at_once:
            self._sweep = True
        return batch

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(self._sweep_every_s):
                await self._wake.wait()
        except TimeoutError:
            self._sweep = True
        self._wake.clear()

    async def _settle(self) -> None:
        """Mark what was confirmed, many at a time; most is claimed by then and needs no mark."""
        while True:
            await asyncio.sleep(_SETTLE_EVERY_S)
            batch, self._confirmed = self._confirmed, []
            if not batch:
                continue
            try:
                await self._store.mark_published(batch)
            except StoreUnavailableError as error:
                # Unmarked tasks are published again, which is harmless.
                log.warning("outbox_not_settled", tasks=len(batch), error=str(error))

    async def _admit(self) -> None:
        """Offer what was deferred, as room for it comes."""
        while True:
            await asyncio.sleep(self._sweep_every_s)
            try:
                admitted = await self._store.admit(self._caller_share, self._publish_at_once)
            except StoreUnavailableError as error:
                log.warning("outbox_unreadable", error=str(error))
                continue
            self.offer(admitted)

    async def _look_for_lost(self, session: Session) -> None:
        """Publish again what the broker must have lost: its queue is empty, the task unclaimed."""
        while True:
            await asyncio.sleep(self._lost_message_after_s / _LOOKS_FOR_LOST)
            ready, _ = await session.count(self._queues.tasks)
            if ready:
                continue
            try:
                if await self._calls_are_held_back():
                    continue
                found = await self._store.offer_again(
                    self._lost_message_after_s, self._publish_at_once
                )
            except StoreUnavailableError as error:
                log.warning("outbox_unreadable", error=str(error))
                continue
            if found:
                metrics.REPUBLISHED.inc(found)
                log.warning("messages_lost_by_broker", tasks=found)
                self.wake()

    async def _calls_are_held_back(self) -> bool:
        """Tell whether workers sit on their messages, as the target is not called or is full."""
        target, now = await self._store.target(), self._store.now()
        if target.standing(now) is not Standing.CLOSED:
            return True
        limit = target.limit(now)
        return limit is not None and await self._store.running() >= limit


async def _publish(session: Session, ready: Ready) -> None:
    """Publish, and measure how long the confirm took."""
    begun = perf_counter()
    await session.publish(ready)
    metrics.PUBLISH_DURATION.observe(perf_counter() - begun)
