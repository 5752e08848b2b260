"""The statements that begin attempts and hold their leases."""

from sqlalchemy import (
    Executable,
    Select,
    String,
    Update,
    and_,
    bindparam,
    false,
    func,
    null,
    or_,
    select,
    update,
)

from activation.domain.task import EventName
from activation.store.sql.batch import batch
from activation.store.sql.schema import Utc, tasks
from activation.store.sql.statements.conditions import among, joined
from activation.store.sql.statements.history import with_events
from activation.store.sql.statements.parameters import FENCED, IDS, NOW, QUEUED, RUNNING

_t = tasks.c


def claim(dialect: str) -> Executable:
    """Begin an attempt of what may run now of `batch`; the row lock lets one worker win.

    With its event if `recording`.
    """
    worker = bindparam("worker_id", type_=String)
    runnable = (
        select(_t.seq)
        .where(among(dialect, _t.id, select(batch(dialect, IDS).c.id)))
        # No index has this condition, so all of them are left to the ids.
        .where(_t.state == QUEUED, func.coalesce(_t.head, false()))
        .where(or_(_t.not_before.is_(None), _t.not_before <= NOW))
        .order_by(_t.seq)
        .with_for_update()
        .cte("runnable")
    )
    claimed = (
        update(tasks)
        .where(among(dialect, _t.seq, select(runnable.c.seq)))
        .values(
            state=RUNNING,
            attempt=_t.attempt + 1,
            worker=worker,
            started_at=NOW,
            lease_until=bindparam("leased_until", type_=Utc),
            not_before=null(),
            publish_at=null(),
            deferred=false(),
        )
        .returning(
            _t.id,
            _t.equipment,
            _t.attempt,
            (_t.attempt - _t.uncounted).label("counted"),
            _t.timeout_s,
            _t.parameters,
            _t.accepted_at,
            _t.runnable_at,
            _t.traceparent,
            _t.reason,
        )
    )
    return with_events(dialect, claimed, EventName.STARTED, worker=worker)


def find_by_id(dialect: str) -> Select[tuple[object, ...]]:
    """Look at the tasks of `batch` as they are."""
    return select(_t.id, _t.state, _t.attempt, _t.worker, _t.message).where(
        among(dialect, _t.id, select(batch(dialect, IDS).c.id))
    )


def renew(dialect: str) -> Update:
    """Renew the leases of `batch` whose fence still holds."""
    held = batch(dialect, FENCED)
    valid = (
        select(_t.seq)
        .join_from(tasks, held, and_(_t.id == held.c.id, _t.attempt == held.c.attempt))
        .where(joined(dialect, _t.id, select(held.c.id)), _t.state == RUNNING)
        .order_by(_t.seq)
        .with_for_update(of=tasks)
        .cte("valid")
    )
    return (
        update(tasks)
        .where(among(dialect, _t.seq, select(valid.c.seq)))
        .values(lease_until=bindparam("leased_until", type_=Utc))
        .returning(_t.id)
    )
