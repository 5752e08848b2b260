"""Accepting: what is durable, in which order, and what may run."""

import pytest

from activation.domain.task import Event, EventName, State, Task, Waiting
from activation.ports import Accepted, TaskQuery, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import DEVICE, OTHER_DEVICE, accept_new, claim, new_task, stored, success


async def test_accepted_task_is_stored_as_it_was_given(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Every field of the request is kept, and the task waits for the broker."""
    new = new_task(
        parameters='{"config": "example"}', timeout_s=7, traceparent="00-ab-cd-01", key="k"
    )

    [answer] = await store.accept([new])

    assert answer == Accepted(new.id, ready=True)
    task = await stored(store, new.id)
    assert task == Task(
        id=new.id,
        equipment=DEVICE,
        state=State.QUEUED,
        timeout_s=7,
        parameters='{"config": "example"}',
        accepted_at=clock.now(),
        unpublished=True,
        traceparent="00-ab-cd-01",
    )
    assert task.waiting_for(clock.now()) == Waiting.FOR_BROKER


async def test_accepting_begins_the_history(store: TaskStore, clock: VirtualClock) -> None:
    """The first event tells when the task was accepted."""
    task_id = await accept_new(store, new_task())

    assert await store.history(task_id) == [Event(clock.now(), EventName.ACCEPTED, attempt=0)]


async def test_unknown_task_is_nowhere(store: TaskStore) -> None:
    """An id that was never accepted gives no task and no history."""
    unknown = new_task().id

    assert await store.get(unknown) is None
    assert list(await store.history(unknown)) == []


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param('{"config": "' + "x" * 65_536 + '"}', id="64 KiB"),
        pytest.param('{"name": "Zoë 设备 🛰️ عربى e\u0301 \u2028 \ufeff"}', id="many scripts"),
        pytest.param(r'{"text": "\u0000 \ud800 \" \\ %s :now $1 {}"}', id="escapes"),
    ],
)
async def test_parameters_survive_letter_by_letter(store: TaskStore, parameters: str) -> None:
    """Large and odd texts come back, to a reader and to a worker, as they went in."""
    task_id = await accept_new(store, new_task(parameters=parameters))

    claimed = await claim(store, task_id)

    assert claimed.parameters == parameters
    assert (await stored(store, task_id)).parameters == parameters


async def test_batch_of_500_is_answered_in_its_order(store: TaskStore) -> None:
    """All are stored, the list keeps their order, and one of each device is ready."""
    batch = [new_task(f"DEVICE{n % 100:03}") for n in range(500)]

    answers = await store.accept(batch)

    assert answers == [Accepted(new.id, ready=n < 100) for n, new in enumerate(batch)]
    page = await store.search(TaskQuery(limit=500))
    assert [task.id for task in page.tasks] == [new.id for new in reversed(batch)]


async def test_empty_batch_is_no_work(store: TaskStore) -> None:
    """Nothing in, nothing out."""
    assert list(await store.accept([])) == []


async def test_only_the_first_task_of_a_device_is_ready(
    store: TaskStore, clock: VirtualClock
) -> None:
    """The second waits for its device, whether it came later or in the same batch."""
    batch = [new_task(DEVICE), new_task(DEVICE), new_task(OTHER_DEVICE)]

    first = await store.accept(batch)
    [later] = await store.accept([new_task(DEVICE)])

    assert [_accepted(answer).ready for answer in first] == [True, False, True]
    assert not _accepted(later).ready
    waiting = await stored(store, batch[1].id)
    assert waiting.waiting_for(clock.now()) == Waiting.FOR_DEVICE


async def test_write_that_is_repeated_stores_one_task(store: TaskStore) -> None:
    """A caller that missed the answer gets it again, also inside of a larger batch."""
    new, other = new_task(DEVICE, key="k"), new_task(OTHER_DEVICE)
    await store.accept([new])

    again = await store.accept([new, other])

    assert again == [Accepted(new.id, ready=True), Accepted(other.id, ready=True)]
    assert await store.backlog() == 2
    assert len(await store.history(new.id)) == 1


async def test_write_that_is_repeated_late_is_not_ready(store: TaskStore) -> None:
    """A task that a worker has begun meanwhile needs no message."""
    new = new_task()
    await store.accept([new])
    await claim(store, new.id)

    assert await store.accept([new]) == [Accepted(new.id, ready=False)]


async def test_device_that_has_finished_everything_is_free(store: TaskStore) -> None:
    """The next task of the device is ready at once."""
    first = await accept_new(store, new_task())
    await store.finish([success(await claim(store, first))])

    [answer] = await store.accept([new_task()])

    assert _accepted(answer).ready


def _accepted(answer: object) -> Accepted:
    assert isinstance(answer, Accepted)
    return answer
