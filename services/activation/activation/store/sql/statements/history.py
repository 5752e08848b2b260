"""The statements that write what happened to tasks."""

from typing import Any

from sqlalchemy import Executable, Insert, Integer, String, Text, Uuid, insert, literal, select
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from activation.domain.task import EventName
from activation.store.sql.batch import Types, batch
from activation.store.sql.schema import Utc, events
from activation.store.sql.statements.parameters import NOW

_EVENT: Types = {
    "id": Uuid,
    "name": String,
    "attempt": Integer,
    "worker": String,
    "reason": String,
    "message": Text,
    "not_before": Utc,
}


def is_recording(dialect: str) -> bool:
    """Tell whether statements append their events too; SQLite has no such statements."""
    return dialect == "postgresql"


def record_events(dialect: str) -> Insert:
    """Append `events`, in their order."""
    new = batch(dialect, _EVENT, parameter_name="events")
    return insert(events).from_select(
        ["task_id", "at", *list(_EVENT)[1:]],
        select(new.c.id, NOW, *(new.c[name] for name in list(_EVENT)[1:])),
        include_defaults=False,
    )


def with_events(
    dialect: str,
    change: ReturningInsert[Any] | ReturningUpdate[Any],
    name: EventName,
    **columns: Any,
) -> Executable:
    """Append an event for each task that a statement changes, if `recording`."""
    if not is_recording(dialect):
        return change
    changed = change.cte("changed")
    values = {
        "task_id": changed.c.id,
        "at": NOW,
        "name": literal(name.value),
        "attempt": changed.c.attempt,
        **columns,
    }
    recorded = insert(events).from_select(
        list(values), select(*values.values()), include_defaults=False
    )
    return select(changed).add_cte(recorded.cte("recorded"))
