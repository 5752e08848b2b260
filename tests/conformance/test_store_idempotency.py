"""Idempotency keys: the same request twice is one task."""

import asyncio

import pytest

from activation.domain.task import IdempotencyKey, NewTask
from activation.errors import KeyConflictError
from activation.ports import Accepted, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import OTHER_DEVICE, accept_new, claim, new_task, success

KEY_LIFETIME_S = 86_400.0  # the default of every store


async def test_same_key_and_request_give_the_same_task(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Nothing is stored a second time, until the key's time is over."""
    first = await accept_new(store, new_task(key="k"))
    clock.advance(KEY_LIFETIME_S - 1)

    [answer] = await store.accept([new_task(key="k")])

    assert answer == Accepted(first, ready=False, repeated=True)
    assert await store.backlog() == 1


async def test_same_key_gives_the_same_task_after_its_end(store: TaskStore) -> None:
    """A client that asks again does not activate the device again."""
    first = await accept_new(store, new_task(key="k"))
    await store.finish([success(await claim(store, first))])

    [answer] = await store.accept([new_task(key="k")])

    assert answer == Accepted(first, ready=False, repeated=True)


async def test_same_key_with_another_request_is_a_conflict(store: TaskStore) -> None:
    """The error is an answer of its own place; the rest of the batch is stored."""
    await accept_new(store, new_task(key="k", fingerprint="one"))
    other = new_task(OTHER_DEVICE)

    [conflict, accepted] = await store.accept([new_task(key="k", fingerprint="two"), other])

    assert isinstance(conflict, KeyConflictError)
    assert accepted == Accepted(other.id, ready=True)
    assert await store.backlog() == 2


async def test_keys_hold_inside_of_a_batch(store: TaskStore) -> None:
    """Requests that share a commit obey the same rules as requests that come apart."""
    first = new_task(key="k", fingerprint="one")
    repeat = new_task(key="k", fingerprint="one")
    conflict = new_task(key="k", fingerprint="two")

    answers = await store.accept([first, repeat, conflict])

    assert answers[0] == Accepted(first.id, ready=True)
    assert answers[1] == Accepted(first.id, ready=False, repeated=True)
    assert isinstance(answers[2], KeyConflictError)
    assert await store.backlog() == 1


async def test_different_keys_are_different_tasks(store: TaskStore) -> None:
    """Also for the same device and the same request."""
    await store.accept([new_task(key="one"), new_task(key="two"), new_task()])

    assert await store.backlog() == 3


async def test_old_key_is_free_again(store: TaskStore, clock: VirtualClock) -> None:
    """After its lifetime it stands for the new task, with any fingerprint."""
    await accept_new(store, new_task(key="k", fingerprint="one"))
    clock.advance(KEY_LIFETIME_S + 1)
    new = new_task(OTHER_DEVICE, key="k", fingerprint="two")

    [answer] = await store.accept([new])
    [repeat] = await store.accept([new_task(OTHER_DEVICE, key="k", fingerprint="two")])

    assert answer == Accepted(new.id, ready=True)
    assert repeat == Accepted(new.id, ready=False, repeated=True)


async def test_key_is_forgotten_with_its_task(store: TaskStore) -> None:
    """No answer names a task that was purged."""
    purged = await accept_new(store, new_task(key="k"))
    await store.finish([success(await claim(store, purged))])
    await store.purge(ended_before_s=0, limit=10)
    new = new_task(key="k")

    assert await store.accept([new]) == [Accepted(new.id, ready=True)]


async def test_write_that_is_repeated_is_no_repeated_request(store: TaskStore) -> None:
    """The same task id is our own second try, so the answer is that of the first."""
    new = new_task(key="k")
    await store.accept([new])

    assert await store.accept([new]) == [Accepted(new.id, ready=True)]


async def test_task_behind_a_repeated_request_is_reserved_for_its_caller(store: TaskStore) -> None:
    """A repeat of an ended task's request does not hold its device, nor open it to other relays."""
    ended = await accept_new(store, new_task(key="k"))
    await store.finish([success(await claim(store, ended))])
    new = new_task()

    answers = await store.accept([new_task(key="k"), new])

    assert answers[1] == Accepted(new.id, ready=True)
    assert list(await store.take_ready(10)) == []


async def test_a_repeat_is_found_without_storing_anything(
    store: TaskStore, clock: VirtualClock
) -> None:
    """As accepting it would answer, and as long."""
    first = await accept_new(store, new_task(key="k", fingerprint="one"))
    clock.advance(KEY_LIFETIME_S - 1)

    assert await store.find_repeat(IdempotencyKey("k", "one")) == Accepted(
        first, ready=False, repeated=True
    )
    with pytest.raises(KeyConflictError):
        await store.find_repeat(IdempotencyKey("k", "two"))
    assert await store.find_repeat(IdempotencyKey("new", "one")) is None
    clock.advance(2)
    assert await store.find_repeat(IdempotencyKey("k", "one")) is None


async def test_same_key_at_the_same_time_stores_one_task(store: TaskStore, twin: TaskStore) -> None:
    """A client that sends twice at once gets one task, whoever answers."""
    for n in range(10):
        requests = [new_task(f"DEVICE{n}", key=f"key {n}") for _ in range(4)]

        answers = await asyncio.gather(
            *(_accept(one, request) for request in requests for one in (store, twin))
        )

        assert len({answer.task_id for answer in answers}) == 1
        assert await store.backlog() == 1 + n


async def _accept(store: TaskStore, new: NewTask) -> Accepted:
    [answer] = await store.accept([new])
    assert isinstance(answer, Accepted)
    return answer
