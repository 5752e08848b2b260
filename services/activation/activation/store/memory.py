"""Tasks in the memory of one process: the readable model of the store's rules, and for tests.

No method awaits in the middle of its work, so each one is atomic without a lock.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import chain, count, islice
from operator import itemgetter
from typing import assert_never

from activation.clock import Clock
from activation.domain.outcome import WORKER_LOST
from activation.domain.retry import Verdict
from activation.domain.target import Target
from activation.domain.task import (
    ENDED,
    UNFINISHED,
    Claim,
    Event,
    IdempotencyKey,
    NewTask,
    State,
    Task,
    TaskId,
)
from activation.errors import KeyConflictError, LineFullError, TransitionError
from activation.ports import (
    Accepted,
    Cancellation,
    NotAccepted,
    Notice,
    Page,
    Ready,
    Reaped,
    Refused,
    Result,
    StoreStatus,
    TaskQuery,
)
from activation.store.record import CANCELLED, Record


@dataclass(frozen=True, slots=True)
class _UsedKey:
    """An idempotency key, and the task that it stands for."""

    fingerprint: str
    task_id: TaskId
    used_at: datetime

    def answer(self, repeat: IdempotencyKey) -> Accepted | KeyConflictError:
        """Answer a request that uses the key once more."""
        if repeat.fingerprint != self.fingerprint:
            return KeyConflictError("The idempotency key belongs to a different request")
        return Accepted(self.task_id, ready=False, repeated=True)


class MemoryStore:
    """A `TaskStore` that forgets everything with its process.

    Args:
        clock: Measures leases, retries and lifetimes.
        publish_lease_s: How long a task taken out of the outbox is kept from other relays.
        key_lifetime_s: How long an idempotency key is known.
    """

    def __init__(
        self, clock: Clock, *, publish_lease_s: float = 10.0, key_lifetime_s: float = 86_400.0
    ) -> None:
        self._clock = clock
        self._publish_lease = timedelta(seconds=publish_lease_s)
        self._key_lifetime = timedelta(seconds=key_lifetime_s)
        self._seq = count(1)
        self._records: dict[TaskId, Record] = {}  # in the order of `seq`
        self._devices: defaultdict[str, list[Record]] = defaultdict(list)  # in the same order
        self._keys: dict[str, _UsedKey] = {}
        self._watchers: set[asyncio.Queue[Notice]] = set()
        self._target = Target()

    async def accept(
        self, tasks: Sequence[NewTask], *, max_waiting: int = 0, share: int = 0
    ) -> Sequence[Accepted | NotAccepted]:
        """Store new tasks one after the other, so a batch obeys the rules of single requests."""
        return [self._accept(new, max_waiting, share) for new in tasks]

    def _accept(self, new: NewTask, max_waiting: int, share: int) -> Accepted | NotAccepted:
        now = self.now()
        if new.id in self._records:  # the caller missed our answer, and writes once more
            stored = self._records[new.id].view()
            return Accepted(new.id, ready=stored.first_in_line and stored.unpublished)
        if new.idempotency is not None and (answer := self._repeat(new.idempotency)):
            return answer
        if max_waiting and self._waiting(new.equipment) >= max_waiting:
            return LineFullError(f"{max_waiting} tasks of {new.equipment} wait already")
        if new.idempotency is not None:
            used = _UsedKey(new.idempotency.fingerprint, new.id, now)
            self._keys[new.idempotency.key] = used
        record = Record.accepted(next(self._seq), new, now)
        self._records[new.id] = record
        self._devices[new.equipment].append(record)
        self._advance(new.equipment)
        if not record.task.first_in_line:
            return Accepted(new.id, ready=False)
        if share and new.caller is not None and self._is_used_up(new.caller, share):
            record.defer(now)
            return Accepted(new.id, ready=False)
        record.publish_at = now + self._publish_lease  # for who asks us: others leave it alone
        return Accepted(new.id, ready=True)

    def _is_used_up(self, caller: str, share: int) -> bool:
        """Tell whether a new task, which is counted, is too much or would overtake another."""
        others = [record for record in self._records.values() if record.caller == caller]
        waiting = sum(record.in_share for record in others)
        return waiting > share or any(record.task.deferred for record in others)

    def _waiting(self, equipment: str) -> int:
        return sum(record.task.state is State.QUEUED for record in self._devices[equipment])

    async def find_repeat(self, key: IdempotencyKey) -> Accepted | None:
        """Look whether the key still stands for a task."""
        answer = self._repeat(key)
        if isinstance(answer, KeyConflictError):
            raise answer
        return answer

    def _repeat(self, key: IdempotencyKey) -> Accepted | KeyConflictError | None:
        used = self._keys.get(key.key)
        if used is None or used.task_id not in self._records:  # never used, or purged
            return None
        old = self.now() - used.used_at >= self._key_lifetime
        return None if old else used.answer(key)

    def _advance(self, equipment: str) -> None:
        """Let the device's oldest unfinished task step forward, unless one stands there."""
        line = [record for record in self._devices[equipment] if record.unfinished]
        if line and not any(record.task.first_in_line for record in line):
            line[0].step_forward(self.now())

    async def take_ready(self, limit: int) -> Sequence[Ready]:
        """Take what has been due the longest, and keep it from others for one lease."""
        now = self.now()
        due = self._oldest(lambda record: record.publish_at, now)[:limit]
        for record in due:
            record.publish_at = now + self._publish_lease
        return [Ready(r.task.id, r.task.traceparent, r.task.attempt) for r in due]

    async def admit(self, share: int, limit: int) -> Sequence[Ready]:
        """Go through the deferred tasks in the order accepted."""
        records = self._records.values()
        waiting = Counter(record.caller for record in records if record.in_share)
        admitted: list[Record] = []
        for record in records:
            if not record.task.deferred or (share and waiting[record.caller] >= share):
                continue
            if len(admitted) == limit:
                break
            waiting[record.caller] += 1
            record.admit(self.now() + self._publish_lease)
            admitted.append(record)
        return [Ready(r.task.id, r.task.traceparent, r.task.attempt) for r in admitted]

    async def mark_published(self, published: Iterable[Ready]) -> None:
        """Settle one by one; what is unknown or has moved on is left as it is."""
        for ready in published:
            record = self._records.get(ready.task_id)
            if record is not None:
                record.settle(self.now(), ready.attempt)

    async def offer_again(self, published_before_s: float, limit: int) -> int:
        """Offer first what was published the longest ago."""
        now = self.now()
        latest = now - timedelta(seconds=published_before_s)
        silent = self._oldest(
            lambda record: None if record.task.deferred else record.published_at, latest
        )[:limit]
        for record in silent:
            record.publish_at, record.published_at = now, None
        return len(silent)

    async def claim(
        self, task_ids: Sequence[TaskId], worker: str, lease_s: float, *, limited: bool = False
    ) -> Sequence[Claim | Refused]:
        """Begin attempts one after the other: of two claims in one call the first wins."""
        limit = self._target.limit(self.now()) if limited else None
        if limit is not None:
            task_ids = task_ids[: max(0, limit - self._running())]
        return [self._claim(task_id, worker, lease_s) for task_id in task_ids]

    def _claim(self, task_id: TaskId, worker: str, lease_s: float) -> Claim | Refused:
        now = self.now()
        record = self._records.get(task_id)
        if record is None:
            return Refused(task_id, state=None)
        if not record.can_start(now):
            return Refused(task_id, record.task.state, record.task.worker)
        return record.start(now, worker, lease_until=now + timedelta(seconds=lease_s))

    async def renew(self, claims: Sequence[Claim], lease_s: float) -> frozenset[TaskId]:
        """Renew by the fence alone: a lease that ran out is good until it is reaped."""
        lease_until = self.now() + timedelta(seconds=lease_s)
        lost = {claim.task_id for claim in claims}
        for claim in claims:
            record = self._records.get(claim.task_id)
            if record is not None and record.is_held_by(claim):
                record.task = replace(record.task, lease_until=lease_until)
                lost.discard(claim.task_id)
        return frozenset(lost)

    async def finish(self, results: Sequence[Result]) -> Sequence[State | None]:
        """Write results one after the other, each under its own fence."""
        states = [self._finish(result) for result in results]
        self._announce(result.claim.task_id for result in results)
        return states

    def _finish(self, result: Result) -> State | None:
        record = self._records.get(result.claim.task_id)
        if record is None:
            return None
        if record.is_held_by(result.claim):
            record.end_attempt(self.now(), result.outcome, result.verdict)
            self._advance(record.task.equipment)
        elif not record.agrees_with(result):
            return None
        return record.task.state

    async def reap(self, judge: Callable[[int], Verdict], limit: int) -> Sequence[Reaped]:
        """Take back first what was lost the longest ago."""
        lost = self._oldest(lambda record: record.task.lease_until, self.now())[:limit]
        reaped = [self._reap(record, judge) for record in lost]
        self._announce(task.task_id for task in reaped)
        return reaped

    def _reap(self, record: Record, judge: Callable[[int], Verdict]) -> Reaped:
        held = record.task
        verdict = judge(held.attempt - held.uncounted)
        record.end_attempt(self.now(), WORKER_LOST, verdict)
        self._advance(held.equipment)
        return Reaped(
            held.id,
            held.equipment,
            held.worker,
            held.attempt,
            held.accepted_at,
            record.task.state,
        )

    async def cancel(self, task_id: TaskId) -> Cancellation | None:
        """Cancel at once what is queued; only mark what runs."""
        record = self._records.get(task_id)
        if record is None:
            return None
        state = record.task.state
        match state:
            case State.QUEUED:
                record.end(self.now(), State.CANCELLED, CANCELLED)
                self._advance(record.task.equipment)
                self._announce([task_id])
            case State.RUNNING:
                record.request_cancel(self.now())
            case State.CANCELLED:
                pass
            case State.SUCCEEDED | State.FAILED:
                raise TransitionError(
                    f"Task {task_id} has {state}: only an unfinished task can be cancelled"
                )
            case _:
                assert_never(state)
        return Cancellation(record.view(), ended=state is State.QUEUED)

    async def replay(self, task_id: TaskId, traceparent: str | None = None) -> Task | None:
        """Queue a failed task again, at once if its device is free."""
        record = self._records.get(task_id)
        if record is None:
            return None
        if record.task.state is not State.FAILED:
            raise TransitionError(
                f"Task {task_id} is {record.task.state}: only a failed task can be replayed"
            )
        record.replay(self.now(), traceparent)
        self._advance(record.task.equipment)
        self._announce([task_id])
        return record.view()

    async def get(self, task_id: TaskId) -> Task | None:
        """Return a task; None if there is no such task."""
        record = self._records.get(task_id)
        return None if record is None else record.view()

    async def history(self, task_id: TaskId) -> Sequence[Event]:
        """Return what happened to a task, oldest first; nothing if there is no such task."""
        record = self._records.get(task_id)
        return [] if record is None else list(record.history)

    async def search(self, query: TaskQuery) -> Page:
        """List tasks, newest first; the cursor is the `seq` of the page's last one."""
        found = (r for r in reversed(self._records.values()) if _matches(query, r))
        page = list(islice(found, query.limit))
        more = next(found, None) is not None
        return Page([record.view() for record in page], page[-1].seq if more else None)

    async def status(self, *, ended: bool = True) -> StoreStatus:
        """Count what is in the store; without `ended` only what is unfinished."""
        now = self.now()
        records = self._records.values()
        states = Counter(record.task.state for record in records)
        due = [at for record in records if (at := record.publish_at) is not None and at <= now]
        queued = [r.task.accepted_at for r in records if r.task.state is State.QUEUED]
        return StoreStatus(
            counts={state: states[state] for state in (State if ended else UNFINISHED)},
            dead_letters=sum(record.task.dead_letter for record in records),
            unpublished=len(due),
            unpublished_age_s=(now - min(due, default=now)).total_seconds(),
            oldest_queued_s=(now - min(queued, default=now)).total_seconds(),
        )

    async def backlog(self) -> int:
        """Count the queued tasks."""
        return sum(record.task.state is State.QUEUED for record in self._records.values())

    async def running(self) -> int:
        """Count the running tasks."""
        return self._running()

    def _running(self) -> int:
        return sum(record.task.state is State.RUNNING for record in self._records.values())

    async def target(self) -> Target:
        """Return what is known about the target."""
        return self._target

    async def change_target(self, change: Callable[[Target], Target]) -> Target:
        """Change it at once."""
        self._target = change(self._target)
        return self._target

    async def purge(self, ended_before_s: float, limit: int) -> int:
        """Delete first what ended the longest ago; its key is forgotten with a task."""
        latest = self.now() - timedelta(seconds=ended_before_s)
        ended = self._oldest(
            lambda record: None if record.task.dead_letter else record.task.finished_at, latest
        )[:limit]
        for record in ended:
            del self._records[record.task.id]
            self._devices[record.task.equipment].remove(record)
        return len(ended)

    async def watch(self) -> AsyncGenerator[Notice, None]:
        """Yield notices from a queue of this watcher's own."""
        notices = asyncio.Queue[Notice]()
        self._watchers.add(notices)
        try:
            yield Notice(ready=True)
            while True:
                yield await notices.get()
        finally:
            self._watchers.discard(notices)

    def now(self) -> datetime:
        """Return the clock's time."""
        return self._clock.now()

    async def ping(self) -> None:
        """Do nothing: the memory always answers."""

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _oldest(
        self, moment: Callable[[Record], datetime | None], latest: datetime
    ) -> list[Record]:
        """Find the records whose moment has come, the oldest moment first."""
        come = [
            (at, record)
            for record in self._records.values()
            if (at := moment(record)) is not None and at <= latest
        ]
        return [record for _, record in sorted(come, key=itemgetter(0))]

    def _announce(self, task_ids: Iterable[TaskId]) -> None:
        """Tell the watchers what a change of these tasks has brought about."""
        now = self.now()
        changed = [self._records[task_id] for task_id in task_ids if task_id in self._records]
        ended = frozenset(record.task.id for record in changed if record.task.state in ENDED)
        devices = {record.task.equipment for record in changed}
        lines = chain.from_iterable(self._devices[equipment] for equipment in devices)
        ready = any(record.publish_at is not None and record.publish_at <= now for record in lines)
        if ready or ended:
            for notices in self._watchers:
                notices.put_nowait(Notice(ready, ended))


def _matches(query: TaskQuery, record: Record) -> bool:
    task = record.task
    return (
        (not query.states or task.state in query.states)
        and (query.equipment is None or task.equipment == query.equipment)
        and (query.accepted_from is None or task.accepted_at >= query.accepted_from)
        and (query.accepted_before is None or task.accepted_at < query.accepted_before)
        and (query.dead_letter is None or task.dead_letter == query.dead_letter)
        and (query.cursor is None or record.seq < query.cursor)
    )
