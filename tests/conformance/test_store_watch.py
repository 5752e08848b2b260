"""Watching: who waits is woken by the store."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest

from activation.domain.task import Claim, TaskId
from activation.ports import Notice, TaskStore
from tests.support.tasks import (
    LEASE_S,
    OTHER_DEVICE,
    accept,
    at_most,
    claim,
    failure,
    hand_back,
    new_task,
    success,
)

LIMIT_S = 5.0  # a notice takes milliseconds; a broken store must not hold up the tests

Change = Callable[[TaskStore, TaskId], Awaitable[object]]


async def test_watching_begins_with_a_notice(store: TaskStore) -> None:
    """What happened before is not missed: the first notice says to look at everything."""
    notices = cast("AsyncGenerator[Notice, None]", store.watch())

    async with asyncio.timeout(LIMIT_S):
        first = await anext(notices)
        await notices.aclose()

    assert first == Notice(ready=True, ended=None)


async def _finish(store: TaskStore, task_id: TaskId) -> None:
    await store.finish([success(await claim(store, task_id))])


async def _cancel(store: TaskStore, task_id: TaskId) -> None:
    await store.cancel(task_id)


async def _lose(store: TaskStore, task_id: TaskId) -> None:
    await claim(store, task_id, lease_s=0)
    await store.reap(at_most(1), limit=10)


@pytest.mark.parametrize("change", [_finish, _cancel, _lose])
async def test_watcher_hears_of_an_end(store: TaskStore, twin: TaskStore, change: Change) -> None:
    """Whoever ended the task, and however: a waiting client is answered at once."""
    task_id = await accept(store)
    await accept(store, OTHER_DEVICE)

    async with _watching(store) as notices:
        await change(twin, task_id)

        await _hear(notices, _end_of(task_id))


async def _free_the_device(store: TaskStore, task_id: TaskId) -> None:
    await accept(store)
    await _finish(store, task_id)


async def _hand_back(store: TaskStore, task_id: TaskId) -> None:
    await store.finish([hand_back(await claim(store, task_id))])


async def _reap(store: TaskStore, task_id: TaskId) -> None:
    await claim(store, task_id, lease_s=0)
    await store.reap(at_most(5), limit=10)


async def _replay(store: TaskStore, task_id: TaskId) -> None:
    await store.finish([failure(await claim(store, task_id))])
    await store.replay(task_id)


@pytest.mark.parametrize("change", [_free_the_device, _hand_back, _reap, _replay])
async def test_watcher_hears_of_what_is_ready(
    store: TaskStore, twin: TaskStore, change: Change
) -> None:
    """A relay is woken when it has something to publish, whoever made it ready."""
    task_id = await accept(store)

    async with _watching(store) as notices:
        await change(twin, task_id)

        await _hear(notices, lambda notice: notice.ready)


async def test_every_watcher_hears_everything(store: TaskStore) -> None:
    """They do not take the notices away from each other."""
    first, second = await accept(store), await accept(store)

    async with _watching(store) as one, _watching(store) as two:
        for task_id in (first, second):
            await _finish(store, task_id)

            await _hear(one, _end_of(task_id))
            await _hear(two, _end_of(task_id))


async def test_watcher_that_has_gone_disturbs_nobody(store: TaskStore) -> None:
    """Changes go on, and the others hear of them."""
    task_id = await accept(store)

    async with _watching(store) as notices:
        async with _watching(store):
            pass
        await _finish(store, task_id)

        await _hear(notices, _end_of(task_id))


async def test_watcher_hears_of_the_end_of_a_large_batch(store: TaskStore) -> None:
    """Five hundred ends at once reach it, by name or as a call to look at everything."""
    batch = [new_task(f"DEVICE{n:03}") for n in range(500)]
    await store.accept(batch)
    claims = await store.claim([new.id for new in batch], "worker-a", LEASE_S)
    results = [success(claimed) for claimed in claims if isinstance(claimed, Claim)]

    async with _watching(store) as notices:
        await store.finish(results)

        await _hear(notices, _end_of(batch[-1].id))


def _end_of(task_id: TaskId) -> Callable[[Notice], bool]:
    return lambda notice: notice.ended is None or task_id in notice.ended


async def _hear(notices: AsyncIterator[Notice], wanted: Callable[[Notice], bool]) -> None:
    """Wait for a notice."""
    async with asyncio.timeout(LIMIT_S):
        while not wanted(await anext(notices)):
            pass


@asynccontextmanager
async def _watching(store: TaskStore) -> AsyncIterator[AsyncIterator[Notice]]:
    """Watch a store, past the first notice."""
    notices = cast("AsyncGenerator[Notice, None]", store.watch())
    try:
        async with asyncio.timeout(LIMIT_S):
            await anext(notices)
        yield notices
    finally:
        await notices.aclose()
