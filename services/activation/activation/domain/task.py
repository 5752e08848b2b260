"""Tasks, their states and their history.

The life of a task::

    queued ──> running ──> succeeded
      ^  │        │  └───> failed ──(an operator's replay)──> queued
      │  │        ├──────> cancelled
      │  └────────┼──────> cancelled
      └───────────┘  a transient failure, a drain, or a lease that ran out
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from activation.domain.outcome import Reason

TaskId = NewType("TaskId", UUID)

SERIAL_NUMBER: Final = re.compile(r"[a-zA-Z0-9]{6,}", re.ASCII)
SERIAL_NUMBER_MAX: Final = 128  # longer ids are no serial numbers and would bloat every index


def is_serial_number(text: str) -> bool:
    """Tell whether a text can name a piece of equipment."""
    return len(text) <= SERIAL_NUMBER_MAX and SERIAL_NUMBER.fullmatch(text) is not None


class State(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"  # durable; waits for its device, for `not_before`, or for a worker
    RUNNING = "running"  # one worker holds the lease; `attempt` is the fence
    SUCCEEDED = "succeeded"  # the handler answered 200
    FAILED = "failed"  # refused for good, or out of attempts: then it is a dead letter
    CANCELLED = "cancelled"  # by the client or an operator


FOLLOWS: Final[dict[State, frozenset[State]]] = {  # the only place that says what may come next
    State.QUEUED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset({State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset(),
}

ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})
UNFINISHED: Final = frozenset({State.QUEUED, State.RUNNING})


class EventName(StrEnum):
    """What happened to a task; each name is one transition, or says why one will come."""

    ACCEPTED = "accepted"  # -> queued
    STARTED = "started"  # queued -> running: an attempt begins
    RETRY_SCHEDULED = "retry_scheduled"  # running -> queued: a transient failure
    HANDED_BACK = "handed_back"  # running -> queued: the worker was stopped; costs no attempt
    LEASE_EXPIRED = "lease_expired"  # running -> queued: the worker was lost
    SUCCEEDED = "succeeded"  # running -> succeeded
    FAILED = "failed"  # running -> failed
    CANCEL_REQUESTED = "cancel_requested"  # running: no further attempt will be made
    CANCELLED = "cancelled"  # queued or running -> cancelled
    REPLAYED = "replayed"  # failed -> queued, with a new budget of attempts


class Waiting(StrEnum):
    """Why a queued task does not run yet."""

    FOR_DEVICE = "device"  # an older task of the same equipment is not finished
    FOR_SHARE = "share"  # as many of its caller's tasks as may wait for workers do already
    FOR_RETRY = "retry"  # `not_before` lies ahead
    FOR_BROKER = "broker"  # its message is not confirmed by RabbitMQ yet
    FOR_WORKER = "worker"  # its message is in the queue


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A client's promise that requests with the same key are the same request.

    Attributes:
        key: The value of the `Idempotency-Key` header.
        fingerprint: A digest of what was asked for; the same key with another one is an error.
    """

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class NewTask:
    """An accepted request that is not stored yet.

    Attributes:
        id: A UUIDv7.
        equipment: The device's serial number.
        timeout_s: How long one attempt may take, without the grace.
        parameters: A JSON object as text; it may hold secrets and never leaves the store but to
            the handler.
        idempotency: The client's key, if it gave one.
        traceparent: The W3C trace context of the request, if there is one.
        caller: Who asks, if callers have to say.
    """

    id: TaskId
    equipment: str
    timeout_s: int
    parameters: str = field(repr=False)
    idempotency: IdempotencyKey | None = None
    traceparent: str | None = None
    caller: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One accepted activation request, as stored.

    Attributes:
        attempt: The number of the latest attempt, 0 before the first; it only grows.
        uncounted: How many of the attempts do not count: handed back, or from before a replay.
        first_in_line: No older task of the same equipment is unfinished.
        unpublished: The outbox still owes a message for it.
        deferred: Its caller's share is used up; no message is owed until there is room in it.
        reason: Why it ended, or why its latest attempt did not succeed.
        message: The same in words, without secrets.
        dead_letter: It failed because its attempts were used up.
    """

    id: TaskId
    equipment: str
    state: State
    timeout_s: int
    parameters: str = field(repr=False)
    accepted_at: datetime
    attempt: int = 0
    uncounted: int = 0
    first_in_line: bool = True
    unpublished: bool = False
    deferred: bool = False
    not_before: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    lease_until: datetime | None = None
    worker: str | None = None
    reason: Reason | None = None
    message: str | None = None
    dead_letter: bool = False
    cancel_requested: bool = False
    traceparent: str | None = None

    def waiting_for(self, now: datetime) -> Waiting | None:
        """Say why the task does not run yet; None when it runs or has ended."""
        if self.state is not State.QUEUED:
            return None
        if not self.first_in_line:
            return Waiting.FOR_DEVICE
        if self.not_before is not None and self.not_before > now:
            return Waiting.FOR_RETRY
        if self.deferred:
            return Waiting.FOR_SHARE
        return Waiting.FOR_BROKER if self.unpublished else Waiting.FOR_WORKER


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's right to carry out one attempt of a task until the lease runs out.

    Attributes:
        attempt: The number of this attempt: the fence that its result must carry.
        counted: How many attempts count against the limit, this one included.
        waited_s: Seconds from the moment the task could first run until this claim.
        previous: How the attempt before ended; None before the first, and after a replay.
    """

    task_id: TaskId
    equipment: str
    attempt: int
    counted: int
    timeout_s: int
    parameters: str = field(repr=False)
    accepted_at: datetime
    waited_s: float
    traceparent: str | None = None
    previous: Reason | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One step in the history of a task."""

    at: datetime
    name: EventName
    attempt: int
    worker: str | None = None
    reason: Reason | None = None
    message: str | None = None
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a task at the handler, as its history tells it."""

    number: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None = None
    result: EventName | None = None
    reason: Reason | None = None
    message: str | None = None


_ENDS_ATTEMPT: Final = frozenset(
    {
        EventName.RETRY_SCHEDULED,
        EventName.HANDED_BACK,
        EventName.LEASE_EXPIRED,
        EventName.SUCCEEDED,
        EventName.FAILED,
        EventName.CANCELLED,
    }
)


def attempts(history: Sequence[Event]) -> list[Attempt]:
    """Read the attempts out of a task's history, oldest first."""
    found: dict[int, Attempt] = {}
    for event in history:
        if event.name is EventName.STARTED:
            found[event.attempt] = Attempt(event.attempt, event.worker, event.at)
        elif event.name in _ENDS_ATTEMPT and event.attempt in found:
            begun = found[event.attempt]
            if begun.ended_at is None:
                found[event.attempt] = Attempt(
                    number=begun.number,
                    worker=begun.worker,
                    started_at=begun.started_at,
                    ended_at=event.at,
                    result=event.name,
                    reason=event.reason,
                    message=event.message,
                )
    return list(found.values())
