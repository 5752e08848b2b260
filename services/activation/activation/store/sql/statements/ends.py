"""The statements that end attempts."""

from sqlalchemy import (
    Boolean,
    Integer,
    Select,
    String,
    Text,
    Update,
    and_,
    bindparam,
    case,
    null,
    select,
    true,
    update,
)

from activation.domain.outcome import Reason
from activation.domain.task import State
from activation.store.sql.batch import Types, batch
from activation.store.sql.schema import Utc, tasks
from activation.store.sql.statements.conditions import joined
from activation.store.sql.statements.parameters import FENCED, NOW, QUEUED, RUNNING

_t = tasks.c

_ENDING: Types = {
    **FENCED,
    "state": String,
    "reason": String,
    "message": Text,
    "dead_letter": Boolean,
    "uncounted": Integer,
    "runnable_at": Utc,
    "not_before": Utc,
    "finished_at": Utc,
}


def finish(dialect: str, *, only_expired: bool = False) -> Update:
    """Write the ends of `batch` under their fences; stale ones match no row.

    A task that was asked to be cancelled is not queued again. With `only_expired` a lease that
    was renewed in the meantime protects its task.
    """
    end = batch(dialect, _ENDING)
    fenced = (
        select(_t.seq, *end.c)
        .join_from(tasks, end, and_(_t.id == end.c.id, _t.attempt == end.c.attempt))
        .where(joined(dialect, _t.id, select(end.c.id)), _t.state == RUNNING)
        .where(_t.lease_until <= NOW if only_expired else true())
        .order_by(_t.seq)
        .with_for_update(of=tasks)
        .cte("fenced")
    )
    withdrawn = and_(_t.cancel_requested, fenced.c.state == QUEUED)
    queued = and_(~_t.cancel_requested, fenced.c.state == QUEUED)
    return (
        update(tasks)
        .where(_t.seq == fenced.c.seq, joined(dialect, _t.seq, select(fenced.c.seq)))
        .values(
            state=case((withdrawn, State.CANCELLED.value), else_=fenced.c.state),
            reason=case((withdrawn, Reason.CANCELLED.value), else_=fenced.c.reason),
            message=fenced.c.message,
            dead_letter=and_(fenced.c.dead_letter, ~withdrawn),
            uncounted=_t.uncounted + fenced.c.uncounted,
            head=queued,
            runnable_at=case((queued, fenced.c.runnable_at), else_=_t.runnable_at),
            publish_at=case((queued, fenced.c.runnable_at)),
            not_before=case((queued, fenced.c.not_before)),
            finished_at=case((queued, null()), else_=NOW),
            worker=null(),
            lease_until=null(),
        )
        .returning(_t.id, _t.attempt, _t.state)
    )


def find_expired() -> Select[tuple[object, ...]]:
    """Look for up to `limit` running tasks whose lease ran out."""
    return (
        select(
            _t.id,
            _t.equipment,
            _t.attempt,
            (_t.attempt - _t.uncounted).label("counted"),
            _t.timeout_s,
            _t.accepted_at,
            _t.worker,
        )
        .where(_t.lease_until <= NOW)
        .order_by(_t.lease_until)
        .limit(bindparam("limit", type_=Integer))
    )
