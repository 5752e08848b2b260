"""Claiming: who may begin an attempt, and with what."""

import asyncio
from collections.abc import Callable

import pytest

from activation.domain.outcome import Reason
from activation.domain.task import Claim, State
from activation.ports import Refused, Result, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
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


async def test_claim_gives_all_that_the_handler_needs(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The worker reads nothing else from the store."""
    new = new_task(parameters='{"vlan": 7}', timeout_s=9, traceparent="00-ab-cd-01")
    accepted_at = clock.now()
    await accept_new(store, new)
    clock.advance(2.5)

    answers = await store.claim([new.id], "worker-a", LEASE_S)

    expected = Claim(
        task_id=new.id,
        equipment=DEVICE,
        attempt=1,
        counted=1,
        timeout_s=9,
        parameters='{"vlan": 7}',
        accepted_at=accepted_at,
        waited_s=2.5,
        traceparent="00-ab-cd-01",
    )
    assert answers == [expected]


async def test_claimed_task_shows_its_worker(store: TaskStore, clock: VirtualClock) -> None:
    """A reader sees who runs it since when, and until when the lease holds."""
    task_id = await accept(store)
    clock.advance(1)

    await claim(store, task_id, "worker-a", lease_s=30)

    task = await stored(store, task_id)
    assert (task.state, task.attempt, task.worker) == (State.RUNNING, 1, "worker-a")
    assert task.started_at == clock.now()
    assert task.lease_until is not None
    assert (task.lease_until - clock.now()).total_seconds() == 30.0
    assert not task.unpublished


async def test_unknown_task_is_refused(store: TaskStore) -> None:
    """A message may name a task that was purged."""
    unknown = new_task().id

    assert await store.claim([unknown], "worker-a", LEASE_S) == [Refused(unknown, state=None)]


@pytest.mark.parametrize(
    ("end", "state"),
    [(success, State.SUCCEEDED), (failure, State.FAILED), (used_up, State.FAILED)],
)
async def test_finished_task_is_refused(
    store: TaskStore, end: Callable[[Claim], Result], state: State
) -> None:
    """A message that comes again after the end begins nothing."""
    task_id = await accept(store)
    await store.finish([end(await claim(store, task_id))])

    assert await store.claim([task_id], "worker-b", LEASE_S) == [Refused(task_id, state)]


async def test_cancelled_task_is_refused(store: TaskStore) -> None:
    """Its message may still be in the queue."""
    task_id = await accept(store)
    await store.cancel(task_id)

    answers = await store.claim([task_id], "worker-a", LEASE_S)

    assert answers == [Refused(task_id, State.CANCELLED)]


@pytest.mark.parametrize("passed_s", [0, LEASE_S + 1], ids=["lease holds", "lease ran out"])
async def test_running_task_is_refused_until_it_is_reaped(
    store: TaskStore, clock: VirtualClock, passed_s: float
) -> None:
    """The answer names who holds the lease; only the reaper takes it away."""
    task_id = await accept(store)
    await claim(store, task_id, "worker-a")
    clock.advance(passed_s)

    answers = await store.claim([task_id], "worker-b", LEASE_S)

    assert answers == [Refused(task_id, State.RUNNING, "worker-a")]


async def test_retry_is_refused_until_it_is_due(store: TaskStore, clock: VirtualClock) -> None:
    """An early message does not shorten the wait."""
    task_id = await accept(store)
    await store.finish([retry(await claim(store, task_id), retry_in_s=10)])
    clock.advance(9.999)

    early = await store.claim([task_id], "worker-a", LEASE_S)
    clock.advance(0.001)
    due = await claim(store, task_id)

    assert early == [Refused(task_id, State.QUEUED)]
    assert due.attempt == 2


async def test_task_behind_another_of_its_device_is_refused(store: TaskStore) -> None:
    """A device does one thing at a time."""
    await accept(store)
    second = await accept(store)

    assert await store.claim([second], "worker-a", LEASE_S) == [Refused(second, State.QUEUED)]


async def test_answers_come_in_the_order_of_the_ids(store: TaskStore) -> None:
    """Claims and refusals of one call stand where their ids stood."""
    first, second, other = (
        await accept(store),
        await accept(store),
        await accept(store, OTHER_DEVICE),
    )
    unknown = new_task().id

    answers = await store.claim([other, unknown, second, first], "worker-a", LEASE_S)

    assert [answer.task_id for answer in answers] == [other, unknown, second, first]
    assert [type(answer) for answer in answers] == [Claim, Refused, Refused, Claim]


async def test_task_that_is_named_twice_in_one_call_is_claimed_once(store: TaskStore) -> None:
    """Both of its messages may be claimed together."""
    task_id = await accept(store)

    first, second = await store.claim([task_id, task_id], "worker-a", LEASE_S)

    assert isinstance(first, Claim)
    assert second == Refused(task_id, State.RUNNING, "worker-a")


async def test_attempt_grows_with_each_claim(store: TaskStore, clock: VirtualClock) -> None:
    """The number is the fence; failed attempts count, handed back ones do not."""
    task_id = await accept(store)
    seen = []

    for end in (retry, hand_back, retry, hand_back):
        claimed = await claim(store, task_id)
        seen.append((claimed.attempt, claimed.counted))
        await store.finish([end(claimed)])
        clock.advance(10)

    assert seen == [(1, 1), (2, 2), (3, 2), (4, 3)]


async def test_waiting_time_of_a_retry_begins_when_it_is_due(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The wait that was wanted is not held against the queue."""
    task_id = await accept(store)
    await store.finish([retry(await claim(store, task_id), retry_in_s=10)])
    clock.advance(12)

    assert (await claim(store, task_id)).waited_s == 2.0


async def test_waiting_time_begins_when_the_device_is_free(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The task before it is not held against the queue either."""
    first, second = await accept(store), await accept(store)
    claimed = await claim(store, first)
    clock.advance(60)
    await store.finish([success(claimed)])
    clock.advance(3)

    assert (await claim(store, second)).waited_s == 3.0


async def test_of_two_claims_at_once_exactly_one_wins(store: TaskStore, twin: TaskStore) -> None:
    """A message that was delivered twice runs once."""
    for n in range(20):
        task_id = await accept(store, f"DEVICE{n}")

        [one], [two] = await asyncio.gather(
            store.claim([task_id], "worker-a", LEASE_S), twin.claim([task_id], "worker-b", LEASE_S)
        )

        assert {type(one), type(two)} == {Claim, Refused}
        assert (await stored(store, task_id)).attempt == 1


async def test_claim_tells_how_the_attempt_before_ended(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Nothing before the first; then a worker's word, or the reaper's; a replay forgets it."""
    task_id = await accept(store)
    first = await claim(store, task_id)
    await store.finish([retry(first, retry_in_s=0.0)])
    second = await claim(store, task_id, lease_s=1.0)
    clock.advance(2.0)
    await store.reap(at_most(5), limit=10)
    third = await claim(store, task_id)
    await store.finish([used_up(third)])
    await store.replay(task_id)
    fourth = await claim(store, task_id)

    previous = [one.previous for one in (first, second, third, fourth)]
    assert previous == [None, Reason.UNAVAILABLE, Reason.WORKER_LOST, None]
