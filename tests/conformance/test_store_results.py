"""Finishing: what the end of an attempt changes, and whose word counts."""

from collections.abc import Callable

import pytest

from activation.domain.outcome import Reason
from activation.domain.task import Claim, EventName, State
from activation.ports import Result, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
    OTHER_DEVICE,
    accept,
    at_most,
    claim,
    failure,
    hand_back,
    retry,
    stored,
    success,
    used_up,
)

End = Callable[[Claim], Result]


@pytest.mark.parametrize("end", [success, failure, used_up])
async def test_end_of_a_task_is_stored(store: TaskStore, clock: VirtualClock, end: End) -> None:
    """State, reason, words and time are there, and the worker is gone."""
    task_id = await accept(store)
    result = end(await claim(store, task_id))
    clock.advance(3)

    answer = await store.finish([result])

    assert answer == [result.verdict.state]
    task = await stored(store, task_id)
    assert (task.state, task.dead_letter) == (result.verdict.state, result.verdict.dead_letter)
    assert (task.reason, task.message) == (result.outcome.reason, result.outcome.message)
    assert task.finished_at == clock.now()
    assert (task.worker, task.lease_until) == (None, None)
    assert (task.first_in_line, task.unpublished) == (False, False)


async def test_retry_is_stored_with_its_reason(store: TaskStore, clock: VirtualClock) -> None:
    """A reader sees why the attempt failed and when the next one may begin."""
    task_id = await accept(store)
    result = retry(await claim(store, task_id), retry_in_s=10)

    answer = await store.finish([result])

    assert answer == [State.QUEUED]
    task = await stored(store, task_id)
    assert (task.state, task.reason) == (State.QUEUED, Reason.UNAVAILABLE)
    assert task.message == result.outcome.message
    assert task.not_before is not None
    assert (task.not_before - clock.now()).total_seconds() == 10.0
    assert (task.worker, task.lease_until, task.finished_at) == (None, None, None)
    assert (task.attempt, task.uncounted) == (1, 0)


async def test_task_that_is_handed_back_burns_no_attempt(store: TaskStore) -> None:
    """It can run again at once, with a higher fence and all its attempts."""
    task_id = await accept(store)
    first = await claim(store, task_id)

    answer = await store.finish([hand_back(first)])

    assert answer == [State.QUEUED]
    task = await stored(store, task_id)
    assert (task.reason, task.not_before, task.uncounted) == (Reason.DRAINED, None, 1)
    again = await claim(store, task_id, "worker-b")
    assert (again.attempt, again.counted) == (2, 1)
    assert await store.finish([success(first)]) == [None]


async def test_result_of_an_unknown_task_is_stale(store: TaskStore) -> None:
    """A task may have been purged."""
    claimed = await claim(store, await accept(store))
    await store.finish([success(claimed)])
    await store.purge(ended_before_s=0, limit=10)

    assert await store.finish([success(claimed)]) == [None]


async def test_result_of_an_older_attempt_is_stale(store: TaskStore, clock: VirtualClock) -> None:
    """It changes neither the running attempt nor its end."""
    task_id = await accept(store)
    old = await claim(store, task_id, "worker-a")
    await store.finish([retry(old)])
    clock.advance(10)
    new = await claim(store, task_id, "worker-b")

    during = await store.finish([success(old)])
    await store.finish([failure(new)])
    after = await store.finish([success(old)])

    assert (during, after) == ([None], [None])
    assert (await stored(store, task_id)).state == State.FAILED


