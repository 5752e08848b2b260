"""Reading tasks without changing them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from activation.domain.task import UNFINISHED, Event, State, Task, TaskId
from activation.ports import Page, StoreStatus, TaskQuery
from activation.store.sql.rows import EVENT_COLUMNS, TASK_COLUMNS, event_of, task_of
from activation.store.sql.schema import events, tasks

_t = tasks.c
_BY_ID = select(*TASK_COLUMNS).where(_t.id == bindparam("task_id"))  # built once: it is hot
_UNFINISHED = _t.finished_at.is_(None)  # served by a partial index, however many have ended


async def get(connection: AsyncConnection, task_id: TaskId) -> Task | None:
    """Return a task; None if there is no such task."""
    found = await connection.execute(_BY_ID, {"task_id": task_id})
    row = found.mappings().one_or_none()
    return task_of(row) if row is not None else None


async def history(connection: AsyncConnection, task_id: TaskId) -> Sequence[Event]:
    """Return the events of a task, oldest first."""
    wanted = select(*EVENT_COLUMNS).where(events.c.task_id == task_id).order_by(events.c.seq)
    return [event_of(row) for row in (await connection.execute(wanted)).mappings()]


async def search(connection: AsyncConnection, query: TaskQuery) -> Page:
    """List tasks, newest first; one row more than asked for tells whether a next page exists."""
    wanted = _filtered(query).order_by(_t.seq.desc()).limit(query.limit + 1)
    rows = (await connection.execute(wanted)).mappings().all()
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


async def backlog(connection: AsyncConnection) -> int:
    """Count the queued tasks."""
    queued = select(func.count()).where(_UNFINISHED, _t.state == State.QUEUED.value)
    return int((await connection.execute(queued)).scalar_one())


async def status(connection: AsyncConnection, now: datetime, *, ended: bool) -> StoreStatus:
    """Count what is in the store; the ended tasks, which may be many, only if asked for."""
    by_state = select(_t.state, func.count().label("n")).group_by(_t.state)
    if not ended:
        by_state = by_state.where(_UNFINISHED)
    rows = (await connection.execute(by_state)).mappings().all()
    counted = {row["state"]: int(row["n"]) for row in rows}
    dead = (await connection.execute(select(func.count()).where(_t.dead_letter))).scalar_one()
    owed = select(func.count().label("n"), func.min(_t.publish_at).label("since")).where(
        _t.publish_at <= now, _t.state == State.QUEUED.value
    )
    outbox = (await connection.execute(owed)).mappings().one()
    queued = select(func.min(_t.accepted_at)).where(_UNFINISHED, _t.state == State.QUEUED.value)
    oldest = (await connection.execute(queued)).scalar_one()
    return StoreStatus(
        counts={state: counted.get(state.value, 0) for state in (State if ended else UNFINISHED)},
        dead_letters=int(dead),
        unpublished=int(outbox["n"]),
        unpublished_age_s=_age_s(outbox["since"], now),
        oldest_queued_s=_age_s(oldest, now),
    )


def _age_s(since: datetime | None, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds()) if since is not None else 0.0
