"""Tasks in a database: each operation is one transaction, with a deadline."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from activation.clock import Clock, SystemClock
from activation.domain.retry import Verdict
from activation.domain.target import Target
from activation.domain.task import Claim, Event, IdempotencyKey, NewTask, State, Task, TaskId
from activation.errors import KeyConflictError
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
from activation.store.sql import accepting, claiming, operators, queries, target
from activation.store.sql.batch import encode, encode_ids
from activation.store.sql.clock import DatabaseClock
from activation.store.sql.database import Connection, Database
from activation.store.sql.errors import store_errors
from activation.store.sql.notices import Notices
from activation.store.sql.results import fence, lost_attempt, written_before
from activation.store.sql.rows import ready_of
from activation.store.sql.statements import statements
from activation.store.sql.transaction import Transaction
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
        self._publish_lease = timedelta(seconds=publish_lease_s)
        self._key_lifetime = timedelta(seconds=key_lifetime_s)
        self._do = statements(database.dialect)

    def now(self) -> datetime:
        """Return the time that leases and retries are measured by."""
        return self._clock.now()

    async def accept(
        self, tasks: Sequence[NewTask], *, max_waiting: int = 0, share: int = 0
    ) -> Sequence[Accepted | NotAccepted]:
        """Store new tasks; see `TaskStore.accept`."""
        async with self._write("accept") as tx:
            return await accepting.accept(
                tx,
                tasks,
                max_waiting=max_waiting,
                share=share,
                publish_lease=self._publish_lease,
                key_lifetime=self._key_lifetime,
            )

    async def find_repeat(self, key: IdempotencyKey) -> Accepted | None:
        """Answer a request whose key is known; see `TaskStore.find_repeat`."""
        async with self._alone("find_repeat") as connection:
            answer = await queries.find_repeat(connection, key, self.now() - self._key_lifetime)
        if isinstance(answer, KeyConflictError):
            raise answer
        return answer

    async def take_ready(self, limit: int) -> Sequence[Ready]:
        """Take tasks out of the outbox; see `TaskStore.take_ready`."""
        async with self._alone("take_ready") as tx:
            now = self.now()
            taken = await tx.fetch(
                self._do.take_ready,
                {"now": now, "limit": limit, "leased_until": now + self._publish_lease},
            )
        return [ready_of(row) for row in taken]

    async def admit(self, share: int, limit: int) -> Sequence[Ready]:
        """Take deferred tasks to publish them; see `TaskStore.admit`.

        A transaction for each caller: what is taken and then not published is offered again.
        """
        admitted: list[Ready] = []
        async with self._alone("admit") as tx:
            given = {"share": share, "limit": limit}
            for deferring in await tx.fetch(self._do.find_deferring, given):
                most = min(deferring["room"], limit - len(admitted))
                if most <= 0:
                    break
                leased_until = self.now() + self._publish_lease
                taken = await tx.fetch(
                    self._do.admit,
                    {"of_caller": deferring["caller"], "limit": most, "leased_until": leased_until},
                )
                admitted += [ready_of(row) for row in taken]
        return admitted

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
                    "published_before": now - timedelta(seconds=published_before_s),
                },
            )
        return len(offered)

    async def claim(
        self, task_ids: Sequence[TaskId], worker: str, lease_s: float, *, limited: bool = False
    ) -> Sequence[Claim | Refused]:
        """Begin attempts; see `TaskStore.claim`."""
        begin = self._alone if self._do.recording and not limited else self._write
        async with begin("claim") as tx:
            now = self.now()
            if limited:
                task_ids = task_ids[: await target.room(tx, now)]
            return await claiming.claim(
                tx,
                self._do,
                task_ids,
                worker=worker,
                now=now,
                lease=timedelta(seconds=lease_s),
            )

    async def renew(self, claims: Sequence[Claim], lease_s: float) -> frozenset[TaskId]:
        """Renew leases; see `TaskStore.renew`."""
        held = [{"id": claim.task_id.hex, "attempt": claim.attempt} for claim in claims]
        async with self._alone("renew") as tx:
            now = self.now()
            valid = await tx.fetch(
                self._do.renew,
                {"batch": encode(held), "leased_until": now + timedelta(seconds=lease_s)},
            )
        return frozenset(claim.task_id for claim in claims) - {row["id"] for row in valid}

    async def finish(self, results: Sequence[Result]) -> Sequence[State | None]:
        """Write the ends of attempts; see `TaskStore.finish`."""
        by_fence = {fence(result): result for result in results}
        async with self._write("finish") as tx:
            states = await tx.end(by_fence.values(), self._do.finish)
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
            states = await tx.end(lost, self._do.reap)
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
            return await operators.cancel(tx, task_id)

    async def replay(self, task_id: TaskId, traceparent: str | None = None) -> Task | None:
        """Queue a failed task again; see `TaskStore.replay`."""
        async with self._write("replay") as tx:
            return await operators.replay(tx, task_id, traceparent)

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

    async def running(self) -> int:
        """Count the running tasks."""
        async with self._alone("running") as connection:
            return await queries.running(connection)

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
        given = {
            "ended_before": self.now() - timedelta(seconds=ended_before_s),
            "limit": limit,
        }
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
    async def _write(self, operation: str) -> AsyncIterator[Transaction]:
        """Open a transaction, the only place that commits; any exception rolls it back."""
        with store_operation(operation), store_errors():
            async with asyncio.timeout(self._timeout_s), self._database.transaction() as tx:
                await self._read_clock(tx)
                yield Transaction(tx, self._do, self._clock)

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


def _own_clock(database: Database) -> Clock:
    return DatabaseClock() if database.dialect == "postgresql" else SystemClock()
