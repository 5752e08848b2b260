"""The ends of attempts as rows of a batch, and back."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from activation.domain.outcome import WORKER_LOST, Reason
from activation.domain.retry import Verdict
from activation.domain.task import ENDED, Claim, EventName, State, TaskId
from activation.ports import Result
from activation.store.sql.database import Row
from activation.store.sql.schema import iso

Fence = tuple[TaskId, int]  # a task and the number of one of its attempts


def event_row(
    task_id: TaskId,
    name: EventName,
    attempt: int,
    *,
    worker: str | None = None,
    reason: Reason | None = None,
    message: str | None = None,
    not_before: datetime | None = None,
) -> dict[str, Any]:
    """Write an event as a row of a batch."""
    return {
        "id": task_id.hex,
        "name": name.value,
        "attempt": attempt,
        "worker": worker,
        "reason": reason.value if reason else None,
        "message": message,
        "not_before": iso(not_before) if not_before else None,
    }


def end_row(result: Result, now: datetime) -> dict[str, Any]:
    """Write the end of an attempt as a row of a batch."""
    runnable_at = now + timedelta(seconds=result.verdict.retry_in_s)
    return {
        "id": result.claim.task_id.hex,
        "attempt": result.claim.attempt,
        "state": result.verdict.state.value,
        "reason": result.outcome.reason.value,
        "message": result.outcome.message,
        "dead_letter": result.verdict.dead_letter,
        "uncounted": 0 if result.verdict.counted else 1,
        "runnable_at": iso(runnable_at),
        "not_before": None if result.outcome.withdrawn else iso(runnable_at),
    }


def end_event(result: Result, state: State, now: datetime) -> dict[str, Any]:
    """Write the event that tells how an attempt ended."""
    name = _name(result, state)
    retried = name is EventName.RETRY_SCHEDULED
    return event_row(
        result.claim.task_id,
        name,
        result.claim.attempt,
        reason=Reason.CANCELLED if state is State.CANCELLED else result.outcome.reason,
        message=result.outcome.message,
        not_before=now + timedelta(seconds=result.verdict.retry_in_s) if retried else None,
    )


def _name(result: Result, state: State) -> EventName:
    if state in ENDED:
        return EventName(state.value)
    if result.outcome.withdrawn:
        return EventName.HANDED_BACK
    if result.outcome.reason is Reason.WORKER_LOST:
        return EventName.LEASE_EXPIRED
    return EventName.RETRY_SCHEDULED


def lost_attempt(row: Row, judge: Callable[[int], Verdict]) -> Result:
    """Judge a running task whose lease ran out."""
    claim = Claim(
        task_id=TaskId(row["id"]),
        equipment=row["equipment"],
        attempt=row["attempt"],
        counted=row["counted"],
        timeout_s=row["timeout_s"],
        parameters="{}",
        accepted_at=row["accepted_at"],
        waited_s=0.0,
    )
    return Result(claim, WORKER_LOST, judge(row["counted"]))


def fence(result: Result) -> Fence:
    """Name the attempt that a result ends; a batch may hold results of two attempts of one task."""
    return result.claim.task_id, result.claim.attempt


def written_before(results: Iterable[Result], found: Iterable[Row]) -> dict[Fence, State]:
    """Find the results that stand in the store already: their commit's answer was lost."""
    present = {(TaskId(row["id"]), row["attempt"]): row for row in found}
    states: dict[Fence, State] = {}
    for result in results:
        row = present.get(fence(result))
        # The message tells the worker's word from the reaper's, and from an operator's since.
        if row is None or row["message"] != result.outcome.message:
            continue
        state = State(row["state"])
        # What would be queued again is cancelled if that was asked for.
        withdrawn = state is State.CANCELLED and result.verdict.state is State.QUEUED
        if state is result.verdict.state or withdrawn:
            states[fence(result)] = state
    return states
