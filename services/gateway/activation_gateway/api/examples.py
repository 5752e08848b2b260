"""The answers that the documentation shows; made by the code that makes the real ones."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from activation.domain.outcome import Reason
from activation.domain.target import Standing
from activation.domain.task import Event, EventName, State, Task, TaskId
from activation.telemetry.masking import Masker
from activation_gateway.api.listing import TaskPage, write_cursor
from activation_gateway.api.operations import BrokerStatus, OutboxStatus, SystemStatus
from activation_gateway.api.representation import Representer, Submitted
from activation_gateway.api.target import TargetStatus

TASK_ID: Final = TaskId(UUID("01980f5e-2d4b-7c3a-9f10-5b6c7d8e9fa0"))
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_ACCEPTED_AT: Final = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
_STARTED_AT: Final = _ACCEPTED_AT + timedelta(milliseconds=9)
_FINISHED_AT: Final = _STARTED_AT + timedelta(seconds=58)

_represent: Final = Representer(
    masker=Masker({"password"}), max_attempts=5, now=lambda: _ACCEPTED_AT
)
_queued: Final = Task(
    id=TASK_ID,
    equipment="ABC123",
    state=State.QUEUED,
    timeout_s=60,
    parameters='{"username": "alice", "password": "secret", "vlan": 100}',
    accepted_at=_ACCEPTED_AT,
    traceparent=TRACEPARENT,
)
_running: Final = replace(
    _queued, state=State.RUNNING, attempt=1, started_at=_STARTED_AT, worker="worker-1"
)
_succeeded: Final = replace(
    _running,
    state=State.SUCCEEDED,
    finished_at=_FINISHED_AT,
    worker=None,
    reason=Reason.COMPLETED,
    message="Completed",
)
_failed: Final = replace(
    _succeeded,
    state=State.FAILED,
    reason=Reason.PROVISIONING_ERROR,
    message="The handler answered 500: line card out of service",
)
_history: Final = (
    Event(_ACCEPTED_AT, EventName.ACCEPTED, attempt=0),
    Event(_STARTED_AT, EventName.STARTED, attempt=1, worker="worker-1"),
    Event(_FINISHED_AT, EventName.SUCCEEDED, 1, reason=Reason.COMPLETED, message="Completed"),
)

SUBMITTED: Final = Submitted(200, TASK_ID)
SUBMITTED_ASYNC: Final = Submitted(202, TASK_ID)
QUEUED: Final = _represent.task(_queued)
RUNNING: Final = _represent.task(_running)
CANCELLING: Final = _represent.task(replace(_running, cancel_requested=True))
CANCELLED: Final = _represent.task(
    replace(
        _queued,
        state=State.CANCELLED,
        finished_at=_FINISHED_AT,
        reason=Reason.CANCELLED,
        message="Cancelled while it waited",
    )
)
SUCCEEDED: Final = _represent.task(_succeeded)
FAILED: Final = _represent.task(_failed)
HISTORY: Final = _represent.history(_succeeded, _history)
PAGE: Final = TaskPage([RUNNING, SUCCEEDED], write_cursor(41))
STATUS: Final = SystemStatus(
    counts={
        State.QUEUED: 120,
        State.RUNNING: 50,
        State.SUCCEEDED: 9_800,
        State.FAILED: 30,
        State.CANCELLED: 0,
    },
    dead_letters=3,
    outbox=OutboxStatus(unpublished=0, age_seconds=0.0),
    oldest_queued_seconds=71.5,
    queue=BrokerStatus(connected=True, ready=110, consumers=2, dead=0),
)
TARGET_CLOSED: Final = TargetStatus(
    state=Standing.CLOSED,
    why=None,
    held_until=None,
    openings=0,
    prober=None,
    paused_at=None,
    under_way=30,
    limit=None,
    max_calls=None,
    overloaded_at=None,
)
TARGET_OPEN: Final = replace(
    TARGET_CLOSED,
    state=Standing.OPEN,
    why="unavailable: 503 Service Unavailable",
    held_until=_FINISHED_AT,
    openings=2,
)
TARGET_OVERLOADED: Final = replace(TARGET_CLOSED, limit=31, overloaded_at=_ACCEPTED_AT)
TARGET_LIMITED: Final = replace(TARGET_CLOSED, limit=20, max_calls=20)
TARGET_PAUSED: Final = replace(TARGET_CLOSED, state=Standing.PAUSED, paused_at=_ACCEPTED_AT)
