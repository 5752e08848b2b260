"""Races: what two processes do at the same moment never tears a device's line."""

import asyncio

from activation.domain.task import Claim, State
from activation.ports import Accepted, Refused, TaskQuery, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
    LEASE_S,
    OTHER_DEVICE,
    accept,
    at_most,
    claim,
    is_ready,
    new_task,
    retry,
    stored,
    success,
)

ROUNDS = 20


async def test_accepts_at_once_leave_one_task_ready(store: TaskStore, twin: TaskStore) -> None:
    """The oldest one, whoever was first to commit."""
    answers = await asyncio.gather(
        *(one.accept([new_task(), new_task(OTHER_DEVICE)]) for one in [store, twin] * 10)
    )

    ready = [a.task_id for batch in answers for a in batch if isinstance(a, Accepted) and a.ready]
    assert len(ready) == 2
    for device in (DEVICE, OTHER_DEVICE):
        line = (await store.search(TaskQuery(equipment=device))).tasks
        assert [task.first_in_line for task in reversed(line)] == [True] + 19 * [False]
        assert line[-1].id in ready


async def test_end_and_accept_at_once_leave_the_device_its_next_task(
    store: TaskStore, twin: TaskStore
) -> None:
    """A task that arrives as the last one ends must not wait for ever."""
    current = await accept(store)

    for _ in range(ROUNDS):
        claimed, new = await claim(store, current), new_task()

        await asyncio.gather(store.finish([success(claimed)]), twin.accept([new]))

        assert await is_ready(store, new.id)
        current = new.id


async def test_cancel_and_accept_at_once_leave_the_device_its_next_task(
    store: TaskStore, twin: TaskStore
) -> None:
    """The same holds for a task that is cancelled."""
    current = await accept(store)

    for _ in range(ROUNDS):
        new = new_task()

        await asyncio.gather(store.cancel(current), twin.accept([new]))

        assert await is_ready(store, new.id)
        current = new.id


async def test_ends_and_accepts_in_batches_do_not_block_each_other(
    store: TaskStore, twin: TaskStore
) -> None:
    """Batches touch the same devices in different orders; all are written."""
    devices = [f"DEVICE{n}" for n in range(8)]
    current = [await accept(store, device) for device in devices]

    for _ in range(ROUNDS):
        claims = [await claim(store, task_id) for task_id in current]
        batch = [new_task(device) for device in devices]

        states, back, _, _ = await asyncio.gather(
            store.finish([success(claimed) for claimed in claims[:5]]),
            twin.finish([success(claimed) for claimed in reversed(claims[5:])]),
            twin.accept(batch[::-2]),
            store.accept(batch[::2]),
        )

        assert {*states, *back} == {State.SUCCEEDED}
        assert all([await is_ready(store, new.id) for new in batch])
        current = [new.id for new in batch]


async def test_cancel_and_claim_at_once_agree(store: TaskStore, twin: TaskStore) -> None:
    """Either the task is cancelled, or it runs and knows that it was to be cancelled."""
    for n in range(ROUNDS):
        task_id = await accept(store, f"DEVICE{n}")

        [claimed], _ = await asyncio.gather(
            store.claim([task_id], "worker-a", LEASE_S), twin.cancel(task_id)
        )

        task = await stored(store, task_id)
        if isinstance(claimed, Claim):
            assert (task.state, task.cancel_requested) == (State.RUNNING, True)
        else:
            assert claimed == Refused(task_id, State.CANCELLED)
            assert task.state is State.CANCELLED


async def test_reaper_and_late_result_at_once_agree(
    store: TaskStore, twin: TaskStore, clock: VirtualClock
) -> None:
    """Exactly one of them ends the attempt."""
    for n in range(ROUNDS):
        claimed = await claim(store, await accept(store, f"DEVICE{n}"))
        clock.advance(LEASE_S)

        [state], reaped = await asyncio.gather(
            store.finish([success(claimed)]), twin.reap(at_most(5), limit=10)
        )

        assert (state is None) == (len(reaped) == 1)
        assert (await stored(store, claimed.task_id)).state is (state or State.QUEUED)


async def test_reaper_and_late_renewal_at_once_agree(
    store: TaskStore, twin: TaskStore, clock: VirtualClock
) -> None:
    """Either the worker keeps its claim, or it is told that it has lost it."""
    for n in range(ROUNDS):
        claimed = await claim(store, await accept(store, f"DEVICE{n}"))
        clock.advance(LEASE_S)

        lost, reaped = await asyncio.gather(
            store.renew([claimed], LEASE_S), twin.reap(at_most(5), limit=10)
        )

        assert lost == {task.task_id for task in reaped if task.task_id == claimed.task_id}
        await store.finish([success(claimed)])


async def test_two_reapers_at_once_take_each_task_once(
    store: TaskStore, twin: TaskStore, clock: VirtualClock
) -> None:
    """Any gateway may run the reaper."""
    ids = [await accept(store, f"DEVICE{n:02}") for n in range(40)]
    await store.claim(ids, "worker-a", LEASE_S)
    clock.advance(LEASE_S)

    shares = await asyncio.gather(*(one.reap(at_most(5), limit=40) for one in [store, twin] * 3))

    assert sorted(task.task_id for share in shares for task in share) == sorted(ids)


async def test_same_result_at_once_is_written_once(store: TaskStore, twin: TaskStore) -> None:
    """A worker that gave up waiting for an answer may write while the first write commits."""
    for n in range(ROUNDS):
        claimed = await claim(store, await accept(store, f"DEVICE{n}"))

        [one], [two] = await asyncio.gather(
            store.finish([retry(claimed)]), twin.finish([retry(claimed)])
        )

        assert (one, two) == (State.QUEUED, State.QUEUED)
        assert len(await store.history(claimed.task_id)) == 3
