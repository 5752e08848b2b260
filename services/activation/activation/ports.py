"""What the services need from the store, in the words of the domain."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from activation.domain.outcome import Outcome
from activation.domain.retry import Verdict
from activation.domain.target import Target
from activation.domain.task import Claim, Event, IdempotencyKey, NewTask, State, Task, TaskId
from activation.errors import KeyConflictError, LineFullError


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request that is durable now.

    Attributes:
        task_id: The task that answers the request: an older one if the request is a repeat.
        ready: It is new, first in line of its device, and within its caller's share: it can be
            published at once.
        repeated: The idempotency key was known; nothing new was stored.
    """

    task_id: TaskId
    ready: bool
    repeated: bool = False


NotAccepted = KeyConflictError | LineFullError


@dataclass(frozen=True, slots=True)
class Ready:
    """A task whose message is due.

    Attributes:
        attempt: The task's latest attempt when its message became due: the message is for the next.
    """

    task_id: TaskId
    traceparent: str | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """A task that could not be claimed.

    Attributes:
        state: Where the task stands; None if the store has no such task.
        worker: Who holds its lease, if anybody.
    """

    task_id: TaskId
    state: State | None
    worker: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The end of an attempt, to be written under its fence."""

    claim: Claim
    outcome: Outcome
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Reaped:
    """A running task whose lease ran out.

    Attributes:
        state: Where it went: queued again, failed as a dead letter, or cancelled if that was asked.
    """

    task_id: TaskId
    equipment: str
    worker: str | None
    attempt: int
    accepted_at: datetime
    state: State


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What a request to cancel a task came to.

    Attributes:
        task: As it stands now.
        ended: This request ended it. False: an earlier one did, or its attempt still runs.
    """

    task: Task
    ended: bool


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """Which tasks to list, newest first.

    Attributes:
        accepted_from: Inclusive.
        accepted_before: Exclusive.
        cursor: From the page before; opaque to callers.
        limit: Tasks on one page.
    """

    states: frozenset[State] = frozenset()
    equipment: str | None = None
    accepted_from: datetime | None = None
    accepted_before: datetime | None = None
    dead_letter: bool | None = None
    cursor: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks of one page, and the cursor of the next one, None at the end."""

    tasks: Sequence[Task]
    cursor: int | None = None


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The store at a glance.

    Attributes:
        counts: Tasks by state; states without tasks are there with 0.
        dead_letters: Failed tasks that used up their attempts.
        unpublished: Tasks whose message is due and not confirmed.
        unpublished_age_s: Seconds that the oldest of them has been due; 0.0 without any.
        oldest_queued_s: Seconds since the oldest queued task was accepted; 0.0 without any.
    """

    counts: dict[State, int] = field(default_factory=dict)
    dead_letters: int = 0
    unpublished: int = 0
    unpublished_age_s: float = 0.0
    oldest_queued_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Notice:
    """Something changed in the store; look again.

    Attributes:
        ready: Tasks may have become ready to publish.
        ended: Which tasks ended; None if that is not known, and every waiter must look.
    """

    ready: bool
    ended: frozenset[TaskId] | None = None


