"""History: each step of a task is an event; what is old goes, dead letters stay."""

from collections.abc import Callable

import pytest

from activation.domain.outcome import Reason
from activation.domain.task import Attempt, Claim, Event, EventName, attempts
from activation.ports import Result, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    LEASE_S,
    OTHER_DEVICE,
    accept,
    accept_new,
    at_most,
    claim,
    failure,
    hand_back,
    new_task,
    retry,
    stored,
    success,
    used_up,
)

DAY_S = 86_400.0


async def test_history_tells_the_whole_life_of_a_task(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Every transition is there once, in order, and the attempts can be read from it."""
    task_id = await accept(store)
    await store.finish([retry(await claim(store, task_id), retry_in_s=5)])
    clock.advance(5)
    await store.finish([hand_back(await claim(store, task_id, "worker-b"))])
    await claim(store, task_id)
    clock.advance(LEASE_S)
    await store.reap(at_most(5), limit=10)
    await store.finish([used_up(await claim(store, task_id))])
    await store.replay(task_id)
    await store.finish([success(await claim(store, task_id))])

    events = await store.history(task_id)

    assert [(event.name, event.attempt) for event in events] == [
        (EventName.ACCEPTED, 0),
        (EventName.STARTED, 1),
        (EventName.RETRY_SCHEDULED, 1),
        (EventName.STARTED, 2),
        (EventName.HANDED_BACK, 2),
        (EventName.STARTED, 3),
        (EventName.LEASE_EXPIRED, 3),
        (EventName.STARTED, 4),
        (EventName.FAILED, 4),
        (EventName.REPLAYED, 4),
        (EventName.STARTED, 5),
        (EventName.SUCCEEDED, 5),
    ]
    assert [attempt.result for attempt in attempts(events)] == [
        EventName.RETRY_SCHEDULED,
        EventName.HANDED_BACK,
        EventName.LEASE_EXPIRED,
        EventName.FAILED,
        EventName.SUCCEEDED,
    ]


async def test_attempt_in_the_history_says_who_when_and_why(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The worker, both times, and the reason in a word and in words."""
    task_id = await accept(store)
    started_at = clock.now()
    result = failure(await claim(store, task_id, "worker-a"))
    clock.advance(60)
    await store.finish([result])

    [attempt] = attempts(await store.history(task_id))

    assert attempt == Attempt(
        number=1,
        worker="worker-a",
        started_at=started_at,
        ended_at=clock.now(),
        result=EventName.FAILED,
        reason=Reason.REFUSED,
        message=result.outcome.message,
    )


async def test_scheduled_retry_is_in_the_history_with_its_time(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The event keeps what `not_before` was, after the task has forgotten it."""
    task_id = await accept(store)
    failed_at = clock.now()
    await store.finish([retry(await claim(store, task_id), retry_in_s=5)])
    due = (await stored(store, task_id)).not_before
    clock.advance(5)
    await claim(store, task_id)

    events = await store.history(task_id)

    scheduled = next(event for event in events if event.name is EventName.RETRY_SCHEDULED)
    assert (scheduled.at, scheduled.not_before) == (failed_at, due)
    assert scheduled.reason == Reason.UNAVAILABLE
    assert (await stored(store, task_id)).not_before is None


async def test_events_of_a_batch_stay_with_their_tasks(
    store: TaskStore, clock: VirtualClock
) -> None:
    """What is written together is told apart."""
    one, two = await accept(store), await accept(store, OTHER_DEVICE)
    first, second = await store.claim([one, two], "worker-a", LEASE_S)
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)

    await store.finish([success(first), failure(second)])

    for task_id, end in ((one, success(first)), (two, failure(second))):
        assert list(await store.history(task_id)) == [
            Event(clock.now(), EventName.ACCEPTED, 0),
            Event(clock.now(), EventName.STARTED, 1, "worker-a"),
            Event(
                clock.now(),
                EventName(end.verdict.state.value),
                1,
                reason=end.outcome.reason,
                message=end.outcome.message,
            ),
        ]


@pytest.mark.parametrize("end", [success, failure])
async def test_old_tasks_are_purged_with_their_history(
    store: TaskStore, clock: VirtualClock, end: Callable[[Claim], Result]
) -> None:
    """Not before their time, and not twice."""
    task_id = await accept(store)
    await store.finish([end(await claim(store, task_id))])
    clock.advance(DAY_S - 1)

    early = await store.purge(ended_before_s=DAY_S, limit=10)
    clock.advance(1)
    due = await store.purge(ended_before_s=DAY_S, limit=10)

    assert (early, due) == (0, 1)
    assert await store.get(task_id) is None
    assert list(await store.history(task_id)) == []
    assert await store.purge(ended_before_s=DAY_S, limit=10) == 0


async def test_cancelled_tasks_are_purged(store: TaskStore, clock: VirtualClock) -> None:
    """A cancelled task is an ended task."""
    await store.cancel(await accept(store))
    clock.advance(DAY_S)

    assert await store.purge(ended_before_s=DAY_S, limit=10) == 1


async def test_unfinished_tasks_are_not_purged(store: TaskStore, clock: VirtualClock) -> None:
    """However old they are: they are visibly waiting."""
    running, waiting = await accept(store), await accept(store)
    await claim(store, running)
    clock.advance(365 * DAY_S)

    assert await store.purge(ended_before_s=0, limit=10) == 0
    assert (await stored(store, waiting)).id == waiting


async def test_dead_letters_stay_until_they_are_replayed(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Time alone never takes away what an operator has to decide."""
    task_id = await accept(store)
    await store.finish([used_up(await claim(store, task_id))])
    clock.advance(365 * DAY_S)

    kept = await store.purge(ended_before_s=DAY_S, limit=10)
    await store.replay(task_id)
    await store.finish([success(await claim(store, task_id))])
    clock.advance(DAY_S)

    assert kept == 0
    assert await store.purge(ended_before_s=DAY_S, limit=10) == 1


async def test_oldest_ends_are_purged_first(store: TaskStore, clock: VirtualClock) -> None:
    """A limit keeps each purge short."""
    ids = [await accept(store, f"DEVICE{n}") for n in range(3)]
    for task_id in reversed(ids):
        await store.finish([success(await claim(store, task_id))])
        clock.advance(1)

    purged = await store.purge(ended_before_s=0, limit=2)

    assert purged == 2
    assert [await store.get(task_id) is None for task_id in ids] == [False, True, True]


async def test_purge_does_not_disturb_the_line_of_a_device(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The unfinished task of a device goes on without its purged predecessor."""
    done = await accept(store)
    await store.finish([success(await claim(store, done))])
    following, last = await accept(store), await accept_new(store, new_task())
    clock.advance(DAY_S)

    await store.purge(ended_before_s=DAY_S, limit=10)

    await store.finish([success(await claim(store, following))])
    await store.finish([success(await claim(store, last))])
