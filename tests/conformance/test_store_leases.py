"""Leases: renewing them, and taking back what a lost worker held."""

from activation.domain.outcome import Reason
from activation.domain.retry import Verdict
from activation.domain.task import EventName, State, Waiting
from activation.ports import Reaped, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import (
    DEVICE,
    LEASE_S,
    OTHER_DEVICE,
    accept,
    at_most,
    claim,
    hand_back,
    is_ready,
    retry,
    stored,
    success,
)

MAX_ATTEMPTS = 5


async def test_renewed_lease_keeps_the_task(store: TaskStore, clock: VirtualClock) -> None:
    """A worker that gives signs of life is not reaped, however long the call takes."""
    claimed = await claim(store, await accept(store), lease_s=30)

    for _ in range(3):
        clock.advance(29)
        assert await store.renew([claimed], 30) == frozenset()
        assert list(await store.reap(at_most(MAX_ATTEMPTS), limit=10)) == []


async def test_late_renewal_is_good_until_the_task_is_reaped(
    store: TaskStore, clock: VirtualClock
) -> None:
    """A worker that was slow but alive need not stop its call."""
    claimed = await claim(store, await accept(store), lease_s=30)
    clock.advance(31)

    assert await store.renew([claimed], 30) == frozenset()
    assert list(await store.reap(at_most(MAX_ATTEMPTS), limit=10)) == []