class TaskStore(Protocol):
    """Where tasks live: the one truth about them.

    Every method is one transaction: it happens wholly or not at all. Each may raise
    `StoreUnavailableError`; all but `claim` may then simply be called again.
    """

    async def accept(
        self, tasks: Sequence[NewTask], *, max_waiting: int = 0, share: int = 0
    ) -> Sequence[Accepted | NotAccepted]:
        """Store new tasks, in this order; answers come in the same order.

        A task is ready unless an older one of its equipment is unfinished. A key that the store
        knows gives its task if the fingerprint is the same, and `KeyConflictError` if not; keys
        are known for `key_lifetime_s` of the store. The caller publishes what is ready at once:
        the outbox offers it to others only after `publish_lease_s` of the store.

        Args:
            tasks: In this order they stand in the lines of their equipment.
            max_waiting: Queued tasks of one equipment at which no more of it are stored, and the
                answer is `LineFullError`; what the store knows already is answered as ever. A
                repeat may take a place from a new task of its equipment in the same call. 0: no
                limit.
            share: Tasks of one caller that may wait for workers; more are deferred until `admit`
                finds room, and so is what comes behind them. Exact but for what is accepted at the
                same moment. 0: no limit.
        """
        ...

    async def find_repeat(self, key: IdempotencyKey) -> Accepted | None:
        """Answer a request whose key the store knows, as `accept` would; None if it does not.

        Raises:
            KeyConflictError: The key belongs to a different request.
        """
        ...

    async def take_ready(self, limit: int) -> Sequence[Ready]:
        """Take tasks out of the outbox to publish them; no two callers get the same one.

        What is not marked as published within `publish_lease_s` is offered again.
        """
        ...

    async def admit(self, share: int, limit: int) -> Sequence[Ready]:
        """Take deferred tasks to publish them, as `take_ready` does: each caller's oldest.

        Two who look at the same moment may each fill the room that there is.

        Args:
            share: No more of one caller's tasks shall wait for workers; retries do not count. 0: no
                limit.
            limit: At most so many.
        """
        ...

    async def mark_published(self, published: Iterable[Ready]) -> None:
        """Settle the outbox for tasks whose message the broker has confirmed.

        Changes nothing for a task that has begun another attempt since: it may owe a new message.
        """
        ...

    async def offer_again(self, published_before_s: float, limit: int) -> int:
        """Put tasks that were published so long ago and never claimed back into the outbox.

        For messages that the broker has lost. Returns how many.
        """
        ...

    async def claim(
        self, task_ids: Sequence[TaskId], worker: str, lease_s: float, *, limited: bool = False
    ) -> Sequence[Claim | Refused]:
        """Begin an attempt of each task that is queued, first in line and due.

        Raises the attempt's number and sets the lease. Answers come in the order of the ids.

        Args:
            task_ids: Which tasks.
            worker: Who holds the leases.
            lease_s: How long.
            limited: Let no more run, of all workers, than the target's limit. There is an answer
                for as many of the first ids as there is room for; the others are left alone.
        """
        ...

    async def renew(self, claims: Sequence[Claim], lease_s: float) -> frozenset[TaskId]:
        """Renew leases; returns the tasks whose claim is no longer valid."""
        ...

    async def finish(self, results: Sequence[Result]) -> Sequence[State | None]:
        """Write the ends of attempts and make the next task of each device ready.

        Returns where each task stands now. None: the fence is stale, nothing was written. A
        result that was written before is not stale, unless more has happened to its task since;
        so of two who end one attempt, a worker and the reaper, only one is told that it did. A
        task whose cancellation was requested is cancelled instead of queued again.
        """
        ...

    async def reap(self, judge: Callable[[int], Verdict], limit: int) -> Sequence[Reaped]:
        """Take back running tasks whose lease ran out: queued again, or failed for good.

        Args:
            judge: Decides about a task by the attempts that count, the lost one included.
            limit: At most so many tasks, what was lost first.
        """
        ...

    async def cancel(self, task_id: TaskId) -> Cancellation | None:
        """Cancel a queued task; ask a running one to make no further attempt.

        None if there is no such task.

        Raises:
            TransitionError: It has ended otherwise.
        """
        ...

    async def replay(self, task_id: TaskId, traceparent: str | None = None) -> Task | None:
        """Queue a failed task again, in its old place of its device's line, with all attempts.

        None if there is no such task.

        Args:
            task_id: Which task.
            traceparent: The trace that it goes on in; None for the one of its request.

        Raises:
            TransitionError: It has not failed.
        """
        ...

    async def get(self, task_id: TaskId) -> Task | None:
        """Return a task; None if there is no such task."""
        ...

    async def history(self, task_id: TaskId) -> Sequence[Event]:
        """Return what happened to a task, oldest first."""
        ...

    async def search(self, query: TaskQuery) -> Page:
        """List tasks, newest first."""
        ...

    async def status(self, *, ended: bool = True) -> StoreStatus:
        """Count what is in the store.

        Without `ended` only unfinished tasks are counted by state, which is cheap however many
        have ended.
        """
        ...

    async def backlog(self) -> int:
        """Count the queued tasks."""
        ...

    async def running(self) -> int:
        """Count the running tasks."""
        ...

    async def target(self) -> Target:
        """Return what is known about the target of the calls."""
        ...

    async def change_target(self, change: Callable[[Target], Target]) -> Target:
        """Change what is known about the target, while nobody else does; returns what holds now.

        Args:
            change: Makes the new of the present; the same again means that nothing is written.
        """
        ...

    async def purge(self, ended_before_s: float, limit: int) -> int:
        """Delete tasks that ended so many seconds ago, with their history; returns how many.

        Dead letters stay until they are replayed.
        """
        ...

    def watch(self) -> AsyncIterator[Notice]:
        """Yield a notice whenever tasks may have become ready or ended, for ever.

        Begins with a notice, and gives one after each loss of contact, so nothing is missed.
        """
        ...

    def now(self) -> datetime:
        """Return the time that leases and retries are measured by."""
        ...

    async def ping(self) -> None:
        """Ask the store for a sign of life."""
        ...

    async def close(self) -> None:
        """Let go of all connections."""
        ...
