"""Rows of the tables as values of the domain."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement

from activation.domain.outcome import Reason
from activation.domain.task import (
    Claim,
    Event,
    EventName,
    IdempotencyKey,
    NewTask,
    State,
    Task,
    TaskId,
)
from activation.errors import KeyConflictError
from activation.ports import Accepted, NotAccepted, Ready
from activation.store.sql.database import Row
from activation.store.sql.schema import events, tasks

NotNew = Accepted | NotAccepted

_t, _e = tasks.c, events.c

TASK_COLUMNS: Final[tuple[ColumnElement[Any], ...]] = (
    _t.seq,
    _t.id,
    _t.equipment,
    _t.state,
    _t.timeout_s,
    _t.parameters,
    _t.accepted_at,
    _t.attempt,
    _t.uncounted,
    _t.head,
    _t.publish_at,
    _t.deferred,
    _t.not_before,
    _t.started_at,
    _t.finished_at,
    _t.lease_until,
    _t.worker,
    _t.reason,
    _t.message,
    _t.dead_letter,
    _t.cancel_requested,
    _t.traceparent,
)
EVENT_COLUMNS: Final[tuple[ColumnElement[Any], ...]] = (
    _e.at,
    _e.name,
    _e.attempt,
    _e.worker,
    _e.reason,
    _e.message,
    _e.not_before,
)


def new_row(n: int, task: NewTask, *, place: int, deferred: bool) -> dict[str, Any]:
    """Write a new task as a row of a batch.

    Args:
        n: Its place in the batch, from 0.
        task: The task.
        place: Its place among the batch's tasks of its equipment, from 0.
        deferred: Its caller's share is used up.
    """
    return {
        "n": n,
        "id": task.id.hex,
        "equipment": task.equipment,
        "timeout_s": task.timeout_s,
        "parameters": task.parameters,
        "traceparent": task.traceparent,
        "idempotency_key": task.idempotency.key if task.idempotency else None,
        "fingerprint": task.idempotency.fingerprint if task.idempotency else None,
        "caller": task.caller,
        "deferred": deferred,
        "place": place,
    }


def task_of(row: Row) -> Task:
    """Read a row of `TASK_COLUMNS`."""
    given = dict(row)
    del given["seq"]
    given["id"] = TaskId(row["id"])
    given["state"] = State(row["state"])
    given["reason"] = Reason(row["reason"]) if row["reason"] else None
    given["first_in_line"] = bool(given.pop("head"))  # SQLite's flags are numbers
    given["deferred"] = bool(row["deferred"])
    given["dead_letter"] = bool(row["dead_letter"])
    given["cancel_requested"] = bool(row["cancel_requested"])
    given["unpublished"] = given.pop("publish_at") is not None
    return Task(**given)


def event_of(row: Row) -> Event:
    """Read a row of `EVENT_COLUMNS`."""
    given = dict(row)
    given["name"] = EventName(row["name"])
    given["reason"] = Reason(row["reason"]) if row["reason"] else None
    return Event(**given)


def claim_of(row: Row, waited_s: float) -> Claim:
    """Read what the statement `claim` returns."""
    return Claim(
        task_id=TaskId(row["id"]),
        equipment=row["equipment"],
        attempt=row["attempt"],
        counted=row["counted"],
        timeout_s=row["timeout_s"],
        parameters=row["parameters"],
        accepted_at=row["accepted_at"],
        waited_s=waited_s,
        traceparent=row["traceparent"],
        previous=Reason(row["reason"]) if row["reason"] else None,
    )


def ready_of(row: Row) -> Ready:
    """Read what the statements return that take tasks to publish them."""
    return Ready(TaskId(row["id"]), row["traceparent"], row["attempt"])


def repeated_answers(tasks: Sequence[NewTask], found: Sequence[Row]) -> dict[int, NotNew]:
    """Answer the requests that the store knew already, by their place in the batch."""
    answers: dict[int, NotNew] = {}
    for row in found:
        n, task_id = row["n"], TaskId(row["id"])
        task = tasks[n]
        if task_id == task.id:  # the commit was done, only its answer was lost
            answers[n] = Accepted(task_id, ready=bool(row["ready"]))
        elif task.idempotency:
            answers.setdefault(n, repeat_of(row, task.idempotency))
    return answers


def repeat_of(row: Row, key: IdempotencyKey) -> Accepted | KeyConflictError:
    """Answer a request whose key belongs to the task of a row."""
    if row["fingerprint"] != key.fingerprint:
        return KeyConflictError("the idempotency key belongs to a different request")
    return Accepted(TaskId(row["id"]), ready=False, repeated=True)
