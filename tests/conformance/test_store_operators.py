"""What clients and operators do to tasks: cancel and replay."""

from collections.abc import Awaitable, Callable

import pytest

from activation.domain.outcome import Reason
from activation.domain.task import Claim, EventName, State, TaskId
from activation.errors import TransitionError
from activation.ports import Cancellation, Result, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import accept, claim, failure, new_task, retry, stored, success, used_up

End = Callable[[Claim], Result]


async def test_queued_task_is_cancelled_at_once(store: TaskStore, clock: VirtualClock) -> None:
    """State, reason and time are stored, and the answer shows them."""
    task_id = await accept(store)
    clock.advance(5)

    answer = await store.cancel(task_id)

    task = await stored(store, task_id)
    assert answer == Cancellation(task, ended=True)
    assert (task.state, task.reason) == (State.CANCELLED, Reason.CANCELLED)
    assert task.finished_at == clock.now()
    assert not task.unpublished
    event = (await store.history(task_id))[-1]
    assert (event.name, event.attempt, event.reason) == (EventName.CANCELLED, 0, Reason.CANCELLED)


async def test_task_that_waits_for_a_retry_can_be_cancelled(store: TaskStore) -> None:
    """No further attempt is made."""
    task_id = await accept(store)
    await store.finish([retry(await claim(store, task_id))])

    answer = await store.cancel(task_id)

    task = await stored(store, task_id)
    assert answer == Cancellation(task, ended=True)
    assert (task.state, task.attempt, task.not_before) == (State.CANCELLED, 1, None)


async def test_running_task_is_asked_once(store: TaskStore) -> None:
    """It runs on, marked; asking again changes nothing."""
    task_id = await accept(store)
    await claim(store, task_id)

    first = await store.cancel(task_id)
    second = await store.cancel(task_id)

    task = await stored(store, task_id)
    assert first == second == Cancellation(task, ended=False)
    assert (task.state, task.cancel_requested) == (State.RUNNING, True)
    assert [event.name for event in await store.history(task_id)] == [
        EventName.ACCEPTED,
        EventName.STARTED,
        EventName.CANCEL_REQUESTED,
    ]


async def test_cancelled_task_can_be_cancelled_again(store: TaskStore, clock: VirtualClock) -> None:
    """Nothing happens, and the answer says that the request before ended it."""
    task_id = await accept(store)
    await store.cancel(task_id)
    before = await stored(store, task_id)
    clock.advance(5)

    answer = await store.cancel(task_id)

    assert answer == Cancellation(before, ended=False)
    assert await stored(store, task_id) == before
    assert len(await store.history(task_id)) == 2


@pytest.mark.parametrize(("end", "word"), [(success, "succeeded"), (failure, "failed")])
async def test_task_that_ended_otherwise_cannot_be_cancelled(
    store: TaskStore, end: End, word: str
) -> None:
    """The error says how it ended; nothing is changed."""
    task_id = await accept(store)
    await store.finish([end(await claim(store, task_id))])
    before = await _everything(store, task_id)

    with pytest.raises(TransitionError, match=word):
        await store.cancel(task_id)

    assert await _everything(store, task_id) == before


async def test_unknown_task_can_be_neither_cancelled_nor_replayed(store: TaskStore) -> None:
    """There is nothing to answer."""
    unknown = new_task().id

    assert await store.cancel(unknown) is None
    assert await store.replay(unknown) is None


@pytest.mark.parametrize("end", [failure, used_up])
async def test_failed_task_is_replayed_with_all_its_attempts(store: TaskStore, end: End) -> None:
    """It is as if nothing had been tried, but the fence goes on and the history stays."""
    task_id = await accept(store)
    await store.finish([end(await claim(store, task_id))])

    task = await store.replay(task_id)

    assert task is not None
    assert await stored(store, task_id) == task
    assert (task.state, task.dead_letter, task.cancel_requested) == (State.QUEUED, False, False)
    assert (task.finished_at, task.reason, task.message) == (None, None, None)
    event = (await store.history(task_id))[-1]
    assert (event.name, event.attempt) == (EventName.REPLAYED, 1)
    again = await claim(store, task_id)
    assert (again.attempt, again.counted) == (2, 1)
    assert await store.finish([success(again)]) == [State.SUCCEEDED]


async def test_replay_overrules_an_earlier_cancel_request(store: TaskStore) -> None:
    """Who asks for a replay wants the attempts that come with it."""
    task_id = await accept(store)
    claimed = await claim(store, task_id)
    await store.cancel(task_id)
    await store.finish([failure(claimed)])

    await store.replay(task_id)

    assert await store.finish([retry(await claim(store, task_id))]) == [State.QUEUED]


async def test_result_from_before_a_replay_is_stale(store: TaskStore) -> None:
    """Once the replay runs, the failure that was written again changes nothing."""
    task_id = await accept(store)
    old = await claim(store, task_id)
    await store.finish([failure(old)])
    await store.replay(task_id)
    await claim(store, task_id)

    assert await store.finish([failure(old)]) == [None]
    assert (await stored(store, task_id)).state == State.RUNNING


async def _queued(store: TaskStore) -> TaskId:
    return await accept(store)


async def _running(store: TaskStore) -> TaskId:
    return (await claim(store, await accept(store))).task_id


async def _succeeded(store: TaskStore) -> TaskId:
    claimed = await claim(store, await accept(store))
    await store.finish([success(claimed)])
    return claimed.task_id


async def _cancelled(store: TaskStore) -> TaskId:
    task_id = await accept(store)
    await store.cancel(task_id)
    return task_id


@pytest.mark.parametrize(
    ("arrange", "word"),
    [
        (_queued, "queued"),
        (_running, "running"),
        (_succeeded, "succeeded"),
        (_cancelled, "cancelled"),
    ],
)
async def test_only_failed_tasks_can_be_replayed(
    store: TaskStore, arrange: Callable[[TaskStore], Awaitable[TaskId]], word: str
) -> None:
    """The error says where the task stands; nothing is changed."""
    task_id = await arrange(store)
    before = await _everything(store, task_id)

    with pytest.raises(TransitionError, match=word):
        await store.replay(task_id)

    assert await _everything(store, task_id) == before


async def _everything(store: TaskStore, task_id: TaskId) -> tuple[object, ...]:
    return await stored(store, task_id), await store.history(task_id), await store.status()
