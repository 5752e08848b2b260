"""Every operation of a store that names its tasks, prepared to be measured."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import count
from typing import Final

from uuid_utils.compat import uuid7

from activation.domain.retry import Verdict
from activation.domain.task import Claim, NewTask, State, TaskId
from activation.ports import Ready, TaskQuery, TaskStore
from tests.support.tasks import at_most, failure, new_task, success

MOST_WAITING: Final = 2  # of one device, in the operations about that limit

Operation = Callable[[TaskStore], Awaitable[object]]
Prepare = Callable[[TaskStore, int], Awaitable[Operation]]

_device = count()


def new(amount: int, *, caller: str | None = None) -> list[NewTask]:
    """Make tasks, each of a device of its own."""
    return [new_task(f"device-{next(_device)}", caller=caller) for _ in range(amount)]


async def waiting(store: TaskStore, amount: int) -> list[NewTask]:
    """Store tasks that wait, each with one behind it."""
    tasks = new(amount)
    await store.accept([*tasks, *(new_task(task.equipment) for task in tasks)])
    return tasks


async def running(store: TaskStore, amount: int, lease_s: float = 3600.0) -> list[Claim]:
    """Store and claim tasks, each with one behind it."""
    claims = await store.claim(
        [task.id for task in await waiting(store, amount)], "worker", lease_s
    )
    return [claim for claim in claims if isinstance(claim, Claim)]


async def failed(store: TaskStore, amount: int) -> list[Claim]:
    claims = await running(store, amount)
    await store.finish([failure(claim) for claim in claims])
    return claims


async def deferred(store: TaskStore, amount: int) -> None:
    """Store tasks of one caller that wait for its share, but for one that has it."""
    await store.accept(new(amount + 1, caller="busy"), share=1)


async def accepting(store: TaskStore, amount: int) -> Operation:
    tasks = new(amount)
    return lambda it: it.accept(tasks)


async def accepting_behind(store: TaskStore, amount: int) -> Operation:
    tasks = [new_task(task.equipment) for task in await waiting(store, amount)]
    return lambda it: it.accept(tasks)


async def accepting_up_to_a_limit(store: TaskStore, amount: int) -> Operation:
    tasks = [new_task(claim.equipment) for claim in await running(store, amount)]
    return lambda it: it.accept(tasks, max_waiting=MOST_WAITING)


async def refusing(store: TaskStore, amount: int) -> Operation:
    tasks = [new_task(task.equipment) for task in await waiting(store, amount)]
    return lambda it: it.accept(tasks, max_waiting=MOST_WAITING)


async def accepting_within_a_share(store: TaskStore, amount: int) -> Operation:
    tasks = new(amount, caller=f"caller-{next(_device)}")
    return lambda it: it.accept(tasks, share=amount)


async def accepting_above_a_share(store: TaskStore, amount: int) -> Operation:
    caller = f"caller-{next(_device)}"
    await store.accept(new(amount, caller=caller))
    tasks = new(amount, caller=caller)
    return lambda it: it.accept(tasks, share=amount)


async def admitting(store: TaskStore, amount: int) -> Operation:
    await deferred(store, amount)
    return lambda it: it.admit(amount, amount)


async def looking_at_the_last_end_of_a_device(store: TaskStore, amount: int) -> Operation:
    [claim] = await failed(store, 1)
    ended = frozenset({State.SUCCEEDED, State.FAILED})
    query = TaskQuery(states=ended, equipment=claim.equipment, limit=1)
    return lambda it: it.search(query)


async def repeating(store: TaskStore, amount: int) -> Operation:
    tasks = [new_task(f"device-{next(_device)}", key=f"key-{next(_device)}") for _ in range(amount)]
    await store.accept(tasks)
    return lambda it: it.accept([replace(task, id=TaskId(uuid7())) for task in tasks])


async def publishing(store: TaskStore, amount: int) -> Operation:
    messages = [Ready(task.id, task.traceparent) for task in await waiting(store, amount)]
    return lambda it: it.mark_published(messages)


async def sweeping(store: TaskStore, amount: int) -> Operation:
    return lambda it: it.take_ready(amount)


async def claiming(store: TaskStore, amount: int) -> Operation:
    ids = [task.id for task in await waiting(store, amount)]
    return lambda it: it.claim(ids, "worker", 60.0)


async def renewing(store: TaskStore, amount: int) -> Operation:
    claims = await running(store, amount)
    return lambda it: it.renew(claims, 60.0)


async def finishing(store: TaskStore, amount: int) -> Operation:
    results = [success(claim) for claim in await running(store, amount)]
    return lambda it: it.finish(results)


async def reaping(store: TaskStore, amount: int) -> Operation:
    await running(store, amount, lease_s=0.0)
    return lambda it: it.reap(at_most(5), amount)


async def cancelling(store: TaskStore, amount: int) -> Operation:
    [task] = await waiting(store, 1)
    return lambda it: it.cancel(task.id)


async def replaying(store: TaskStore, amount: int) -> Operation:
    [claim] = await failed(store, 1)
    return lambda it: it.replay(claim.task_id)


async def looking(store: TaskStore, amount: int) -> Operation:
    [task] = await waiting(store, 1)
    return lambda it: it.get(task.id)


async def telling(store: TaskStore, amount: int) -> Operation:
    [claim] = await failed(store, 1)
    return lambda it: it.history(claim.task_id)


async def listing(store: TaskStore, amount: int) -> Operation:
    return lambda it: it.search(TaskQuery(limit=amount))


async def listing_of_a_device(store: TaskStore, amount: int) -> Operation:
    [task] = await waiting(store, 1)
    return lambda it: it.search(TaskQuery(equipment=task.equipment, limit=amount))


async def listing_dead_letters(store: TaskStore, amount: int) -> Operation:
    claims = await running(store, amount)
    given_up = Verdict(State.FAILED, dead_letter=True)
    await store.finish([replace(failure(claim), verdict=given_up) for claim in claims])
    return lambda it: it.search(TaskQuery(dead_letter=True, limit=amount))


async def purging(store: TaskStore, amount: int) -> Operation:
    await failed(store, amount)
    return lambda it: it.purge(0.0, amount)


OPERATIONS: Final = [
    accepting,
    accepting_behind,
    accepting_up_to_a_limit,
    refusing,
    accepting_within_a_share,
    accepting_above_a_share,
    admitting,
    looking_at_the_last_end_of_a_device,
    repeating,
    publishing,
    sweeping,
    claiming,
    renewing,
    finishing,
    reaping,
    cancelling,
    replaying,
    looking,
    telling,
    listing,
    listing_of_a_device,
    listing_dead_letters,
    purging,
]
