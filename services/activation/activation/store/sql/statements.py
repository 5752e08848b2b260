"""Every statement that changes tasks, by name, with what it promises.

Writes that touch many rows lock them in the order of `seq`, or skip what others have locked, so
that two of them never wait for each other. Whoever changes who is first in line of a device holds
that device's lock (`lock_devices`), taken by a statement of its own: the next one sees what the
holder before has committed.
"""

from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    ColumnElement,
    CompoundSelect,
    Executable,
    FromClause,
    Insert,
    Integer,
    ScalarSelect,
    Select,
    String,
    Text,
    Update,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    union,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate

from activation.domain.outcome import Reason
from activation.domain.task import EventName, State
from activation.store.sql.batch import Types, batch
from activation.store.sql.schema import Utc, events, tasks

CHANNEL = "activation"

_t = tasks.c
_now = bindparam("now", type_=Utc)
_QUEUED, _RUNNING = literal(State.QUEUED.value), literal(State.RUNNING.value)

_FENCED: Types = {"id": Uuid, "attempt": Integer}
_NEW: Types = {
    "n": Integer,
    "id": Uuid,
    "equipment": String,
    "timeout_s": Integer,
    "parameters": Text,
    "traceparent": String,
    "idempotency_key": String,
    "fingerprint": String,
    "place": Integer,
}
_ENDING: Types = {
    **_FENCED,
    "state": String,
    "reason": String,
    "message": Text,
    "dead_letter": Boolean,
    "uncounted": Integer,
    "runnable_at": Utc,
    "not_before": Utc,
    "finished_at": Utc,
}
_EVENT: Types = {
    "id": Uuid,
    "name": String,
    "attempt": Integer,
    "worker": String,
    "reason": String,
    "message": Text,
    "not_before": Utc,
}
_DEVICES: Types = {"equipment": String}
_IDS: Types = {"id": Uuid}


