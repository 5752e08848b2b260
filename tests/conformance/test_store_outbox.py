"""The outbox: whose message is due, and to whom it is offered."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from activation.domain.task import Claim, TaskId, Waiting
from activation.ports import Ready, Result, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
    OTHER_DEVICE,
    accept,
    accept_new,
    claim,
    hand_back,
    new_task,
    retry,
    stored,
    success,
)

PUBLISH_LEASE_S = 10.0  # the default of every store


async def test_accepted_task_is_reserved_for_its_own_caller(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Others get it only when the caller has had its time: it may have been killed."""
    task_id = await accept(store)

    at_once = await _take(store)
    clock.advance(PUBLISH_LEASE_S)

    assert (at_once, await _take(store)) == ([], [task_id])


async def test_task_that_waits_for_its_device_is_not_offered(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The queue holds only what can run now."""
    first = await accept(store)
    await accept(store)
    clock.advance(PUBLISH_LEASE_S)

    assert await _take(store) == [first]


async def test_offer_says_what_the_message_needs(store: TaskStore, clock: VirtualClock) -> None:
    """The trace context, and the attempt after which the message became due."""
    new = new_task(traceparent="00-ab-cd-01")
    await accept_new(store, new)
    clock.advance(PUBLISH_LEASE_S)
    first = await store.take_ready(10)
    await store.finish([hand_back(await claim(store, new.id))])

    second = await store.take_ready(10)

    assert first == [Ready(new.id, "00-ab-cd-01", attempt=0)]
    assert second == [Ready(new.id, "00-ab-cd-01", attempt=1)]


async def test_what_was_taken_is_not_offered_again(store: TaskStore, clock: VirtualClock) -> None:
    """Not until the relay has had its time; then it is, as the relay may have been killed."""
    task_id = await accept(store)
    clock.advance(PUBLISH_LEASE_S)
    await _take(store)

    clock.advance(PUBLISH_LEASE_S - 0.001)
    within = await _take(store)
    clock.advance(0.001)

    assert (within, await _take(store)) == ([], [task_id])


async def test_two_relays_at_once_share_no_task(
    store: TaskStore, twin: TaskStore, clock: VirtualClock
) -> None:
    """Between them they get everything, each task once."""
    batch = [new_task(f"DEVICE{n:03}") for n in range(200)]
    await store.accept(batch)
    clock.advance(PUBLISH_LEASE_S)

    taken = await asyncio.gather(*(relay.take_ready(25) for relay in [store, twin] * 5))
    rest = await store.take_ready(200)

    ids = [ready.task_id for share in [*taken, rest] for ready in share]
    assert len(set(ids)) == len(ids)
    assert set(ids) == {new.id for new in batch}


async def test_what_is_due_the_longest_is_taken_first(
    store: TaskStore, clock: VirtualClock
) -> None:
    """A limit leaves the younger ones for later."""
    ids = []
    for n in range(3):
        ids.append(await accept(store, f"DEVICE{n}"))
        clock.advance(1)
    clock.advance(PUBLISH_LEASE_S)

    assert sorted(await _take(store, limit=2), key=ids.index) == ids[:2]
    assert await _take(store, limit=2) == ids[2:]


async def test_confirmed_message_is_not_offered_again(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The task now waits for a worker."""
    new = new_task()
    await accept_new(store, new)

    await store.mark_published([Ready(new.id)])

    clock.advance(10 * PUBLISH_LEASE_S)
    assert await _take(store) == []
    task = await stored(store, new.id)
    assert not task.unpublished
    assert task.waiting_for(clock.now()) == Waiting.FOR_WORKER


async def test_confirmation_of_a_task_that_is_gone_is_harmless(store: TaskStore) -> None:
    """The broker's word may come after the task's end, or its purge."""
    ended = await accept(store)
    await store.finish([success(await claim(store, ended))])
    before = await stored(store, ended)

    await store.mark_published([Ready(ended), Ready(ended, attempt=1), Ready(new_task().id)])

    assert await stored(store, ended) == before


async def test_task_that_was_claimed_before_its_confirmation_is_settled(
    store: TaskStore, clock: VirtualClock
) -> None:
    """A worker may be quicker than the confirmation; nothing is offered while it runs."""
    task_id = await accept(store)
    await claim(store, task_id)
    await store.mark_published([Ready(task_id)])
    clock.advance(PUBLISH_LEASE_S)

    assert await _take(store) == []


@pytest.mark.parametrize("end", [retry, hand_back])
async def test_late_confirmation_does_not_settle_the_next_message(
    store: TaskStore, clock: VirtualClock, end: Callable[[Claim], Result]
) -> None:
    """The message of the first attempt says nothing about the second one's."""
    task_id = await accept(store)
    await store.finish([end(await claim(store, task_id))])

    await store.mark_published([Ready(task_id, attempt=0)])

    clock.advance(10)
    assert await _take(store) == [task_id]


async def test_retry_is_offered_when_it_is_due_and_not_sooner(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The wait lives in the store, not in the broker."""
    task_id = await accept(store)
    await store.finish([retry(await claim(store, task_id), retry_in_s=30)])
    clock.advance(29.999)

    early = await _take(store)
    waiting = (await stored(store, task_id)).waiting_for(clock.now())
    clock.advance(0.001)

    assert (early, waiting) == ([], Waiting.FOR_RETRY)
    assert await _take(store) == [task_id]


async def test_task_that_was_handed_back_is_offered_at_once(store: TaskStore) -> None:
    """Its own message may have been acknowledged; a second one is harmless."""
    task_id = await accept(store)

    await store.finish([hand_back(await claim(store, task_id))])

    assert await _take(store) == [task_id]


async def test_cancelled_task_is_not_offered(store: TaskStore, clock: VirtualClock) -> None:
    """What it owed is forgotten."""
    task_id = await accept(store)
    await store.cancel(task_id)
    clock.advance(PUBLISH_LEASE_S)

    assert await _take(store) == []


async def test_lost_messages_are_offered_again(store: TaskStore, clock: VirtualClock) -> None:
    """Only of tasks that were published so long ago, and that nobody has claimed."""
    silent, running, recent = [await accept(store, f"DEVICE{n}") for n in range(3)]
    await store.mark_published([Ready(silent), Ready(running)])
    await claim(store, running)
    clock.advance(60)
    await store.mark_published([Ready(recent)])

    too_early = await store.offer_again(published_before_s=61, limit=10)
    offered = await store.offer_again(published_before_s=60, limit=10)

    assert (too_early, offered) == (0, 1)
    assert await _take(store) == [silent]


async def test_lost_messages_are_offered_up_to_a_limit(store: TaskStore) -> None:
    """A broker that lost a million messages does not get them all back at once."""
    ids = [await accept(store, device) for device in (DEVICE, OTHER_DEVICE, "THIRD00")]
    await store.mark_published([Ready(task_id) for task_id in ids])

    rounds = [await store.offer_again(published_before_s=0, limit=2) for _ in range(3)]

    assert rounds == [2, 1, 0]
    assert set(await _take(store)) == set(ids)


async def _take(store: TaskStore, limit: int = 100) -> Sequence[TaskId]:
    return [ready.task_id for ready in await store.take_ready(limit)]
