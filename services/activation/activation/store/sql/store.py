"""The transactions of the store, made of the named statements."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Executable

from activation.clock import Clock, SystemClock
from activation.domain.outcome import Reason
from activation.domain.retry import Verdict
from activation.domain.target import Target
from activation.domain.task import Claim, Event, EventName, NewTask, State, Task, TaskId
from activation.errors import LineFullError, TransitionError
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
from activation.store.sql import queries, target
from activation.store.sql.batch import encode, encode_ids
from activation.store.sql.clock import DatabaseClock
from activation.store.sql.database import Connection, Database, Rows
from activation.store.sql.errors import store_errors
from activation.store.sql.notices import Notices, write_notice
from activation.store.sql.results import (
    Fence,
    end_event,
    end_row,
    event_row,
    fence,
    lost_attempt,
    written_before,
)
from activation.store.sql.rows import claim_of, new_row, repeated_answers
from activation.store.sql.statements import Statements
from activation.telemetry.metrics import store_operation


class SqlStore:
    """Tasks in PostgreSQL or SQLite; implements `activation.ports.TaskStore`.

    Args:
        database: Connections to a database with the present schema.
        notices: Carries word of changes between processes.
        clock: Time for leases and retries; None means the database's own, which on SQLite is the
            machine's.
        timeout_s: Limit of one transaction.
        publish_lease_s: A relay's time to publish a message before others may try.
        key_lifetime_s: How long idempotency keys are known.
    """

    def __init__(
        self,
        database: Database,
        notices: Notices,
        *,
        clock: Clock | None,
        timeout_s: float,
        publish_lease_s: float,
        key_lifetime_s: float,
    ) -> None:
        self._database = database
        self._notices = notices
        self._clock = clock or _own_clock(database)
        self._timeout_s = timeout_s
        self._publish_lease_s = publish_lease_s
        self._key_lifetime_s = key_lifetime_s
        self._do = Statements(database.dialect)

    def now(self) -> datetime:
        """Return the time that leases and retries are measured by."""
        return self._clock.now()

    async def accept(
        self, tasks: Sequence[NewTask], *, max_waiting: int = 0
    ) -> Sequence[Accepted | NotAccepted]:
        """Store new tasks; see `TaskStore.accept`."""
        seen: Counter[str] = Counter()
        rows = []
        for n, task in enumerate(tasks):
            rows.append(new_row(n, task, place=seen[task.equipment]))
            seen[task.equipment] += 1
        given = encode(rows)
        async with self._write("accept") as tx:
            await self._lock(tx, seen)
            now = self.now()
            if any(task.idempotency for task in tasks):
                keys_from = now - timedelta(seconds=self._key_lifetime_s)
                await tx.fetch(self._do.forget_old_keys, {"batch": given, "keys_from": keys_from})
            publish_at = self._in(self._publish_lease_s, now)
            inserted = await tx.fetch(
                self._do.insert_tasks,
                {"batch": given, "now": now, "publish_at": publish_at, "max_waiting": max_waiting},
            )
            ready = {row["id"] for row in inserted if row["head"]}
            new = {row["id"] for row in inserted}
            if not self._do.recording:
                await self._record(tx, now, [event_row(id_, EventName.ACCEPTED, 0) for id_ in new])
            if len(new) == len(tasks):
                return [Accepted(task.id, ready=task.id in ready) for task in tasks]
            ready |= await self._promote(tx, seen, now, publish_at=publish_at)
            found = await tx.fetch(self._do.find_repeated, {"batch": given})
        known = repeated_answers(tasks, found)
        return [
            Accepted(task.id, ready=task.id in ready)
            if task.id in new
            else known.get(n) or _line_full(task, max_waiting)
            for n, task in enumerate(tasks)
        ]

    async def take_ready(self, limit: int) -> Sequence[Ready]:
        """Take tasks out of the outbox; see `TaskStore.take_ready`."""
        async with self._alone("take_ready") as tx:
            now = self.now()
            taken = await tx.fetch(
                self._do.take_ready,
                {
                    "now": now,
                    "limit": limit,
                    "leased_until": self._in(self._publish_lease_s, now),
                },
            )
        return [Ready(TaskId(row["id"]), row["traceparent"], row["attempt"]) for row in taken]

    async def mark_published(self, published: Iterable[Ready]) -> None:
        """Settle the outbox; see `TaskStore.mark_published`."""
        rows = [{"id": one.task_id.hex, "attempt": one.attempt} for one in published]
        async with self._alone("mark_published") as tx:
            await tx.fetch(self._do.mark_published, {"batch": encode(rows), "now": self.now()})

    async def offer_again(self, published_before_s: float, limit: int) -> int:
        """Owe lost messages again; see `TaskStore.offer_again`."""
        async with self._alone("offer_again") as tx:
            now = self.now()
            offered = await tx.fetch(
                self._do.offer_again,
                {
                    "now": now,
                    "limit": limit,
                    "published_before": self._in(-published_before_s, now),
                },
            )
        return len(offered)

    async def claim(
        self, task_ids: Sequence[TaskId], worker: str, lease_s: float
    ) -> Sequence[Claim | Refused]:
        """Begin attempts; see `TaskStore.claim`."""
        begin = self._alone if self._do.recording else self._write
        async with begin("claim") as tx:
            now = self.now()
            given = {
                "batch": encode_ids(task_ids),
                "now": now,
                "worker_id": worker,
                "leased_until": self._in(lease_s, now),
            }
            won = await tx.fetch(self._do.claim, given)
            if not self._do.recording:
                started = [
                    event_row(row["id"], EventName.STARTED, row["attempt"], worker=worker)
                    for row in won
                ]
                await self._record(tx, now, started)
            claims: dict[TaskId, Claim | Refused] = {
                row["id"]: claim_of(row, max(0.0, (now - row["runnable_at"]).total_seconds()))
                for row in won
            }
            missed = [task_id for task_id in task_ids if task_id not in claims]
            if missed:
                found = await tx.fetch(self._do.find_by_id, {"batch": encode_ids(missed)})
                for row in found:
                    claims[row["id"]] = Refused(row["id"], State(row["state"]), row["worker"])
        return [
            claims.pop(task_id) if task_id in claims else _gone(task_id, won, worker)
            for task_id in task_ids
        ]

    async def renew(self, claims: Sequence[Claim], lease_s: float) -> frozenset[TaskId]:
        """Renew leases; see `TaskStore.renew`."""
        held = [{"id": claim.task_id.hex, "attempt": claim.attempt} for claim in claims]
        async with self._alone("renew") as tx:
            now = self.now()
            valid = await tx.fetch(
                self._do.renew,
                {"batch": encode(held), "leased_until": self._in(lease_s, now)},
            )
        return frozenset(claim.task_id for claim in claims) - {row["id"] for row in valid}

    async def finish(self, results: Sequence[Result]) -> Sequence[State | None]:
        """Write the ends of attempts; see `TaskStore.finish`."""
        by_fence = {fence(result): result for result in results}
        async with self._write("finish") as tx:
            states = await self._end(tx, by_fence.values(), self._do.finish)
            missed = [task_id for task_id, attempt in by_fence if (task_id, attempt) not in states]
            if missed:
                found = await tx.fetch(self._do.find_by_id, {"batch": encode_ids(missed)})
                states |= written_before(results, found)
        return [states.get(fence(result)) for result in results]

    async def reap(self, judge: Callable[[int], Verdict], limit: int) -> Sequence[Reaped]:
        """Take back tasks of lost workers; see `TaskStore.reap`."""
        async with self._write("reap") as tx:
            expired = await tx.fetch(self._do.find_expired, {"now": self.now(), "limit": limit})
            if not expired:
                return []
            lost = [lost_attempt(row, judge) for row in expired]
            states = await self._end(tx, lost, self._do.reap)
        return [
            Reaped(
                row["id"],
                row["equipment"],
                row["worker"],
                row["attempt"],
                row["accepted_at"],
                state,
            )
            for row in expired
            if (state := states.get((row["id"], row["attempt"])))
        ]

    async def cancel(self, task_id: TaskId) -> Cancellation | None:
        """Cancel a task; see `TaskStore.cancel`."""
        async with self._write("cancel") as tx:
            task = await self._lock_task(tx, task_id)
            if task is None:
                return None
            if task.state is State.CANCELLED:
                return Cancellation(task, ended=False)
            if task.state in {State.SUCCEEDED, State.FAILED}:
                raise TransitionError(f"the task has {task.state} and cannot be cancelled any more")
            now, why = self.now(), "Cancelled while it waited"
            given = {"task_id": task_id, "why": why, "now": now}
            ended = await tx.fetch(self._do.cancel_queued, given)
            asked = [] if ended else await tx.fetch(self._do.request_cancel, {"task_id": task_id})
            for row in ended:
                event = event_row(
                    task_id,
                    EventName.CANCELLED,
                    row["attempt"],
                    reason=Reason.CANCELLED,
                    message=why,
                )
                await self._record(tx, now, [event])
            for row in asked:
                event = event_row(
                    task_id, EventName.CANCEL_REQUESTED, row["attempt"], reason=Reason.CANCELLED
                )
                await self._record(tx, now, [event])
            if ended:
                ready = await self._promote(tx, [task.equipment], now)
                await self._tell(tx, ready=bool(ready), ended=[task_id])
            changed = await queries.get(tx, task_id)
        return None if changed is None else Cancellation(changed, ended=bool(ended))

    async def replay(self, task_id: TaskId, traceparent: str | None = None) -> Task | None:
        """Queue a failed task again; see `TaskStore.replay`."""
        async with self._write("replay") as tx:
            task = await self._lock_task(tx, task_id)
            if task is None:
                return None
            now = self.now()
            if not await tx.fetch(
                self._do.replay, {"task_id": task_id, "traceparent": traceparent}
            ):
                raise TransitionError(
                    f"the task is {task.state}; only failed tasks are tried again"
                )
            await self._record(tx, now, [event_row(task_id, EventName.REPLAYED, task.attempt)])
            await self._promote(tx, [task.equipment], now)
            await self._tell(tx, ready=True, ended=[])
            return await queries.get(tx, task_id)

    async def get(self, task_id: TaskId) -> Task | None:
        """Return a task; None if there is no such task."""
        async with self._alone("get") as connection:
            return await queries.get(connection, task_id)

    async def history(self, task_id: TaskId) -> Sequence[Event]:
        """Return what happened to a task, oldest first."""
        async with self._alone("history") as connection:
            return await queries.history(connection, task_id)

    async def search(self, query: TaskQuery) -> Page:
        """List tasks, newest first."""
        async with self._alone("search") as connection:
            return await queries.search(connection, query)

    async def status(self, *, ended: bool = True) -> StoreStatus:
        """Count what is in the store; see `TaskStore.status`."""
        async with self._alone("status") as connection:
            return await queries.status(connection, self.now(), ended=ended)

    async def backlog(self) -> int:
        """Count the queued tasks."""
        async with self._alone("backlog") as connection:
            return await queries.backlog(connection)

    async def target(self) -> Target:
        """Return what is known about the target."""
        async with self._alone("target") as connection:
            return await target.read(connection)

    async def change_target(self, change: Callable[[Target], Target]) -> Target:
        """Change what is known about the target; see `TaskStore.change_target`."""
        async with self._write("change_target") as tx:
            return await target.change(tx, self._database.dialect, change)

    async def purge(self, ended_before_s: float, limit: int) -> int:
        """Delete old tasks; see `TaskStore.purge`."""
        given = {"ended_before": self._in(-ended_before_s, self.now()), "limit": limit}
        async with self._write("purge") as tx:
            await tx.fetch(self._do.purge_events, given)
            return len(await tx.fetch(self._do.purge_tasks, given))

    def watch(self) -> AsyncIterator[Notice]:
        """Yield a notice whenever tasks may have become ready or ended."""
        return self._notices.watch()

    async def ping(self) -> None:
        """Ask the store for a sign of life."""
        async with self._alone("ping") as connection:
            await queries.ping(connection)

    async def close(self) -> None:
        """Let go of all connections."""
        async with asyncio.timeout(self._timeout_s):
            await self._database.close()

    @asynccontextmanager
    async def _write(self, operation: str) -> AsyncIterator[Connection]:
        """Open a transaction, the only place that commits; any exception rolls it back."""
        with store_operation(operation), store_errors():
            async with asyncio.timeout(self._timeout_s), self._database.transaction() as tx:
                await self._read_clock(tx)
                yield tx

    @asynccontextmanager
    async def _alone(self, operation: str) -> AsyncIterator[Connection]:
        """Lend a connection on which each statement is a transaction of its own."""
        with store_operation(operation), store_errors():
            async with asyncio.timeout(self._timeout_s), self._database.statements() as opened:
                await self._read_clock(opened)
                yield opened

    async def _read_clock(self, tx: Connection) -> None:
        clock = self._clock
        if isinstance(clock, DatabaseClock) and clock.stale:
            clock.set(await queries.clock(tx))

    def _in(self, seconds: float, now: datetime) -> datetime:
        return now + timedelta(seconds=seconds)

    async def _lock(self, tx: Connection, devices: Iterable[str]) -> None:
        if self._do.lock_devices is not None:
            await tx.fetch(self._do.lock_devices, {"batch": _encode_devices(devices)})

    async def _lock_task(self, tx: Connection, task_id: TaskId) -> Task | None:
        """Read a task while nobody else can move its device's line."""
        task = await queries.get(tx, task_id)
        if task is None:
            return None
        await self._lock(tx, [task.equipment])
        return await queries.get(tx, task_id)

    async def _promote(
        self,
        tx: Connection,
        devices: Iterable[str],
        now: datetime,
        *,
        publish_at: datetime | None = None,
    ) -> set[TaskId]:
        given = {"batch": _encode_devices(devices), "now": now, "publish_at": publish_at or now}
        return {row["id"] for row in await tx.fetch(self._do.promote, given)}

    async def _record(self, tx: Connection, now: datetime, batch: list[dict[str, Any]]) -> None:
        if batch:
            await tx.fetch(self._do.record_events, {"events": encode(batch), "now": now})

    async def _tell(self, tx: Connection, *, ready: bool, ended: Iterable[TaskId]) -> None:
        if self._database.dialect == "postgresql":
            await tx.fetch(self._do.notify, {"notice": write_notice(ready=ready, ended=ended)})

    async def _end(
        self,
        tx: Connection,
        results: Collection[Result],
        statement: Executable,
    ) -> dict[Fence, State]:
        """Write ends, their events, and whose turn is next; returns the states written."""
        devices = {result.claim.equipment for result in results}
        await self._lock(tx, devices)
        now = self.now()
        rows = encode(end_row(result, now) for result in results)
        ended = await tx.fetch(statement, {"batch": rows, "now": now})
        states = {(TaskId(row["id"]), row["attempt"]): State(row["state"]) for row in ended}
        if states:
            written = [result for result in results if fence(result) in states]
            happened = [end_event(one, states[fence(one)], now) for one in written]
            over = [task_id for (task_id, _), state in states.items() if state is not State.QUEUED]
            await self._pass_on(
                tx, devices, now, happened, over=over, again=len(states) > len(over)
            )
        return states

    async def _pass_on(
        self,
        tx: Connection,
        devices: Iterable[str],
        now: datetime,
        happened: list[dict[str, Any]],
        *,
        over: Collection[TaskId],
        again: bool,
    ) -> None:
        """Record what happened, and let the next of each device, and who waits for an end, know.

        `over` are the tasks that ended; `again` says that others are queued once more.
        """
        if not self._do.recording:
            await self._record(tx, now, happened)
            await self._promote(tx, devices, now)
            return
        given = {
            "events": encode(happened),
            "batch": _encode_devices(devices),
            "now": now,
            "publish_at": now,
            "notice": write_notice(ready=again, ended=over),
            "notice_if_ready": write_notice(ready=True, ended=over),
        }
        await tx.fetch(self._do.pass_on, given)


def _gone(task_id: TaskId, won: Rows, worker: str) -> Refused:
    """Refuse an id that the store does not know, or that was claimed twice at once."""
    running = any(row["id"] == task_id for row in won)
    return Refused(task_id, State.RUNNING, worker) if running else Refused(task_id, None)


def _line_full(task: NewTask, max_waiting: int) -> LineFullError:
    return LineFullError(f"{max_waiting} tasks of {task.equipment} wait already")


def _encode_devices(devices: Iterable[str]) -> str:
    return encode({"equipment": device} for device in devices)


def _own_clock(database: Database) -> Clock:
    return DatabaseClock() if database.dialect == "postgresql" else SystemClock()
