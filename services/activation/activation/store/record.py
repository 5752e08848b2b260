"""One task as the memory store keeps it, and the steps that it can take."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from activation.domain.outcome import Outcome, Reason
from activation.domain.retry import Verdict
from activation.domain.task import (
    FOLLOWS,
    UNFINISHED,
    Claim,
    Event,
    EventName,
    NewTask,
    State,
    Task,
)
from activation.errors import TransitionError
from activation.ports import Result

CANCELLED = Outcome(Reason.CANCELLED, "Cancelled while it waited")


@dataclass(slots=True, eq=False)
class Record:
    """A task, and what the store keeps beside it.

    Attributes:
        seq: Its place among all tasks in the order accepted; a replay does not change it.
        runnable_at: Since when it can be claimed; without meaning until it is first in line.
        publish_at: From when on the outbox offers it; None if no message is owed.
        published_at: When the broker confirmed its message; None once that was used.
        caller: Who asked for it.
    """

    seq: int
    task: Task
    history: list[Event]
    runnable_at: datetime
    publish_at: datetime | None = None
    published_at: datetime | None = None
    caller: str | None = None

    @classmethod
    def accepted(cls, seq: int, new: NewTask, now: datetime) -> "Record":
        """Begin the record of a new task, at the end of its device's line."""
        task = Task(
            id=new.id,
            equipment=new.equipment,
            state=State.QUEUED,
            timeout_s=new.timeout_s,
            parameters=new.parameters,
            accepted_at=now,
            first_in_line=False,
            traceparent=new.traceparent,
        )
        accepted = Event(now, EventName.ACCEPTED, attempt=0)
        return cls(seq, task, [accepted], runnable_at=now, caller=new.caller)

    @property
    def unfinished(self) -> bool:
        """Whether the task keeps its place in its device's line."""
        return self.task.state in UNFINISHED

    def view(self) -> Task:
        """Show the task as readers see it."""
        return replace(self.task, unpublished=self.publish_at is not None)

    @property
    def in_share(self) -> bool:
        """Whether the task waits for a worker for the first time, within its caller's share."""
        task = self.task
        first = task.state is State.QUEUED and task.not_before is None
        return first and task.first_in_line and not task.deferred

    def can_start(self, now: datetime) -> bool:
        """Tell whether the task is queued, first in line and due."""
        task = self.task
        due = task.not_before is None or task.not_before <= now
        return task.state is State.QUEUED and task.first_in_line and due

    def is_held_by(self, claim: Claim) -> bool:
        """Tell whether the claim's attempt is the one that runs."""
        return self.task.state is State.RUNNING and self.task.attempt == claim.attempt

    def agrees_with(self, result: Result) -> bool:
        """Tell whether this very result was written before.

        The message tells a worker's word from the reaper's, and from an operator's since.
        """
        task = self.task
        withdrawn = result.verdict.state is State.QUEUED and task.state is State.CANCELLED
        same_end = task.state is result.verdict.state or withdrawn
        same_word = task.message == result.outcome.message
        return same_end and same_word and task.attempt == result.claim.attempt

    def step_forward(self, now: datetime) -> None:
        """Become the first in line: its message is owed from now on."""
        self.task = replace(self.task, first_in_line=True)
        self.runnable_at = self.publish_at = now

    def defer(self, now: datetime) -> None:
        """Owe no message for now; older code takes the task for one whose message was lost."""
        self.task = replace(self.task, deferred=True)
        self.publish_at, self.published_at = None, now

    def admit(self, publish_at: datetime) -> None:
        """Owe the message of a deferred task."""
        self.task = replace(self.task, deferred=False)
        self.publish_at, self.published_at = publish_at, None

    def settle(self, now: datetime, attempt: int) -> None:
        """Note that the broker confirmed the message for the attempt after this one."""
        if self.task.state is State.QUEUED and self.task.attempt == attempt:
            self.publish_at, self.published_at = None, now

    def start(self, now: datetime, worker: str, lease_until: datetime) -> Claim:
        """Go from queued to running: a new attempt."""
        task = self.task
        attempt = task.attempt + 1
        self._step(
            Event(now, EventName.STARTED, attempt, worker),
            State.RUNNING,
            attempt=attempt,
            worker=worker,
            started_at=now,
            lease_until=lease_until,
            not_before=None,
            deferred=False,
        )
        self.publish_at = self.published_at = None
        return Claim(
            task_id=task.id,
            equipment=task.equipment,
            attempt=attempt,
            counted=attempt - task.uncounted,
            timeout_s=task.timeout_s,
            parameters=task.parameters,
            accepted_at=task.accepted_at,
            waited_s=(now - self.runnable_at).total_seconds(),
            traceparent=task.traceparent,
            previous=task.reason,
        )

    def end_attempt(self, now: datetime, outcome: Outcome, verdict: Verdict) -> None:
        """Go from running to where the verdict says; a cancelled task is not queued again."""
        if not verdict.counted:
            self.task = replace(self.task, uncounted=self.task.uncounted + 1)
        if verdict.state is not State.QUEUED:
            self.end(now, verdict.state, outcome, dead_letter=verdict.dead_letter)
        elif self.task.cancel_requested:
            self.end(now, State.CANCELLED, Outcome(Reason.CANCELLED, outcome.message))
        else:
            self._queue_again(now, outcome, verdict)

    def end(
        self, now: datetime, state: State, outcome: Outcome, *, dead_letter: bool = False
    ) -> None:
        """Go to an end and leave the line."""
        name = EventName(state.value)  # the three ends are called like their states
        self._step(
            Event(now, name, self.task.attempt, reason=outcome.reason, message=outcome.message),
            state,
            first_in_line=False,
            not_before=None,
            deferred=False,
            finished_at=now,
            lease_until=None,
            worker=None,
            reason=outcome.reason,
            message=outcome.message,
            dead_letter=dead_letter,
        )
        self.publish_at = self.published_at = None

    def request_cancel(self, now: datetime) -> None:
        """Ask for no further attempt, once."""
        task = self.task
        if not task.cancel_requested:
            self.task = replace(task, cancel_requested=True)
            event = Event(now, EventName.CANCEL_REQUESTED, task.attempt, reason=Reason.CANCELLED)
            self.history.append(event)

    def replay(self, now: datetime, traceparent: str | None) -> None:
        """Go from failed to queued, as if nothing had been tried; the attempts go on counting."""
        self._step(
            Event(now, EventName.REPLAYED, self.task.attempt),
            State.QUEUED,
            uncounted=self.task.attempt,
            finished_at=None,
            reason=None,
            message=None,
            dead_letter=False,
            cancel_requested=False,
            traceparent=traceparent or self.task.traceparent,
        )

    def _queue_again(self, now: datetime, outcome: Outcome, verdict: Verdict) -> None:
        due = now + timedelta(seconds=verdict.retry_in_s)
        name = _way_back(outcome)
        self._step(
            Event(
                at=now,
                name=name,
                attempt=self.task.attempt,
                reason=outcome.reason,
                message=outcome.message,
                not_before=due if name is EventName.RETRY_SCHEDULED else None,
            ),
            State.QUEUED,
            not_before=None if outcome.withdrawn else due,
            lease_until=None,
            worker=None,
            reason=outcome.reason,
            message=outcome.message,
        )
        self.runnable_at = self.publish_at = due

    def _step(self, event: Event, state: State, **changes: Any) -> None:
        """Take one step of the state table and write it into the history."""
        if state not in FOLLOWS[self.task.state]:
            raise TransitionError(
                f"Task {self.task.id} cannot go from {self.task.state} to {state}"
            )
        self.task = replace(self.task, state=state, **changes)
        self.history.append(event)


def _way_back(outcome: Outcome) -> EventName:
    """Name the step from running to queued."""
    if outcome.reason is Reason.WORKER_LOST:
        return EventName.LEASE_EXPIRED
    return EventName.HANDED_BACK if outcome.withdrawn else EventName.RETRY_SCHEDULED
