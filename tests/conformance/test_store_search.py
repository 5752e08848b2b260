"""Listing and counting."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from activation.domain.task import State, TaskId
from activation.ports import Page, Ready, StoreStatus, TaskQuery, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
    OTHER_DEVICE,
    accept,
    claim,
    failure,
    retry,
    stored,
    success,
    used_up,
)

NOTHING_YET = dict.fromkeys(State, 0)


async def test_tasks_are_listed_newest_first(store: TaskStore) -> None:
    """By the order accepted, as whole tasks."""
    ids = [await accept(store, f"DEVICE{n}") for n in range(3)]

    page = await store.search(TaskQuery())

    assert list(page.tasks) == [await stored(store, task_id) for task_id in reversed(ids)]
    assert page.cursor is None


async def test_empty_store_has_one_empty_page(store: TaskStore) -> None:
    """There is nothing to turn to."""
    page = await store.search(TaskQuery())

    assert (list(page.tasks), page.cursor) == ([], None)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({State.QUEUED}, ["retried", "queued"]),
        ({State.RUNNING}, ["running"]),
        ({State.SUCCEEDED}, ["succeeded"]),
        ({State.FAILED}, ["dead", "failed"]),
        ({State.CANCELLED}, ["cancelled"]),
        ({State.SUCCEEDED, State.CANCELLED}, ["cancelled", "succeeded"]),
    ],
)
async def test_tasks_are_found_by_state(
    store: TaskStore, states: set[State], expected: list[str]
) -> None:
    """One state or several."""
    await _one_of_each(store)

    page = await store.search(TaskQuery(states=frozenset(states)))

    assert [task.equipment for task in page.tasks] == expected


@pytest.mark.parametrize(("dead", "expected"), [(True, ["dead"]), (False, ["failed"])])
async def test_dead_letters_are_told_from_refused_tasks(
    store: TaskStore, dead: bool, expected: list[str]
) -> None:
    """Both have failed; only one used up its attempts."""
    await _one_of_each(store)

    page = await store.search(TaskQuery(states=frozenset({State.FAILED}), dead_letter=dead))

    assert [task.equipment for task in page.tasks] == expected


async def test_tasks_are_found_by_equipment(store: TaskStore) -> None:
    """The whole serial number, in its own letters."""
    mine = [await accept(store, DEVICE), await accept(store, DEVICE)]
    await accept(store, OTHER_DEVICE)
    await accept(store, DEVICE + "4")
    await accept(store, DEVICE.lower())

    assert await _search(store, TaskQuery(equipment=DEVICE)) == mine[::-1]


async def test_tasks_are_found_by_time(store: TaskStore, clock: VirtualClock) -> None:
    """From a moment on, and before a moment."""
    begin, ids = clock.now(), []
    for n in range(4):
        ids.append(await accept(store, f"DEVICE{n}"))
        clock.advance(1)
    query = TaskQuery(
        accepted_from=begin + timedelta(seconds=1), accepted_before=begin + timedelta(seconds=3)
    )

    assert await _search(store, query) == [ids[2], ids[1]]


async def test_filters_narrow_each_other(store: TaskStore, clock: VirtualClock) -> None:
    """A task must pass them all."""
    old = await accept(store, DEVICE)
    await store.finish([failure(await claim(store, old))])
    clock.advance(1)
    new = await accept(store, DEVICE)
    await store.finish([failure(await claim(store, new))])
    await accept(store, DEVICE)
    query = TaskQuery(states=frozenset({State.FAILED}), equipment=DEVICE, accepted_from=clock.now())

    assert await _search(store, query) == [new]


async def test_pages_stay_the_same_while_tasks_arrive(store: TaskStore) -> None:
    """Turning the pages shows each task once, and no newer one."""
    ids = [await accept(store, f"DEVICE{n}") for n in range(7)]
    query, shown = TaskQuery(limit=3), []

    page = await store.search(query)
    while page.cursor is not None:
        shown += _ids(page)
        await accept(store, f"NEWER{page.cursor}")
        page = await store.search(replace(query, cursor=page.cursor))

    assert shown + _ids(page) == ids[::-1]


async def test_full_last_page_has_no_next(store: TaskStore) -> None:
    """A cursor promises that there is more."""
    for n in range(4):
        await accept(store, f"DEVICE{n}")

    first = await store.search(TaskQuery(limit=2))
    last = await store.search(TaskQuery(limit=2, cursor=first.cursor))

    assert (len(first.tasks), len(last.tasks)) == (2, 2)
    assert (first.cursor is None, last.cursor) == (False, None)


async def test_cursor_works_with_filters(store: TaskStore) -> None:
    """Tasks that do not match are passed over, on every page."""
    ids = []
    for _ in range(4):
        ids.append(await accept(store, DEVICE))
        await accept(store, OTHER_DEVICE)

    first = await store.search(TaskQuery(equipment=DEVICE, limit=3))
    last = await store.search(TaskQuery(equipment=DEVICE, limit=3, cursor=first.cursor))

    assert _ids(first) + _ids(last) == ids[::-1]


async def test_status_of_an_empty_store_is_all_zero(store: TaskStore) -> None:
    """Every state is there."""
    assert await store.status() == StoreStatus(counts=NOTHING_YET)


async def test_status_counts_tasks_by_state(store: TaskStore) -> None:
    """Dead letters are counted beside the failed tasks that they are."""
    await _one_of_each(store)

    status = await store.status()

    assert status.counts == {
        State.QUEUED: 2,
        State.RUNNING: 1,
        State.SUCCEEDED: 1,
        State.FAILED: 2,
        State.CANCELLED: 1,
    }
    assert status.dead_letters == 1
    assert await store.backlog() == 2


async def test_status_can_leave_the_ended_tasks_out(store: TaskStore) -> None:
    """There may be many of them; dead letters are counted all the same."""
    await _one_of_each(store)

    status = await store.status(ended=False)

    assert status.counts == {State.QUEUED: 2, State.RUNNING: 1}
    assert status.dead_letters == 1


async def test_status_tells_how_long_messages_are_overdue(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Confirmed messages and waits that are wanted do not count, nor do waiting tasks."""
    await accept(store, DEVICE)
    await accept(store, DEVICE)
    confirmed = await accept(store, OTHER_DEVICE)
    await store.mark_published([Ready(confirmed)])
    await store.finish([retry(await claim(store, await accept(store, "RETRY00")), retry_in_s=99)])
    fresh = await store.status()
    clock.advance(10 + 7)

    overdue = await store.status()

    assert (fresh.unpublished, fresh.unpublished_age_s) == (0, 0.0)
    assert (overdue.unpublished, overdue.unpublished_age_s) == (1, 7.0)