async def test_result_of_an_older_attempt_is_stale_where_the_states_are_the_same(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The fence decides, not that the task happens to be queued again."""
    task_id = await accept(store)
    old = await claim(store, task_id)
    await store.finish([retry(old)])
    clock.advance(10)
    await store.finish([retry(await claim(store, task_id))])

    assert await store.finish([retry(old)]) == [None]


@pytest.mark.parametrize("end", [success, failure, used_up, retry, hand_back])
async def test_result_that_is_written_twice_is_not_stale(store: TaskStore, end: End) -> None:
    """A worker that missed the answer writes again, and learns that all is well."""
    result = end(await claim(store, await accept(store)))
    first = await store.finish([result])
    before = await store.history(result.claim.task_id)

    second = await store.finish([result])

    assert first == [result.verdict.state]
    assert second == first
    assert await store.history(result.claim.task_id) == before


async def test_withdrawn_result_that_is_written_twice_is_not_stale(store: TaskStore) -> None:
    """The same holds where a cancellation has changed what became of the task."""
    claimed = await claim(store, await accept(store))
    await store.cancel(claimed.task_id)
    await store.finish([retry(claimed)])

    assert await store.finish([retry(claimed)]) == [State.CANCELLED]


async def test_result_is_stale_where_the_reaper_has_ended_the_attempt_in_the_same_way(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Both would make it a dead letter; it is the reaper who did, and who counts it."""
    claimed = await claim(store, await accept(store), lease_s=30)
    clock.advance(30)
    [reaped] = await store.reap(at_most(1), limit=10)

    answer = await store.finish([used_up(claimed)])

    assert (reaped.state, answer) == (State.FAILED, [None])
    assert (await stored(store, claimed.task_id)).reason == Reason.WORKER_LOST


async def test_result_is_stale_where_the_reaper_has_cancelled_the_task(
    store: TaskStore, clock: VirtualClock
) -> None:
    """What would be queued again was cancelled on request, but not by this result."""
    claimed = await claim(store, await accept(store), lease_s=30)
    await store.cancel(claimed.task_id)
    clock.advance(30)
    [reaped] = await store.reap(at_most(5), limit=10)

    answer = await store.finish([retry(claimed)])

    assert (reaped.state, answer) == (State.CANCELLED, [None])


async def test_result_is_stale_where_an_operator_has_cancelled_the_task_since(
    store: TaskStore,
) -> None:
    """A worker that missed the answer must not take the operator's end for its own."""
    claimed = await claim(store, await accept(store))
    await store.finish([retry(claimed)])
    await store.cancel(claimed.task_id)

    assert await store.finish([retry(claimed)]) == [None]


async def test_each_result_of_a_batch_is_judged_by_its_own_fence(store: TaskStore) -> None:
    """A stale one among many changes nothing for the others; answers keep the order."""
    stale = await claim(store, await accept(store, DEVICE))
    await store.finish([hand_back(stale)])
    current = await claim(store, stale.task_id)
    good = await claim(store, await accept(store, OTHER_DEVICE))
    bad = await claim(store, await accept(store, "THIRD00"))

    answers = await store.finish([failure(bad), success(stale), success(good)])

    assert answers == [State.FAILED, None, State.SUCCEEDED]
    assert await store.finish([success(current)]) == [State.SUCCEEDED]


async def test_result_that_comes_twice_in_one_call_is_written_once(store: TaskStore) -> None:
    """Both places of the batch get the answer, and the history one event."""
    claimed = await claim(store, await accept(store))

    answers = await store.finish([success(claimed), success(claimed)])

    assert answers == [State.SUCCEEDED, State.SUCCEEDED]
    assert len(await store.history(claimed.task_id)) == 3


async def test_results_of_two_attempts_of_one_task_are_told_apart(store: TaskStore) -> None:
    """A worker may hold a stale result and the present one of the same task."""
    stale = await claim(store, await accept(store))
    await store.finish([hand_back(stale)])
    current = await claim(store, stale.task_id)
    before = await store.history(current.task_id)

    answers = await store.finish([success(stale), failure(current)])

    assert answers == [None, State.FAILED]
    assert len(await store.history(current.task_id)) == len(before) + 1


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (success, State.SUCCEEDED),
        (failure, State.FAILED),
        (retry, State.CANCELLED),
        (hand_back, State.CANCELLED),
    ],
)
async def test_cancel_request_prevents_another_attempt_only(
    store: TaskStore, clock: VirtualClock, end: End, state: State
) -> None:
    """What the running attempt achieves counts; what would be queued again is cancelled."""
    claimed = await claim(store, await accept(store))
    await store.cancel(claimed.task_id)
    clock.advance(1)

    answer = await store.finish([end(claimed)])

    assert answer == [state]
    task = await stored(store, claimed.task_id)
    assert task.state == state
    assert task.finished_at == clock.now()
    assert not task.unpublished


async def test_withdrawn_task_says_that_it_was_cancelled(store: TaskStore) -> None:
    """Task and history give the cancellation as the reason, not the last failure."""
    claimed = await claim(store, await accept(store))
    await store.cancel(claimed.task_id)

    await store.finish([retry(claimed)])

    task = await stored(store, claimed.task_id)
    event = (await store.history(claimed.task_id))[-1]
    assert (task.reason, task.not_before, task.dead_letter) == (Reason.CANCELLED, None, False)
    assert (event.name, event.reason) == (EventName.CANCELLED, Reason.CANCELLED)


async def test_reason_of_the_last_failure_stays_until_the_next_end(
    store: TaskStore, clock: VirtualClock
) -> None:
    """While the second attempt runs a reader still sees why there is one."""
    task_id = await accept(store)
    await store.finish([retry(await claim(store, task_id))])
    clock.advance(10)

    claimed = await claim(store, task_id)

    assert (await stored(store, task_id)).reason == Reason.UNAVAILABLE
    await store.finish([success(claimed)])
    assert (await stored(store, task_id)).reason == Reason.COMPLETED
