"""Storing new tasks, within a transaction."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from activation.domain.task import EventName, NewTask
from activation.errors import LineFullError
from activation.ports import Accepted, NotAccepted
from activation.store.sql.batch import encode
from activation.store.sql.results import event_row
from activation.store.sql.rows import new_row, repeated_answers
from activation.store.sql.transaction import Transaction


async def accept(
    tx: Transaction,
    tasks: Sequence[NewTask],
    *,
    max_waiting: int,
    share: int,
    publish_lease: timedelta,
    key_lifetime: timedelta,
) -> Sequence[Accepted | NotAccepted]:
    """Store new tasks; see `TaskStore.accept`."""
    seen: Counter[str] = Counter()
    room = await _room(tx, tasks, share)
    rows = []
    for n, task in enumerate(tasks):
        left = room.get(task.caller)
        deferred = left is not None and left <= 0
        rows.append(new_row(n, task, place=seen[task.equipment], deferred=deferred))
        seen[task.equipment] += 1
        if left is not None:
            room[task.caller] = left - 1
    given = encode(rows)
    await tx.lock(seen)
    now = tx.now()
    if any(task.idempotency for task in tasks):
        await tx.fetch(tx.do.forget_old_keys, {"batch": given, "keys_from": now - key_lifetime})
    publish_at = now + publish_lease
    inserted = await tx.fetch(
        tx.do.insert_tasks,
        {"batch": given, "now": now, "publish_at": publish_at, "max_waiting": max_waiting},
    )
    ready = {row["id"] for row in inserted if row["head"] and not row["deferred"]}
    new = {row["id"] for row in inserted}
    if not tx.do.recording:
        await tx.record(now, [event_row(id_, EventName.ACCEPTED, 0) for id_ in new])
    if len(new) == len(tasks):
        return [Accepted(task.id, ready=task.id in ready) for task in tasks]
    ready |= await tx.promote(seen, now, publish_at=publish_at)
    known = repeated_answers(tasks, await tx.fetch(tx.do.find_repeated, {"batch": given}))
    return [
        Accepted(task.id, ready=task.id in ready)
        if task.id in new
        else known.get(n) or _line_full(task, max_waiting)
        for n, task in enumerate(tasks)
    ]


async def _room(tx: Transaction, tasks: Sequence[NewTask], share: int) -> dict[str | None, int]:
    """Count for how many more tasks of each caller there is room in its share.

    Those who need not say who they are, and all without a share, have no number.
    """
    callers = {task.caller for task in tasks if task.caller is not None} if share else set()
    if not callers:
        return {}
    given = {"batch": encode({"caller": caller} for caller in callers), "share": share}
    return {row["caller"]: row["room"] for row in await tx.fetch(tx.do.find_room, given)}


def _line_full(task: NewTask, max_waiting: int) -> LineFullError:
    return LineFullError(f"{max_waiting} tasks of {task.equipment} wait already")