async def test_renewing_reports_the_claims_that_are_lost(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Only the worker of the running attempt keeps its claim."""
    reaped = await claim(store, await accept(store, "REAPED"))
    clock.advance(LEASE_S)
    await store.reap(at_most(MAX_ATTEMPTS), limit=10)
    overtaken = await claim(store, await accept(store, "OVERTAKEN"))
    await store.finish([hand_back(overtaken)])
    await claim(store, overtaken.task_id, "worker-b")
    ended = await claim(store, await accept(store, "FINISHED"))
    await store.finish([success(ended)])
    valid = await claim(store, await accept(store, "RUNNING"))

    lost = await store.renew([reaped, overtaken, ended, valid], LEASE_S)

    assert lost == {reaped.task_id, overtaken.task_id, ended.task_id}


async def test_cancel_request_does_not_end_the_lease(store: TaskStore) -> None:
    """What runs may run to its end."""
    claimed = await claim(store, await accept(store))
    await store.cancel(claimed.task_id)

    assert await store.renew([claimed], LEASE_S) == frozenset()


async def test_nothing_is_reaped_before_its_lease_ran_out(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Queued and ended tasks have no lease at all."""
    await accept(store)
    await store.finish([success(await claim(store, await accept(store, "FINISHED")))])
    await claim(store, await accept(store, "RUNNING"), lease_s=30)
    clock.advance(29.999)

    assert list(await store.reap(at_most(MAX_ATTEMPTS), limit=10)) == []


async def test_reaped_task_is_ready_again(store: TaskStore, clock: VirtualClock) -> None:
    """It is offered to the relays at once; the lost attempt counts."""
    accepted_at = clock.now()
    task_id = await accept(store)
    await claim(store, task_id, "worker-a", lease_s=30)
    clock.advance(30)

    reaped = await store.reap(at_most(MAX_ATTEMPTS), limit=10)

    assert reaped == [Reaped(task_id, DEVICE, "worker-a", 1, accepted_at, State.QUEUED)]
    task = await stored(store, task_id)
    assert (task.state, task.worker, task.lease_until) == (State.QUEUED, None, None)
    assert task.reason == Reason.WORKER_LOST
    assert task.message
    assert [ready.task_id for ready in await store.take_ready(10)] == [task_id]
    clock.advance(4)
    again = await claim(store, task_id, "worker-b")
    assert (again.attempt, again.counted, again.waited_s) == (2, 2, 4.0)


async def test_reaping_is_written_into_the_history(store: TaskStore, clock: VirtualClock) -> None:
    """The event says which attempt was lost."""
    task_id = await accept(store)
    await claim(store, task_id)
    clock.advance(LEASE_S)

    await store.reap(at_most(MAX_ATTEMPTS), limit=10)

    event = (await store.history(task_id))[-1]
    assert (event.name, event.attempt) == (EventName.LEASE_EXPIRED, 1)
    assert event.reason == Reason.WORKER_LOST
    assert event.at == clock.now()


async def test_late_result_of_a_reaped_task_is_fenced_off(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Neither before nor during the next attempt does the lost one change anything."""
    task_id = await accept(store)
    slow = await claim(store, task_id, "worker-a")
    clock.advance(LEASE_S)
    await store.reap(at_most(MAX_ATTEMPTS), limit=10)

    before = await store.finish([success(slow)])
    quick = await claim(store, task_id, "worker-b")
    during = await store.finish([success(slow)])

    assert (before, during) == ([None], [None])
    assert (
        (await stored(store, task_id)).state,
        (await stored(store, task_id)).worker,
    ) == (State.RUNNING, "worker-b")
    assert await store.finish([success(quick)]) == [State.SUCCEEDED]
    assert await store.finish([retry(slow)]) == [None]


async def test_task_that_lost_all_its_attempts_is_a_dead_letter(
    store: TaskStore, clock: VirtualClock
) -> None:
    """A task that kills its workers must not do so for ever."""
    task_id = await accept(store)
    states = []

    for _ in range(3):
        await claim(store, task_id)
        clock.advance(LEASE_S)
        states += [reaped.state for reaped in await store.reap(at_most(3), limit=10)]

    assert states == [State.QUEUED, State.QUEUED, State.FAILED]
    task = await stored(store, task_id)
    assert (task.state, task.dead_letter, task.reason) == (State.FAILED, True, Reason.WORKER_LOST)
    assert task.finished_at == clock.now()
    assert (await store.history(task_id))[-1].name == EventName.FAILED


async def test_a_reaped_task_rests_as_long_as_it_is_told(
    store: TaskStore, clock: VirtualClock
) -> None:
    """It waits for its retry, and then it can be claimed; the wait follows the lost attempts."""
    task_id = await accept(store)
    rested = []

    def resting(counted: int) -> Verdict:
        return Verdict(State.QUEUED, retry_in_s=10.0 * counted)

    for _ in range(2):
        await claim(store, task_id)
        clock.advance(LEASE_S)
        await store.reap(resting, limit=10)
        task = await stored(store, task_id)
        assert task.not_before is not None
        rested.append((task.not_before - clock.now()).total_seconds())
        assert task.waiting_for(clock.now()) is Waiting.FOR_RETRY
        assert list(await store.take_ready(10)) == []
        clock.advance(rested[-1])
        assert [ready.task_id for ready in await store.take_ready(10)] == [task_id]

    assert rested == [10.0, 20.0]


async def test_attempts_that_were_handed_back_do_not_count_for_the_reaper(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Drains alone never make a dead letter."""
    task_id = await accept(store)
    for _ in range(3):
        await store.finish([hand_back(await claim(store, task_id))])
    await claim(store, task_id)
    clock.advance(LEASE_S)

    [reaped] = await store.reap(at_most(2), limit=10)

    assert (reaped.attempt, reaped.state) == (4, State.QUEUED)


async def test_reaped_task_that_was_to_be_cancelled_is_cancelled(
    store: TaskStore, clock: VirtualClock
) -> None:
    """It is not tried again, and its device goes on."""
    task_id, following = await accept(store), await accept(store)
    await claim(store, task_id)
    await store.cancel(task_id)
    clock.advance(LEASE_S)

    [reaped] = await store.reap(at_most(MAX_ATTEMPTS), limit=10)

    assert reaped.state == State.CANCELLED
    assert (await stored(store, task_id)).state == State.CANCELLED
    assert (await store.history(task_id))[-1].name == EventName.CANCELLED
    assert await is_ready(store, following)


async def test_what_was_lost_first_is_reaped_first(store: TaskStore, clock: VirtualClock) -> None:
    """A limit takes the oldest."""
    late = await claim(store, await accept(store, DEVICE), lease_s=20)
    early = await claim(store, await accept(store, OTHER_DEVICE), lease_s=10)
    clock.advance(30)

    judge = at_most(MAX_ATTEMPTS)
    rounds = [[lost.task_id for lost in await store.reap(judge, limit=1)] for _ in range(3)]

    assert rounds == [[early.task_id], [late.task_id], []]


async def test_renewing_an_unknown_task_reports_it(store: TaskStore) -> None:
    """A worker whose task was purged learns it."""
    claimed = await claim(store, await accept(store))
    await store.finish([success(claimed)])
    await store.purge(ended_before_s=0, limit=10)

    assert await store.renew([claimed], LEASE_S) == {claimed.task_id}
