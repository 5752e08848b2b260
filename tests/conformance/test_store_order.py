"""Order: tasks of one device run one at a time, as they were accepted."""

from collections.abc import Callable

import pytest

from activation.domain.task import Claim
from activation.ports import Result, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
    LEASE_S,
    OTHER_DEVICE,
    accept,
    at_most,
    claim,
    failure,
    hand_back,
    is_ready,
    new_task,
    retry,
    success,
    used_up,
)

End = Callable[[Claim], Result]


@pytest.mark.parametrize("end", [success, failure, used_up])
async def test_next_task_is_ready_when_the_one_before_has_ended(store: TaskStore, end: End) -> None:
    """However it ended; not while it waits, and not while it runs."""
    first, second, third = [await accept(store) for _ in range(3)]
    waiting = await is_ready(store, second)
    claimed = await claim(store, first)
    running = await is_ready(store, second)

    await store.finish([end(claimed)])

    assert (waiting, running) == (False, False)
    assert await is_ready(store, second)
    assert not await is_ready(store, third)


async def test_next_task_is_offered_to_the_relays_at_once(store: TaskStore) -> None:
    """The transaction that ends a task owes the message of the next one."""
    first, second = await accept(store), await accept(store)

    await store.finish([success(await claim(store, first))])

    assert [ready.task_id for ready in await store.take_ready(10)] == [second]


@pytest.mark.parametrize("end", [retry, hand_back])
async def test_task_that_will_run_again_keeps_its_place(
    store: TaskStore, clock: VirtualClock, end: End
) -> None:
    """The others of its device wait until it has really ended."""
    first, second = await accept(store), await accept(store)

    await store.finish([end(await claim(store, first))])

    assert not await is_ready(store, second)
    clock.advance(10)
    await store.finish([success(await claim(store, first))])
    assert await is_ready(store, second)


async def test_reaped_task_keeps_its_place(store: TaskStore, clock: VirtualClock) -> None:
    """A lost worker does not let the next task overtake."""
    first, second = await accept(store), await accept(store)
    await claim(store, first)
    clock.advance(LEASE_S)

    await store.reap(at_most(5), limit=10)

    assert await is_ready(store, first)
    assert not await is_ready(store, second)


async def test_task_that_the_reaper_fails_makes_room(store: TaskStore, clock: VirtualClock) -> None:
    """The device goes on after a dead letter."""
    first, second = await accept(store), await accept(store)
    await claim(store, first)
    clock.advance(LEASE_S)

    await store.reap(at_most(1), limit=10)

    assert await is_ready(store, second)


async def test_cancelled_first_task_makes_room(store: TaskStore) -> None:
    """The next one is ready at once."""
    first, second, third = [await accept(store) for _ in range(3)]

    await store.cancel(first)

    assert await is_ready(store, second)
    assert not await is_ready(store, third)


async def test_cancelled_task_in_the_middle_is_left_out(store: TaskStore) -> None:
    """Nobody moves when it is cancelled, and the one behind it takes its turn."""
    first, second, third = [await accept(store) for _ in range(3)]

    await store.cancel(second)

    assert not await is_ready(store, third)
    await store.finish([success(await claim(store, first))])
    assert await is_ready(store, third)


async def test_cancel_request_of_a_running_task_makes_no_room(store: TaskStore) -> None:
    """The device is busy until the attempt has ended."""
    first, second = await accept(store), await accept(store)
    await claim(store, first)

    await store.cancel(first)

    assert not await is_ready(store, second)


async def test_batch_for_one_device_runs_in_its_order(store: TaskStore) -> None:
    """Each task of the batch becomes ready as the one before it ends."""
    batch = [new_task() for _ in range(5)]
    await store.accept(batch)

    for position, new in enumerate(batch):
        ready = [await is_ready(store, other.id) for other in batch]
        assert ready == [n == position for n in range(5)]
        await store.finish([success(await claim(store, new.id))])


async def test_devices_do_not_wait_for_each_other(store: TaskStore) -> None:
    """One device's running and failing tasks leave the other's alone."""
    await claim(store, await accept(store, DEVICE))
    await accept(store, DEVICE)

    first, second = await accept(store, OTHER_DEVICE), await accept(store, OTHER_DEVICE)

    await store.finish([success(await claim(store, first))])
    assert await is_ready(store, second)


async def test_ends_of_many_devices_in_one_call_move_each_line(store: TaskStore) -> None:
    """Every device of the batch gets its next task, and only one."""
    devices = [f"DEVICE{n:03}" for n in range(20)]
    lines = [[await accept(store, device) for _ in range(3)] for device in devices]
    claims = [await claim(store, line[0]) for line in lines]

    await store.finish([success(claimed) for claimed in claims])

    assert {r.task_id for r in await store.take_ready(100)} == {line[1] for line in lines}


async def test_replayed_task_of_a_free_device_is_ready_at_once(store: TaskStore) -> None:
    """Its message is offered to the relays, too."""
    task_id = await accept(store)
    await store.finish([failure(await claim(store, task_id))])

    await store.replay(task_id)

    assert await is_ready(store, task_id)
    assert [ready.task_id for ready in await store.take_ready(10)] == [task_id]


async def test_replayed_task_waits_for_a_busy_device(store: TaskStore) -> None:
    """It overtakes nobody who is first in line, running or not."""
    failed, second = await accept(store), await accept(store)
    await store.finish([failure(await claim(store, failed))])

    await store.replay(failed)

    assert await is_ready(store, second)
    assert not await is_ready(store, failed)
    await store.finish([success(await claim(store, second))])
    assert await is_ready(store, failed)


async def test_replayed_task_takes_its_old_place_in_the_line(store: TaskStore) -> None:
    """When the first in line ends, the oldest unfinished task is next."""
    failed, second, third = [await accept(store) for _ in range(3)]
    await store.finish([failure(await claim(store, failed))])
    await store.replay(failed)

    await store.finish([success(await claim(store, second))])

    assert await is_ready(store, failed)
    assert not await is_ready(store, third)