class Statements:
    """The statements in the dialect of one database: `postgresql` or `sqlite`.

    Attributes:
        recording: `insert_tasks` and `claim` append the events too, and `pass_on` exists: on
            PostgreSQL each statement less is a round trip less. SQLite has no such statements.
    """

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self.recording = dialect == "postgresql"
        self.lock_devices = self._lock_devices()
        self.forget_old_keys = self._forget_old_keys()
        self.insert_tasks = self._insert_tasks()
        self.find_repeated = self._find_repeated()
        self.promote = self._promote()
        self.record_events = self._record_events()
        self.pass_on = self._pass_on()
        self.take_ready = self._take_ready()
        self.mark_published = self._mark_published()
        self.offer_again = self._offer_again()
        self.claim = self._claim()
        self.find_by_id = self._find_by_id()
        self.renew = self._renew()
        self.finish = self._finish()
        self.find_expired = self._find_expired()
        self.reap = self._finish(only_expired=True)
        self.request_cancel = self._request_cancel()
        self.cancel_queued = self._cancel_queued()
        self.replay = self._replay()
        self.purge_events, self.purge_tasks = self._purge()
        self.notify = _notify(bindparam("notice", type_=String))

    def _lock_devices(self) -> Select[tuple[int]] | None:
        """Hold the devices of `batch` until the transaction ends; SQLite has one writer anyway."""
        if self._dialect != "postgresql":
            return None
        devices = batch(self._dialect, _DEVICES)
        key = func.hashtextextended(devices.c.equipment, 0).label("key")
        ordered = select(key).distinct().order_by(key).subquery("ordered")
        return select(func.count(func.pg_advisory_xact_lock(ordered.c.key)))

    def _forget_old_keys(self) -> Update:
        """Free the keys of `batch` that were given before `keys_from`."""
        wanted = batch(self._dialect, _NEW)
        return (
            update(tasks)
            .where(self._among(_t.idempotency_key, select(wanted.c.idempotency_key)))
            .where(_t.accepted_at < bindparam("keys_from", type_=Utc))
            .values(idempotency_key=None)
        )

    def _insert_tasks(self) -> Executable:
        """Store what is new of `batch`, in its order; returns only the rows that were stored.

        A device with `max_waiting` queued tasks gets no more; 0 means no limit. With their events
        if `recording`.
        """
        given = batch(self._dialect, _NEW)
        other = tasks.alias("other")
        in_line = _any_of(other, given.c.equipment, other.c.finished_at.is_(None))
        new = select(given, in_line.label("in_line")).order_by(given.c.n).subquery("new")
        alone = new.c.in_line.is_(None)
        head = and_(new.c.place == 0, alone)
        most = bindparam("max_waiting", type_=Integer)
        room = or_(
            most == 0,
            and_(alone, new.c.place < most),  # without counting: most devices have no line
            _waiting(new.c.equipment, most) + new.c.place < most,
        )
        values = {
            **{name: new.c[name] for name in list(_NEW)[1:-1]},
            "state": _QUEUED,
            "accepted_at": _now,
            "head": head,
            "attempt": literal(0),
            "uncounted": literal(0),
            "runnable_at": case((head, _now)),
            "publish_at": case((head, bindparam("publish_at", type_=Utc))),
            "dead_letter": false(),
            "cancel_requested": false(),
        }
        # SQLite reads ON CONFLICT after SELECT only behind a WHERE.
        rows = select(*values.values()).where(room)
        empty = postgresql.insert(tasks) if self._dialect == "postgresql" else sqlite.insert(tasks)
        filled = empty.from_select(list(values), rows, include_defaults=False)
        inserted = filled.on_conflict_do_nothing().returning(_t.id, _t.head, _t.attempt)
        return self._with_events(inserted, EventName.ACCEPTED)

    def _find_repeated(self) -> CompoundSelect[tuple[object, ...]]:
        """Find the tasks that already answer rows of `batch`, by id or by idempotency key."""
        new = batch(self._dialect, _NEW)
        ready = and_(_t.head, _t.publish_at.is_not(None)).label("ready")

        def found(known: ColumnElement[Any], given: ColumnElement[Any]) -> Select[Any]:
            answers = select(new.c.n, _t.id, _t.fingerprint, ready)
            same = answers.join_from(new, tasks, known == given)
            return same.where(self._joined(known, select(given)))

        return union(found(_t.id, new.c.id), found(_t.idempotency_key, new.c.idempotency_key))

    def _promote(self) -> Update:
        """Make the oldest unfinished task the first in line, for devices of `batch` without one."""
        devices = batch(self._dialect, _DEVICES)
        present, line = tasks.alias("present"), tasks.alias("line")
        oldest = (
            select(func.min(line.c.seq))
            .where(line.c.equipment == devices.c.equipment, line.c.finished_at.is_(None))
            .scalar_subquery()
        )
        without_head = _any_of(present, devices.c.equipment, present.c.head).is_(None)
        return (
            update(tasks)
            .where(self._among(_t.seq, select(oldest).where(without_head).select_from(devices)))
            .values(head=True, publish_at=bindparam("publish_at", type_=Utc), runnable_at=_now)
            .returning(_t.id)
        )

    def _record_events(self) -> Insert:
        """Append `events`, in their order."""
        new = batch(self._dialect, _EVENT, parameter_name="events")
        return insert(events).from_select(
            ["task_id", "at", *list(_EVENT)[1:]],
            select(new.c.id, _now, *(new.c[name] for name in list(_EVENT)[1:])),
            include_defaults=False,
        )

    def _with_events(
        self, change: ReturningInsert[Any] | ReturningUpdate[Any], name: EventName, **columns: Any
    ) -> Executable:
        """Append an event for each task that a statement changes, if `recording`."""
        if not self.recording:
            return change
        changed = change.cte("changed")
        values = {
            "task_id": changed.c.id,
            "at": _now,
            "name": literal(name.value),
            "attempt": changed.c.attempt,
            **columns,
        }
        recorded = insert(events).from_select(
            list(values), select(*values.values()), include_defaults=False
        )
        return select(changed).add_cte(recorded.cte("recorded"))

    def _pass_on(self) -> Select[tuple[object, ...]]:
        """Append `events`, `promote`, and tell: `notice_if_ready` if anybody was promoted."""
        promoted = self._promote().cte("promoted")
        notice = case(
            (exists().select_from(promoted), bindparam("notice_if_ready", type_=String)),
            else_=bindparam("notice", type_=String),
        )
        return _notify(notice).add_cte(self._record_events().cte("recorded"))

    def _take_ready(self) -> Update:
        """Lease up to `limit` due messages to one relay; two relays never get the same."""
        due = (
            select(_t.seq)
            .where(_t.publish_at <= _now, _t.state == _QUEUED)
            .order_by(_t.publish_at)
            .limit(bindparam("limit", type_=Integer))
            .with_for_update(skip_locked=True)
        )
        return (
            update(tasks)
            .where(self._among(_t.seq, due))
            .values(publish_at=bindparam("leased_until", type_=Utc))
            .returning(_t.id, _t.attempt, _t.traceparent)
        )

    def _mark_published(self) -> Update:
        """Settle the outbox for `batch`, unless an attempt has begun since: it settles itself."""
        confirmed = batch(self._dialect, _FENCED)
        owed = (
            select(_t.seq)
            .join_from(
                tasks, confirmed, and_(_t.id == confirmed.c.id, _t.attempt == confirmed.c.attempt)
            )
            .where(self._joined(_t.id, select(confirmed.c.id)), _t.state == _QUEUED)
            .with_for_update(of=tasks, skip_locked=True)
        )
        settled = update(tasks).where(self._among(_t.seq, owed))
        return settled.values(publish_at=null(), published_at=_now)

    def _offer_again(self) -> Update:
        """Owe a message again for up to `limit` tasks published before `published_before`."""
        lost = (
            select(_t.seq)
            .where(_t.finished_at.is_(None), _t.state == _QUEUED, _t.head)
            .where(_t.publish_at.is_(None))
            .where(_t.published_at <= bindparam("published_before", type_=Utc))
            .order_by(_t.published_at)
            .limit(bindparam("limit", type_=Integer))
            .with_for_update(skip_locked=True)
        )
        owed = update(tasks).where(self._among(_t.seq, lost))
        return owed.values(publish_at=_now).returning(_t.id)

    def _claim(self) -> Executable:
        """Begin an attempt of what may run now of `batch`; the row lock lets one worker win.

        With its event if `recording`.
        """
        worker = bindparam("worker_id", type_=String)
        runnable = (
            select(_t.seq)
            .where(self._among(_t.id, select(batch(self._dialect, _IDS).c.id)))
            # No index has this condition, so all of them are left to the ids.
            .where(_t.state == _QUEUED, func.coalesce(_t.head, false()))
            .where(or_(_t.not_before.is_(None), _t.not_before <= _now))
            .order_by(_t.seq)
            .with_for_update()
            .cte("runnable")
        )
        claimed = (
            update(tasks)
            .where(self._among(_t.seq, select(runnable.c.seq)))
            .values(
                state=_RUNNING,
                attempt=_t.attempt + 1,
                worker=worker,
                started_at=_now,
                lease_until=bindparam("leased_until", type_=Utc),
                not_before=null(),
                publish_at=null(),
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
        return self._with_events(claimed, EventName.STARTED, worker=worker)

    def _find_by_id(self) -> Select[tuple[object, ...]]:
        """Look at the tasks of `batch` as they are."""
        return select(_t.id, _t.state, _t.attempt, _t.worker, _t.message).where(
            self._among(_t.id, select(batch(self._dialect, _IDS).c.id))
        )

    def _renew(self) -> Update:
        """Renew the leases of `batch` whose fence still holds."""
        held = batch(self._dialect, _FENCED)
        valid = (
            select(_t.seq)
            .join_from(tasks, held, and_(_t.id == held.c.id, _t.attempt == held.c.attempt))
            .where(self._joined(_t.id, select(held.c.id)), _t.state == _RUNNING)
            .order_by(_t.seq)
            .with_for_update(of=tasks)
            .cte("valid")
        )
        return (
            update(tasks)
            .where(self._among(_t.seq, select(valid.c.seq)))
            .values(lease_until=bindparam("leased_until", type_=Utc))
            .returning(_t.id)
        )

    def _finish(self, *, only_expired: bool = False) -> Update:
        """Write the ends of `batch` under their fences; stale ones match no row.

        A task that was asked to be cancelled is not queued again. With `only_expired` a lease that
        was renewed in the meantime protects its task.
        """
        end = batch(self._dialect, _ENDING)
        fenced = (
            select(_t.seq, *end.c)
            .join_from(tasks, end, and_(_t.id == end.c.id, _t.attempt == end.c.attempt))
            .where(self._joined(_t.id, select(end.c.id)), _t.state == _RUNNING)
            .where(_t.lease_until <= _now if only_expired else true())
            .order_by(_t.seq)
            .with_for_update(of=tasks)
            .cte("fenced")
        )
        withdrawn = and_(_t.cancel_requested, fenced.c.state == _QUEUED)
        queued = and_(~_t.cancel_requested, fenced.c.state == _QUEUED)
        return (
            update(tasks)
            .where(_t.seq == fenced.c.seq, self._joined(_t.seq, select(fenced.c.seq)))
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
                finished_at=case((queued, null()), else_=_now),
                worker=null(),
                lease_until=null(),
            )
            .returning(_t.id, _t.attempt, _t.state)
        )

    def _find_expired(self) -> Select[tuple[object, ...]]:
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
            .where(_t.lease_until <= _now)
            .order_by(_t.lease_until)
            .limit(bindparam("limit", type_=Integer))
        )

    def _request_cancel(self) -> Update:
        """Ask a running task to make no further attempt."""
        return (
            update(tasks)
            .where(_t.id == bindparam("task_id", type_=Uuid), _t.state == _RUNNING)
            .where(~_t.cancel_requested)
            .values(cancel_requested=True)
            .returning(_t.attempt)
        )

    def _cancel_queued(self) -> Update:
        """End a task that does not run."""
        return (
            update(tasks)
            .where(_t.id == bindparam("task_id", type_=Uuid), _t.state == _QUEUED)
            .values(
                state=State.CANCELLED.value,
                reason=Reason.CANCELLED.value,
                message=bindparam("why", type_=Text),
                finished_at=_now,
                head=False,
                publish_at=null(),
                not_before=null(),
            )
            .returning(_t.attempt)
        )

    def _replay(self) -> Update:
        """Queue a failed task again with a new budget; `promote` gives it its turn."""
        return (
            update(tasks)
            .where(_t.id == bindparam("task_id", type_=Uuid))
            .where(_t.state == State.FAILED.value)
            .values(
                state=_QUEUED,
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

    def _purge(self) -> tuple[Executable, Executable]:
        """Delete the events, then the rows, of up to `limit` tasks that ended long ago."""
        old = (
            select(_t.id)
            .where(_t.finished_at <= bindparam("ended_before", type_=Utc), ~_t.dead_letter)
            .order_by(_t.finished_at, _t.seq)
            .limit(bindparam("limit", type_=Integer))
        )
        return (
            delete(events).where(self._among(events.c.task_id, old)),
            delete(tasks).where(self._among(_t.id, old)).returning(_t.id),
        )

    def _among(self, of: ColumnElement[Any], chosen: Select[tuple[Any]]) -> ColumnElement[bool]:
        """Choose rows by an indexed column; PostgreSQL reads no others, as it might for a join."""
        if self._dialect != "postgresql":
            return of.in_(chosen)
        return of == any_(func.array(chosen.scalar_subquery(), type_=ARRAY(of.type)))

    def _joined(self, on: ColumnElement[Any], chosen: Select[tuple[Any]]) -> ColumnElement[bool]:
        """Keep a join to an indexed column; SQLite does by itself.

        Told so, it would begin with the rows, and read the whole batch once for each of them.
        """
        return self._among(on, chosen) if self._dialect == "postgresql" else true()


def _any_of(
    line: FromClause, equipment: ColumnElement[str], wanted: ColumnElement[bool]
) -> ScalarSelect[int]:
    """Return 1 if a device has such a task, else NULL.

    One look for each device: what EXISTS asks, PostgreSQL may answer by reading all that waits.
    """
    found = select(literal(1)).where(line.c.equipment == equipment, wanted)
    return found.limit(1).scalar_subquery()


def _waiting(equipment: ColumnElement[str], most: ColumnElement[int]) -> ScalarSelect[int]:
    """Count the queued tasks of a device, reading no more than it takes to see that it is full."""
    line = tasks.alias("waiting")
    queued = (
        select(literal(1).label("one"))
        .where(line.c.equipment == equipment, line.c.finished_at.is_(None))
        .where(line.c.state == _QUEUED)
        .limit(most)
        .correlate(equipment.table)
        .subquery("queued")
    )
    return select(func.count()).select_from(queued).scalar_subquery()


def _notify(notice: ColumnElement[str]) -> Select[tuple[object, ...]]:
    return select(func.pg_notify(CHANNEL, notice))
