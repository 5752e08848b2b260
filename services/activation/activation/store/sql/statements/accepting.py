"""The statements that store new tasks, and know repeated requests."""

from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    CompoundSelect,
    Executable,
    Integer,
    ScalarSelect,
    Select,
    String,
    Text,
    Update,
    Uuid,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from activation.domain.task import EventName
from activation.store.sql.batch import Types, batch
from activation.store.sql.schema import Utc, tasks
from activation.store.sql.statements.conditions import among, any_task, joined
from activation.store.sql.statements.history import with_events
from activation.store.sql.statements.parameters import NOW, QUEUED

_t = tasks.c

_NEW: Types = {
    "n": Integer,
    "id": Uuid,
    "equipment": String,
    "timeout_s": Integer,
    "parameters": Text,
    "traceparent": String,
    "idempotency_key": String,
    "fingerprint": String,
    "caller": Text,
    "deferred": Boolean,
    "place": Integer,
}


def forget_old_keys(dialect: str) -> Update:
    """Free the keys of `batch` that were given before `keys_from`."""
    wanted = batch(dialect, _NEW)
    return (
        update(tasks)
        .where(among(dialect, _t.idempotency_key, select(wanted.c.idempotency_key)))
        .where(_t.accepted_at < bindparam("keys_from", type_=Utc))
        .values(idempotency_key=None)
    )


def insert_tasks(dialect: str) -> Executable:
    """Store what is new of `batch`, in its order; returns only the rows that were stored.

    A device with `max_waiting` queued tasks gets no more; 0 means no limit. What is deferred looks
    to older code like a task whose message was lost. With their events if `recording`.
    """
    given = batch(dialect, _NEW)
    other = tasks.alias("other")
    in_line = any_task(other, given.c.equipment, other.c.finished_at.is_(None))
    new = select(given, in_line.label("in_line")).order_by(given.c.n).subquery("new")
    alone = new.c.in_line.is_(None)
    head = and_(new.c.place == 0, alone)
    deferred = and_(head, new.c.deferred)
    most = bindparam("max_waiting", type_=Integer)
    room = or_(
        most == 0,
        and_(alone, new.c.place < most),  # without counting: most devices have no line
        _waiting(new.c.equipment, most) + new.c.place < most,
    )
    values = {
        **{name: new.c[name] for name in list(_NEW)[1:-2]},
        "deferred": deferred,
        "state": QUEUED,
        "accepted_at": NOW,
        "head": head,
        "attempt": literal(0),
        "uncounted": literal(0),
        "runnable_at": case((head, NOW)),
        "publish_at": case((and_(head, not_(deferred)), bindparam("publish_at", type_=Utc))),
        "published_at": case((deferred, NOW)),
        "dead_letter": false(),
        "cancel_requested": false(),
    }
    # SQLite reads ON CONFLICT after SELECT only behind a WHERE.
    rows = select(*values.values()).where(room)
    empty = postgresql.insert(tasks) if dialect == "postgresql" else sqlite.insert(tasks)
    filled = empty.from_select(list(values), rows, include_defaults=False)
    inserted = filled.on_conflict_do_nothing().returning(_t.id, _t.head, _t.deferred, _t.attempt)
    return with_events(dialect, inserted, EventName.ACCEPTED)


def find_repeated(dialect: str) -> CompoundSelect[tuple[object, ...]]:
    """Find the tasks that already answer rows of `batch`, by id or by idempotency key."""
    new = batch(dialect, _NEW)
    ready = and_(_t.head, _t.publish_at.is_not(None)).label("ready")

    def found(known: ColumnElement[Any], given: ColumnElement[Any]) -> Select[Any]:
        answers = select(new.c.n, _t.id, _t.fingerprint, ready)
        same = answers.join_from(new, tasks, known == given)
        return same.where(joined(dialect, known, select(given)))

    return union(found(_t.id, new.c.id), found(_t.idempotency_key, new.c.idempotency_key))


def _waiting(equipment: ColumnElement[str], most: ColumnElement[int]) -> ScalarSelect[int]:
    """Count the queued tasks of a device, reading no more than it takes to see that it is full."""
    line = tasks.alias("waiting")
    queued = (
        select(literal(1).label("one"))
        .where(line.c.equipment == equipment, line.c.finished_at.is_(None))
        .where(line.c.state == QUEUED)
        .limit(most)
        .correlate(equipment.table)
        .subquery("queued")
    )
    return select(func.count()).select_from(queued).scalar_subquery()
