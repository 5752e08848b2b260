"""Tasks as the API shows them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, assert_never
from uuid import UUID

from pydantic import Field

from activation.domain.outcome import Reason
from activation.domain.task import Attempt, Event, EventName, State, Task, Waiting, attempts
from activation.telemetry.masking import Masker
from activation.telemetry.tracing import is_sampled
from activation_gateway.api.answer import body
from activation_gateway.api.trace_context import trace_id


@body
@dataclass(frozen=True, slots=True)
class Message:
    """A status code, and what it means in words."""

    code: int
    message: str


@body
@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a request for an activation."""

    code: int
    task_id: UUID


EQUIPMENT_NOT_FOUND: Final = Message(404, "The requested equipment is not found")
TASK_NOT_FOUND: Final = Message(404, "The requested task is not found")
NOT_FINISHED: Final = Message(204, "Not finished")
COMPLETED: Final = Message(200, "Completed")
FAILED: Final = Message(500, "Internal provisioning exception")
CANCELLED: Final = Message(500, "The task was cancelled")


def verdict(task: Task) -> Message:
    """Say in the words of the contract where a task stands."""
    match task.state:
        case State.QUEUED | State.RUNNING:
            return NOT_FINISHED
        case State.SUCCEEDED:
            return COMPLETED
        case State.FAILED:
            unknown = task.reason is Reason.UNKNOWN_EQUIPMENT
            return EQUIPMENT_NOT_FOUND if unknown else FAILED
        case State.CANCELLED:
            return CANCELLED
        case _:
            assert_never(task.state)


@body
@dataclass(frozen=True, slots=True)
class TaskRepresentation:
    """All that can be shown of a task."""

    code: Annotated[int, Field(description="Where it stands: 204 unfinished, or 200, 404, 500.")]
    message: Annotated[str, Field(description="The code in the words of the contract.")]
    task_id: UUID
    equipment: str
    state: State
    waiting_for: Annotated[
        Waiting | None, Field(description="What a queued task waits for; null in other states.")
    ]
    reason: Annotated[
        Reason | None, Field(description="Why it ended, or its latest attempt did not succeed.")
    ]
    detail: Annotated[str | None, Field(description="The reason in words.")]
    attempt: Annotated[int, Field(description="The number of the latest attempt, from 1.")]
    max_attempts: Annotated[int, Field(description="The highest number an attempt can have.")]
    timeout_in_seconds: int
    parameters: Annotated[dict[str, Any], Field(description="As accepted; secrets are masked.")]
    accepted_at: datetime
    started_at: Annotated[datetime | None, Field(description="When the latest attempt began.")]
    finished_at: datetime | None
    not_before: Annotated[
        datetime | None, Field(description="When the next attempt can begin, if it must wait.")
    ]
    cancel_requested: Annotated[bool, Field(description="No further attempt will be made.")]
    dead_letter: Annotated[bool, Field(description="Its attempts are used up; kept for a retry.")]
    worker: Annotated[str | None, Field(description="Who runs it.")]
    trace_id: Annotated[str | None, Field(description="The W3C trace that it belongs to.")]
    trace_sampled: Annotated[
        bool, Field(description="Its trace is one of those that are recorded, if any are.")
    ]


@body
@dataclass(frozen=True, slots=True)
class EventRepresentation:
    """One step in the history of a task."""

    at: datetime
    name: EventName
    attempt: int
    worker: str | None
    reason: Reason | None
    detail: str | None
    not_before: datetime | None


@body
@dataclass(frozen=True, slots=True)
class AttemptRepresentation:
    """One try of a task at the handler."""

    number: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None
    result: EventName | None
    reason: Reason | None
    detail: str | None


@body
@dataclass(frozen=True, slots=True)
class TaskHistory(TaskRepresentation):
    """A task, and what happened to it, oldest first."""

    events: Sequence[EventRepresentation]
    attempts: Sequence[AttemptRepresentation]


class Representer:
    """Shows tasks.

    Args:
        masker: Masks the secrets among the parameters.
        max_attempts: Attempts that count before a task is a dead letter.
        now: The time by which the store measures retries.
    """

    def __init__(self, *, masker: Masker, max_attempts: int, now: Callable[[], datetime]) -> None:
        self._masker = masker
        self._max_attempts = max_attempts
        self._now = now

    def task(self, task: Task) -> TaskRepresentation:
        """Show a task."""
        return TaskRepresentation(**self._members(task))

    def history(self, task: Task, events: Sequence[Event]) -> TaskHistory:
        """Show a task with its history."""
        return TaskHistory(
            **self._members(task),
            events=[_event(event) for event in events],
            attempts=[_attempt(attempt) for attempt in attempts(events)],
        )

    def _members(self, task: Task) -> dict[str, Any]:
        words = verdict(task)
        return {
            "code": words.code,
            "message": words.message,
            "task_id": task.id,
            "equipment": task.equipment,
            "state": task.state,
            "waiting_for": task.waiting_for(self._now()),
            "reason": task.reason,
            "detail": task.message,
            "attempt": task.attempt,
            "max_attempts": self._max_attempts + task.uncounted,
            "timeout_in_seconds": task.timeout_s,
            "parameters": self._masker.mask_json(task.parameters),
            "accepted_at": task.accepted_at,
            "started_at": task.started_at,
            "finished_at": task.finished_at,
            "not_before": task.not_before,
            "cancel_requested": task.cancel_requested,
            "dead_letter": task.dead_letter,
            "worker": task.worker,
            "trace_id": trace_id(task.traceparent) if task.traceparent else None,
            "trace_sampled": task.traceparent is not None and is_sampled(task.traceparent),
        }


def _event(event: Event) -> EventRepresentation:
    return EventRepresentation(
        at=event.at,
        name=event.name,
        attempt=event.attempt,
        worker=event.worker,
        reason=event.reason,
        detail=event.message,
        not_before=event.not_before,
    )


def _attempt(attempt: Attempt) -> AttemptRepresentation:
    return AttemptRepresentation(
        number=attempt.number,
        worker=attempt.worker,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        result=attempt.result,
        reason=attempt.reason,
        detail=attempt.message,
    )