async def test_status_tells_the_age_of_the_oldest_queued_task(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Running and ended tasks are not waiting."""
    for device in (DEVICE, OTHER_DEVICE):
        await store.finish([success(await claim(store, await accept(store, device)))])
    await claim(store, await accept(store, DEVICE))
    clock.advance(5)
    await accept(store, OTHER_DEVICE)
    clock.advance(3)

    assert (await store.status()).oldest_queued_s == 3.0


async def test_store_tells_its_time_and_its_life(store: TaskStore, clock: VirtualClock) -> None:
    """Leases are measured by the clock that it was given."""
    await store.ping()

    assert store.now() == clock.now()


async def _one_of_each(store: TaskStore) -> None:
    """Store a task in each state; the devices are called after what became of them."""
    await accept(store, "queued")
    await claim(store, await accept(store, "running"))
    ends = {"succeeded": success, "failed": failure, "dead": used_up, "retried": retry}
    for device, end in ends.items():
        await store.finish([end(await claim(store, await accept(store, device)))])
    await store.cancel(await accept(store, "cancelled"))


async def _search(store: TaskStore, query: TaskQuery) -> Sequence[TaskId]:
    return _ids(await store.search(query))


def _ids(page: Page) -> list[TaskId]:
    return [task.id for task in page.tasks]
