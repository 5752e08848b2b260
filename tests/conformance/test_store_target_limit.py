"""No more tasks run at once, of all workers together, than the target's limit."""

import asyncio

from activation.domain.target import Target
from activation.domain.task import Claim, State, TaskId
from activation.ports import TaskStore
from tests.support.tasks import claim, new_task, stored, success

LEASE_S = 30.0


async def bound(store: TaskStore, limit: int | None) -> None:
    """Let an operator set the limit."""
    await store.change_target(lambda target: target.bound(limit))


async def ready(store: TaskStore, count: int) -> list[TaskId]:
    """Accept a task for each of so many devices."""
    answers = await store.accept([new_task(f"DEVICE{number:04}") for number in range(count)])
    return [answer.task_id for answer in answers if not isinstance(answer, Exception)]


async def test_running_tasks_are_counted_until_they_end(store: TaskStore) -> None:
    """Whoever runs them."""
    first, second, _ = await ready(store, 3)
    begun = await claim(store, first, "worker-a")
    await claim(store, second, "worker-b")
    both = await store.running()
    await store.finish([success(begun)])

    assert (both, await store.running()) == (2, 1)


async def test_a_claim_that_obeys_the_limit_takes_as_many_as_there_is_room_for(
    store: TaskStore,
) -> None:
    """The first of the ids; the others are left as they were, and no attempt is spent."""
    ids = await ready(store, 5)
    await bound(store, 3)
    await claim(store, ids[0], "worker-b")

    answers = await store.claim(ids[1:], "worker-a", LEASE_S, limited=True)
    none = await store.claim(ids[3:], "worker-a", LEASE_S, limited=True)

    assert [answer.task_id for answer in answers if isinstance(answer, Claim)] == ids[1:3]
    assert (len(answers), none) == (2, [])
    left = [await stored(store, task_id) for task_id in ids[3:]]
    assert {(task.state, task.attempt) for task in left} == {(State.QUEUED, 0)}


async def test_a_limit_below_what_runs_takes_nothing_away(store: TaskStore) -> None:
    """It only lets none begin until enough have ended."""
    ids = await ready(store, 4)
    claims = [await claim(store, task_id, "worker-a") for task_id in ids[:3]]
    await bound(store, 2)

    full = await store.claim(ids[3:], "worker-a", LEASE_S, limited=True)
    await store.finish([success(begun) for begun in claims[:2]])
    again = await store.claim(ids[3:], "worker-a", LEASE_S, limited=True)

    assert full == []
    assert [type(answer) for answer in again] == [Claim]


async def test_without_a_limit_a_claim_that_would_obey_it_takes_all(store: TaskStore) -> None:
    """Also where nobody has ever said anything about the target."""
    one, two, three = await ready(store, 3)

    new = await store.claim([one, two], "worker-a", LEASE_S, limited=True)
    await bound(store, 1)
    await store.change_target(lambda _: Target())
    lifted = await store.claim([three], "worker-a", LEASE_S, limited=True)

    assert [type(answer) for answer in (*new, *lifted)] == [Claim] * 3


async def test_claims_at_the_same_time_do_not_exceed_the_limit(
    store: TaskStore, twin: TaskStore
) -> None:
    """Two who see the same room do not both take it."""
    ids = await ready(store, 40)
    await bound(store, 7)

    async with asyncio.timeout(20.0):
        groups = await asyncio.gather(
            *(
                one.claim(ids[n : n + 4], f"worker-{n}", LEASE_S, limited=True)
                for n, one in zip(range(0, 40, 4), [store, twin] * 5, strict=True)
            )
        )

    assert sum(isinstance(answer, Claim) for group in groups for answer in group) == 7
    assert await store.running() == 7
