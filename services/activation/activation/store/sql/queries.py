"""Reading tasks without changing them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, bindparam, func, literal, select

from activation.domain.task import UNFINISHED, Event, IdempotencyKey, State, Task, TaskId
from activation.errors import KeyConflictError
from activation.ports import Accepted, Page, StoreStatus, TaskQuery
from activation.store.sql.database import Connection
from activation.store.sql.rows import EVENT_COLUMNS, TASK_COLUMNS, event_of, repeat_of, task_of
from activation.store.sql.schema import Utc, events, tasks

_t = tasks.c
_BY_ID = select(*TASK_COLUMNS).where(_t.id == bindparam("task_id"))  # built once: it is hot
_BY_KEY = select(_t.id, _t.fingerprint).where(
    _t.idempotency_key == bindparam("key"), _t.accepted_at >= bindparam("keys_from", type_=Utc)
)
_UNFINISHED = _t.finished_at.is_(None)  # served by a partial index, however many have ended
_QUEUED = _UNFINISHED & (_t.state == State.QUEUED.value)
_N = func.count().label("n")
_BACKLOG = select(_N).where(_QUEUED)
_RUNNING = select(_N).where(_t.lease_until.is_not(None))  # as it is while a task runs, indexed
_BY_STATE = select(_t.state, _N).group_by(_t.state)
_BY_STATE_UNFINISHED = _BY_STATE.where(_UNFINISHED)
_DEAD_LETTERS = select(_N).where(_t.dead_letter)
_OUTBOX = select(_N, func.min(_t.publish_at).label("since")).where(
    _t.publish_at <= bindparam("now", type_=Utc), _t.state == State.QUEUED.value
)
_OLDEST_QUEUED = select(func.min(_t.accepted_at).label("since")).where(_QUEUED)
_CLOCK = select(func.clock_timestamp().label("now"))
_PING = select(literal(1))


async def ping(connection: Connection) -> None:
    """Ask for a sign of life."""
    await connection.fetch(_PING)


async def clock(connection: Connection) -> datetime:
    """Return the time of PostgreSQL."""
    [row] = await connection.fetch(_CLOCK)
    now: datetime = row["now"]
    return now


async def get(connection: Connection, task_id: TaskId) -> Task | None:
    """Return a task; None if there is no such task."""
    found = await connection.fetch(_BY_ID, {"task_id": task_id})
    return task_of(found[0]) if found else None


async def find_repeat(
    connection: Connection, key: IdempotencyKey, keys_from: datetime
) -> Accepted | KeyConflictError | None:
    """Answer a request whose key was given since `keys_from`; None if it was not."""
    found = await connection.fetch(_BY_KEY, {"key": key.key, "keys_from": keys_from})
    return repeat_of(found[0], key) if found else None


async def history(connection: Connection, task_id: TaskId) -> Sequence[Event]:
    """Return the events of a task, oldest first."""
    wanted = select(*EVENT_COLUMNS).where(events.c.task_id == task_id).order_by(events.c.seq)
    return [event_of(row) for row in await connection.fetch(wanted)]


async def search(connection: Connection, query: TaskQuery) -> Page:
    """List tasks, newest first; one row more than asked for tells whether a next page exists."""
    wanted = _filtered(query).order_by(_t.seq.desc()).limit(query.limit + 1)
    rows = await connection.fetch(wanted)
    shown = rows[: query.limit]
    return Page(
        tasks=[task_of(row) for row in shown],
        cursor=shown[-1]["seq"] if len(rows) > query.limit else None,
    )


def _filtered(query: TaskQuery) -> Select[tuple[object, ...]]:
    wanted = select(*TASK_COLUMNS)
    if query.states:
        wanted = wanted.where(_t.state.in_(sorted(query.states)))
    if query.states and query.states <= UNFINISHED:
        wanted = wanted.where(_UNFINISHED)
    if query.equipment is not None:
        wanted = wanted.where(_t.equipment == query.equipment)
    if query.accepted_from is not None:
        wanted = wanted.where(_t.accepted_at >= query.accepted_from)
    if query.accepted_before is not None:
        wanted = wanted.where(_t.accepted_at < query.accepted_before)
    if query.dead_letter is not None:
        wanted = wanted.where(_t.dead_letter if query.dead_letter else ~_t.dead_letter)
    if query.cursor is not None:
        wanted = wanted.where(_t.seq < query.cursor)
    return wanted


async def backlog(connection: Connection) -> int:
    """Count the queued tasks."""
    [row] = await connection.fetch(_BACKLOG)
    return int(row["n"])


async def running(connection: Connection) -> int:
    """Count the running tasks."""
    [row] = await connection.fetch(_RUNNING)
    return int(row["n"])


async def status(connection: Connection, now: datetime, *, ended: bool) -> StoreStatus:
    """Count what is in the store; the ended tasks, which may be many, only if asked for."""
    by_state = await connection.fetch(_BY_STATE if ended else _BY_STATE_UNFINISHED)
    counted = {row["state"]: int(row["n"]) for row in by_state}
    [dead] = await connection.fetch(_DEAD_LETTERS)
    [outbox] = await connection.fetch(_OUTBOX, {"now": now})
    [queued] = await connection.fetch(_OLDEST_QUEUED)
    return StoreStatus(
        counts={state: counted.get(state.value, 0) for state in (State if ended else UNFINISHED)},
        dead_letters=int(dead["n"]),
        unpublished=int(outbox["n"]),
        unpublished_age_s=_age_s(outbox["since"], now),
        oldest_queued_s=_age_s(queued["since"], now),
    )


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
