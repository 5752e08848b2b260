"""The statements about callers' shares: how many of one caller's tasks wait for workers."""

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Select,
    Text,
    Update,
    bindparam,
    case,
    false,
    func,
    literal,
    null,
    select,
    text,
    update,
)

from activation.store.sql.batch import Types, batch
from activation.store.sql.schema import WAITS_IN_SHARE, Utc, tasks
from activation.store.sql.statements.conditions import among

_t = tasks.c
_CALLERS: Types = {"caller": Text}
_SHARE = bindparam("share", type_=Integer)
_DEFERRED = text("deferred")  # as the index has it: SQLite would not know `deferred = 1` again


def find_room(dialect: str) -> Select[tuple[object, ...]]:
    """Count the room in the shares of the callers of `batch`; none behind what is deferred."""
    given = batch(dialect, _CALLERS)
    room = case((_deferred_task(given.c.caller).is_not(None), 0), else_=_room(given.c.caller))
    return select(given.c.caller, room.label("room"))


def find_deferring() -> Select[tuple[object, ...]]:
    """Find the callers with deferred tasks and room for them.

    From one caller to the next: however many tasks are deferred, one of each caller is read.
    """
    first = select(func.min(_t.caller).label("caller")).where(_DEFERRED)
    callers = first.cte("callers", recursive=True)
    further = (
        select(func.min(_t.caller))
        .where(_DEFERRED, _t.caller > callers.c.caller)
        .correlate(callers)
        .scalar_subquery()
    )
    callers = callers.union_all(select(further).where(callers.c.caller.is_not(None)))
    room = case((_SHARE == 0, bindparam("limit", type_=Integer)), else_=_room(callers.c.caller))
    found = select(callers.c.caller, room.label("room")).where(callers.c.caller.is_not(None))
    deferring = found.subquery("deferring")
    return select(deferring.c.caller, deferring.c.room).where(deferring.c.room > 0)


def admit(dialect: str) -> Update:
    """Take up to `limit` deferred tasks of a caller; two relays never get the same."""
    oldest = (
        select(_t.seq)
        .where(_DEFERRED, _t.caller == bindparam("of_caller", type_=Text))
        .order_by(_t.seq)
        .limit(bindparam("limit", type_=Integer))
        .with_for_update(skip_locked=True)
    )
    return (
        update(tasks)
        .where(among(dialect, _t.seq, oldest))
        .values(
            deferred=false(),
            publish_at=bindparam("leased_until", type_=Utc),
            published_at=null(),
        )
        .returning(_t.id, _t.attempt, _t.traceparent)
    )


def _room(caller: ColumnElement[str]) -> ColumnElement[int]:
    """Count, reading no more of the caller's tasks than it takes to see that there is none."""
    waiting = (
        select(literal(1).label("one"))
        .select_from(tasks)
        .where(_t.caller == caller, text(WAITS_IN_SHARE))
        .limit(_SHARE)
        .correlate(caller.table)
        .subquery("waiting")
    )
    return _SHARE - select(func.count()).select_from(waiting).scalar_subquery()


def _deferred_task(caller: ColumnElement[str]) -> ScalarSelect[int]:
    found = select(literal(1)).select_from(tasks).where(_t.caller == caller, _DEFERRED)
    return found.limit(1).correlate(caller.table).scalar_subquery()
