"""Beginning attempts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from activation.domain.task import Claim, EventName, State, TaskId
from activation.ports import Refused
from activation.store.sql.batch import encode, encode_ids
from activation.store.sql.database import Connection, Rows
from activation.store.sql.results import event_row
from activation.store.sql.rows import claim_of
from activation.store.sql.statements import Statements


async def claim(
    connection: Connection,
    do: Statements,
    task_ids: Sequence[TaskId],
    *,
    worker: str,
    now: datetime,
    lease: timedelta,
) -> Sequence[Claim | Refused]:
    """Begin attempts; see `TaskStore.claim`. Unless `do.recording`, in a transaction."""
    given = {
        "batch": encode_ids(task_ids),
        "now": now,
        "worker_id": worker,
        "leased_until": now + lease,
    }
    won = await connection.fetch(do.claim, given)
    if won and not do.recording:
        started = [
            event_row(row["id"], EventName.STARTED, row["attempt"], worker=worker) for row in won
        ]
        await connection.fetch(do.record_events, {"events": encode(started), "now": now})
    answers: dict[TaskId, Claim | Refused] = {
        row["id"]: claim_of(row, max(0.0, (now - row["runnable_at"]).total_seconds()))
        for row in won
    }
    missed = [task_id for task_id in task_ids if task_id not in answers]
    if missed:
        found = await connection.fetch(do.find_by_id, {"batch": encode_ids(missed)})
        for row in found:
            answers[row["id"]] = Refused(row["id"], State(row["state"]), row["worker"])
    return [
        answers.pop(task_id) if task_id in answers else _gone(task_id, won, worker)
        for task_id in task_ids
    ]


def _gone(task_id: TaskId, won: Rows, worker: str) -> Refused:
    """Refuse an id that the store does not know, or that was claimed twice at once."""
    running = any(row["id"] == task_id for row in won)
    return Refused(task_id, State.RUNNING, worker) if running else Refused(task_id, None)
