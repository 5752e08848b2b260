"""The gate before the target: who may call it now, by what all workers know together."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from activation.domain.limit import LimitPolicy
from activation.domain.outcome import Outcome, Reason
from activation.domain.target import (
    BreakerPolicy,
    RecentCalls,
    Standing,
    Target,
    tells_of_trouble,
)
from activation.errors import StoreUnavailableError
from activation.ports import TaskStore
from activation.telemetry.logging import get_logger

LOOK_EVERY_S: Final = 0.25  # while calls begin: how late a worker learns what another met
_LOOK_FOR_ROOM_S: Final = 0.1  # while the limit is reached: alike for all, so nobody starves
_LOOK_AGAIN_S: Final = 1.0  # while calls are kept back: how late it learns of an operator's word

log = get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """The right to make one call.

    Attributes:
        probe: The target is known to be down, and this call shall show whether it is back.
        since: When it was given.
    """

    probe: bool
    since: datetime


class Gate:
    """Lets calls pass, one after the other, and learns from how they end.

    The store is read only when a call is about to begin, and written only when a call changes what
    is known. While it is out of reach, what was known last holds.

    Args:
        store: Where all workers keep what they know about the target.
        policy: When the target is held back.
        limits: How many calls at once it is given.
        worker: The name of this worker.
        lease_s: How long a probe is believed to be under way without a sign of life.
    """

    def __init__(
        self,
        store: TaskStore,
        policy: BreakerPolicy,
        limits: LimitPolicy,
        *,
        worker: str,
        lease_s: float,
    ) -> None:
        self._store = store
        self._policy = policy
        self._limits = limits
        self._worker = worker
        self._lease = timedelta(seconds=lease_s)
        self._known = Target()
        self._looked_at_s: float | None = None
        self._room: int | None = None  # for calls, when it was looked at; None: without limit
        self._call_s = 0.0  # of the last one that succeeded
        self._recent = RecentCalls(policy)
        self._lesson = asyncio.Lock()
        self._probe: Passage | None = None
        self._turn = asyncio.Lock()
        self._stirred = asyncio.Event()
        self._shut = False

    @property
    def limited(self) -> bool:
        """Whether there is a limit to the calls at once, which a claim must obey."""
        return self._known.limit(self._store.now()) is not None

    def shut(self) -> None:
        """Let nobody pass any more; who waits is sent away."""
        self._shut = True
        self._stirred.set()

    async def enter(self) -> Passage | None:
        """Wait until a call may be made; None if the gate is shut."""
        async with self._turn:
            while not self._shut:
                self._stirred.clear()
                await self._look()
                standing = self._standing()
                if standing is Standing.CLOSED and self._take_room():
                    return Passage(probe=False, since=self._store.now())
                if standing is Standing.HALF_OPEN and self._take_room() and await self._win_probe():
                    return self._probe
                await self._pause()
        return None

    async def report(self, passage: Passage, outcome: Outcome) -> None:
        """Draw the conclusions from how a call ended."""
        now = self._store.now()
        if outcome.reason is Reason.COMPLETED:
            self._call_s = (now - passage.since).total_seconds()
        if passage is self._probe:
            self._probe = None
            self._recent.add(outcome, now)
            await self._change(
                lambda target: self._policy.after_probe(target, outcome, now, worker=self._worker)
            )
        elif not tells_of_trouble(outcome):
            self._recent.add(outcome, now)
        else:
            async with self._lesson:  # what many calls tell at once is learned once
                await self._draw_lesson(passage, outcome, now)

    async def _draw_lesson(self, passage: Passage, outcome: Outcome, now: datetime) -> None:
        began = passage.since
        old_news = self._limits.is_old_news(self._known, outcome, began)
        failing = not old_news and self._recent.add(outcome, now)
        too_many = not old_news and self._limits.too_many(outcome, self._recent)
        calls = await self._running() if too_many else None

        def learn(target: Target) -> Target:
            if calls is not None:
                target = self._limits.after_overload(
                    target, calls, now, began=began, call_s=self._call_s
                )
            return self._policy.after_call(target, outcome, now, failing=failing)

        if learn(self._known) != self._known:
            await self._change(learn)

    def full(self) -> None:
        """Let nobody pass until there is room again: a claim has found none."""
        self._room = 0

    async def leave(self, passage: Passage) -> None:
        """Give back a passage that no report was made of."""
        if passage is self._probe:
            self._probe = None
            await self._change(lambda target: target.end_probe(self._worker))

    async def renew(self) -> None:
        """Give a sign of life of this worker's probe, if it makes one."""
        if self._probe is not None:
            now = self._store.now()
            await self._change(lambda target: target.renew_probe(self._worker, now, self._lease))

    def _standing(self) -> Standing:
        standing = self._known.standing(self._store.now())
        if self._policy.enabled or standing is Standing.PAUSED:
            return standing
        return Standing.CLOSED

    async def _look(self) -> None:
        now_s = asyncio.get_running_loop().time()
        every_s = LOOK_EVERY_S if self._room is None else _LOOK_FOR_ROOM_S
        if self._looked_at_s is not None and now_s - self._looked_at_s < every_s:
            return
        try:
            self._learn(await self._store.target())
            limit = self._known.limit(self._store.now())
            self._room = None if limit is None else limit - await self._store.running()
        except StoreUnavailableError as error:  # the claim will wait for it
            log.debug("target_unknown", error=str(error))

    def _take_room(self) -> bool:
        if self._room is None:
            return True
        self._room -= 1
        return self._room >= 0

    async def _running(self) -> int | None:
        try:
            return await self._store.running()
        except StoreUnavailableError as error:
            log.warning("calls_not_counted", error=str(error))
            return None

    async def _win_probe(self) -> bool:
        """Become the one of all workers that probes."""
        if self._probe is not None:
            return False
        now = self._store.now()
        won = await self._change(lambda target: target.probe(self._worker, now, self._lease))
        if won and self._known.prober == self._worker:
            self._probe = Passage(probe=True, since=now)
            return True
        return False

    async def _change(self, change: Callable[[Target], Target]) -> bool:
        try:
            self._learn(await self._store.change_target(change))
        except StoreUnavailableError as error:
            log.warning("target_not_changed", error=str(error))
            return False
        return True

    def _learn(self, target: Target) -> None:
        before, self._known = self._known, target
        self._looked_at_s = asyncio.get_running_loop().time()
        if target == before:
            return
        if before.trips and not target.trips:
            self._recent.forget()
        if before.overload_at != target.overload_at or before.max_calls != target.max_calls:
            self._room = 0 if self.limited else None
        self._tell(before, target)
        self._stirred.set()

    def _tell(self, before: Target, target: Target) -> None:
        now = self._store.now()
        standing = target.standing(now)
        if standing is not before.standing(now) or target.trips != before.trips:
            until = target.held_until.isoformat() if target.held_until else None
            log.warning("target", standing=standing, held_until=until, why=target.why)
        if target.overload_at not in (None, before.overload_at):
            log.warning("target_overloaded", calls=target.overload_calls, limit=target.limit(now))

    async def _pause(self) -> None:
        """Wait for the end of a hold, but not for longer than an operator would like."""
        full = self._room is not None and self._room <= 0
        pause_s = _LOOK_FOR_ROOM_S if full else _LOOK_AGAIN_S
        if self._known.held_until is not None:
            left_s = (self._known.held_until - self._store.now()).total_seconds()
            if left_s > 0:
                pause_s = min(pause_s, left_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stirred.wait()
