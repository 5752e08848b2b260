"""Tasks, claims and results as tests need them: only what matters to the test is given."""

from collections.abc import Callable

from uuid_utils.compat import uuid7

from activation.domain.outcome import WORKER_LOST, Outcome, Reason
from activation.domain.retry import RetryPolicy, Verdict
from activation.domain.task import Claim, IdempotencyKey, NewTask, State, Task, TaskId
from activation.ports import Accepted, Result, TaskStore

DEVICE = "ABC123"
OTHER_DEVICE = "XYZ789"
LEASE_S = 30.0


def new_task(
    equipment: str = DEVICE,
    *,
    key: str | None = None,
    fingerprint: str = "fingerprint",
    parameters: str = "{}",
    timeout_s: int = 60,
    traceparent: str | None = None,
    caller: str | None = None,
) -> NewTask:
    """Make a request that is not stored yet."""
    return NewTask(
        id=TaskId(uuid7()),
        equipment=equipment,
        timeout_s=timeout_s,
        parameters=parameters,
        idempotency=IdempotencyKey(key, fingerprint) if key is not None else None,
        traceparent=traceparent,
        caller=caller,
    )


async def accept(store: TaskStore, equipment: str = DEVICE) -> TaskId:
    """Store one new task of a device."""
    return await accept_new(store, new_task(equipment))


async def accept_new(store: TaskStore, new: NewTask) -> TaskId:
    """Store this task, which must be accepted."""
    [answer] = await store.accept([new])
    assert isinstance(answer, Accepted), answer
    return answer.task_id


async def claim(
    store: TaskStore, task_id: TaskId, worker: str = "worker-a", lease_s: float = LEASE_S
) -> Claim:
    """Claim a task that must be ready."""
    [answer] = await store.claim([task_id], worker, lease_s)
    assert isinstance(answer, Claim), answer
    return answer


async def is_ready(store: TaskStore, task_id: TaskId) -> bool:
    """Tell whether the task is the one of its device that may run."""
    task = await stored(store, task_id)
    return task.state is State.QUEUED and task.first_in_line


async def stored(store: TaskStore, task_id: TaskId) -> Task:
    """Read a task that must be there."""
    task = await store.get(task_id)
    assert task is not None, f"{task_id} is not in the store"
    return task


def success(claim: Claim) -> Result:
    """The handler answered 200."""
    return Result(claim, Outcome(Reason.COMPLETED, "Completed"), Verdict(State.SUCCEEDED))


def failure(claim: Claim) -> Result:
    """The handler refused for good."""
    return Result(claim, Outcome(Reason.REFUSED, "Not allowed"), Verdict(State.FAILED))


def used_up(claim: Claim) -> Result:
    """The last attempt failed: the task becomes a dead letter."""
    outcome = Outcome(Reason.UNAVAILABLE, "The handler answered 503")
    return Result(claim, outcome, Verdict(State.FAILED, dead_letter=True))


def retry(claim: Claim, retry_in_s: float = 10.0) -> Result:
    """The attempt failed, and another one will follow."""
    outcome = Outcome(Reason.UNAVAILABLE, "The handler answered 503")
    return Result(claim, outcome, Verdict(State.QUEUED, retry_in_s=retry_in_s))


def hand_back(claim: Claim) -> Result:
    """The worker was stopped before the answer came."""
    outcome = Outcome(Reason.DRAINED, "The worker was stopped")
    return Result(claim, outcome, Verdict(State.QUEUED, counted=False))


def at_most(attempts: int) -> Callable[[int], Verdict]:
    """Give lost tasks so many attempts, and no rest between them."""
    policy = RetryPolicy(max_attempts=attempts)
    return lambda counted: policy.judge(WORKER_LOST, counted=counted, draw=0.0)
