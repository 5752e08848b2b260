"""What operators do to a task, within a transaction."""

from activation.domain.outcome import Reason
from activation.domain.task import EventName, State, Task, TaskId
from activation.errors import TransitionError
from activation.ports import Cancellation
from activation.store.sql import queries
from activation.store.sql.results import event_row
from activation.store.sql.transaction import Transaction


async def cancel(tx: Transaction, task_id: TaskId) -> Cancellation | None:
    """Cancel a task; see `TaskStore.cancel`."""
    task = await tx.lock_task(task_id)
    if task is None:
        return None
    if task.state is State.CANCELLED:
        return Cancellation(task, ended=False)
    if task.state in {State.SUCCEEDED, State.FAILED}:
        raise TransitionError(f"the task has {task.state} and cannot be cancelled any more")
    ended = await _cancel_queued(tx, task)
    if not ended:
        await _request_cancel(tx, task_id)
    changed = await queries.get(tx, task_id)
    return None if changed is None else Cancellation(changed, ended=ended)


async def _cancel_queued(tx: Transaction, task: Task) -> bool:
    """End a task that does not run; returns whether it did."""
    now, why = tx.now(), "Cancelled while it waited"
    given = {"task_id": task.id, "why": why, "now": now}
    ended = await tx.fetch(tx.do.cancel_queued, given)
    if not ended:
        return False
    cancelled = event_row(
        task.id, EventName.CANCELLED, ended[0]["attempt"], reason=Reason.CANCELLED, message=why
    )
    await tx.record(now, [cancelled])
    ready = await tx.promote([task.equipment], now)
    await tx.tell(ready=bool(ready), ended=[task.id])
    return True


async def _request_cancel(tx: Transaction, task_id: TaskId) -> None:
    """Ask a running task to make no further attempt, unless it was asked before."""
    for row in await tx.fetch(tx.do.request_cancel, {"task_id": task_id}):
        asked = event_row(
            task_id, EventName.CANCEL_REQUESTED, row["attempt"], reason=Reason.CANCELLED
        )
        await tx.record(tx.now(), [asked])


async def replay(tx: Transaction, task_id: TaskId, traceparent: str | None) -> Task | None:
    """Queue a failed task again; see `TaskStore.replay`."""
    task = await tx.lock_task(task_id)
    if task is None:
        return None
    now = tx.now()
    if not await tx.fetch(tx.do.replay, {"task_id": task_id, "traceparent": traceparent}):
        raise TransitionError(f"the task is {task.state}; only failed tasks are tried again")
    await tx.record(now, [event_row(task_id, EventName.REPLAYED, task.attempt)])
    await tx.promote([task.equipment], now)
    await tx.tell(ready=True, ended=[])
    return await queries.get(tx, task_id)
