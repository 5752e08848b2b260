"""The statements of what operators do to tasks."""

from sqlalchemy import (
    Executable,
    Integer,
    String,
    Text,
    Update,
    Uuid,
    bindparam,
    delete,
    func,
    null,
    select,
    update,
)

from activation.domain.outcome import Reason
from activation.domain.task import State
from activation.store.sql.schema import Utc, events, tasks
from activation.store.sql.statements.conditions import among
from activation.store.sql.statements.parameters import NOW, QUEUED, RUNNING

_t = tasks.c


def request_cancel() -> Update:
    """Ask a running task to make no further attempt."""
    return (
        update(tasks)
        .where(_t.id == bindparam("task_id", type_=Uuid), _t.state == RUNNING)
        .where(~_t.cancel_requested)
        .values(cancel_requested=True)
        .returning(_t.attempt)
    )


def cancel_queued() -> Update:
    """End a task that does not run."""
    return (
        update(tasks)
        .where(_t.id == bindparam("task_id", type_=Uuid), _t.state == QUEUED)
        .values(
            state=State.CANCELLED.value,
            reason=Reason.CANCELLED.value,
            message=bindparam("why", type_=Text),
            finished_at=NOW,
            head=False,
            deferred=False,
            publish_at=null(),
            not_before=null(),
        )
        .returning(_t.attempt)
    )


def replay() -> Update:
    """Queue a failed task again with a new budget; `promote` gives it its turn."""
    return (
        update(tasks)
        .where(_t.id == bindparam("task_id", type_=Uuid))
        .where(_t.state == State.FAILED.value)
        .values(
            state=QUEUED,
            uncounted=_t.attempt,
            finished_at=null(),
            reason=null(),
            message=null(),
            dead_letter=False,
            cancel_requested=False,
            traceparent=func.coalesce(bindparam("traceparent", type_=String), _t.traceparent),
        )
        .returning(_t.attempt)
    )


def purge(dialect: str) -> tuple[Executable, Executable]:
    """Delete the events, then the rows, of up to `limit` tasks that ended long ago."""
    old = (
        select(_t.id)
        .where(_t.finished_at <= bindparam("ended_before", type_=Utc), ~_t.dead_letter)
        .order_by(_t.finished_at, _t.seq)
        .limit(bindparam("limit", type_=Integer))
    )
    return (
        delete(events).where(among(dialect, events.c.task_id, old)),
        delete(tasks).where(among(dialect, _t.id, old)).returning(_t.id),
    )
