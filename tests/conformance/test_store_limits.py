"""No more tasks of one equipment wait than may wait, whoever accepts them."""

import asyncio

from activation.errors import KeyConflictError, LineFullError
from activation.ports import Accepted, TaskStore
from tests.support.tasks import (
    DEVICE,
    OTHER_DEVICE,
    accept_new,
    claim,
    is_ready,
    new_task,
    success,
)


async def fill(store: TaskStore, waiting: int) -> None:
    """Let so many tasks of the device wait."""
    for _ in range(waiting):
        await accept_new(store, new_task())


async def test_a_full_line_takes_no_more(store: TaskStore) -> None:
    """What is too much leaves no trace: neither a task nor its key."""
    await fill(store, waiting=3)
    too_much = new_task(key="k")

    [answer] = await store.accept([too_much], max_waiting=3)

    assert isinstance(answer, LineFullError)
    assert await store.get(too_much.id) is None
    assert list(await store.history(too_much.id)) == []
    assert [Accepted(too_much.id, ready=False)] == await store.accept([too_much])


async def test_a_task_that_runs_does_not_wait(store: TaskStore) -> None:
    """One runs and one waits: that is a line of one."""
    await claim(store, await accept_new(store, new_task()))

    [behind] = await store.accept([new_task()], max_waiting=1)
    [too_much] = await store.accept([new_task()], max_waiting=1)

    assert isinstance(behind, Accepted)
    assert isinstance(too_much, LineFullError)


async def test_a_line_that_moves_takes_another(store: TaskStore) -> None:
    """Tasks that have ended take no place."""
    first = await accept_new(store, new_task())
    await fill(store, waiting=2)
    await store.finish([success(await claim(store, first))])

    [taken] = await store.accept([new_task()], max_waiting=3)
    [too_much] = await store.accept([new_task()], max_waiting=3)

    assert isinstance(taken, Accepted)
    assert isinstance(too_much, LineFullError)


async def test_one_batch_fills_a_line_to_the_task(store: TaskStore) -> None:
    """In its order, and the lines of others are their own."""
    await fill(store, waiting=1)
    batch = [new_task(DEVICE), new_task(OTHER_DEVICE), *(new_task(DEVICE) for _ in range(3))]

    answers = await store.accept(batch, max_waiting=3)

    assert [isinstance(answer, Accepted) for answer in answers] == [True, True, True, False, False]
    assert await store.backlog() == 4
    assert await is_ready(store, batch[1].id)


async def test_what_is_known_is_answered_although_the_line_is_full(store: TaskStore) -> None:
    """A client that repeats its request gets its task; another body is still a conflict."""
    known = new_task(key="k")
    await accept_new(store, known)

    answers = await store.accept(
        [known, new_task(key="k"), new_task(key="k", fingerprint="another"), new_task(key="new")],
        max_waiting=1,
    )

    assert answers[:2] == [
        Accepted(known.id, ready=True),
        Accepted(known.id, ready=False, repeated=True),
    ]
    assert isinstance(answers[2], KeyConflictError)
    assert isinstance(answers[3], LineFullError)


async def test_the_limit_holds_for_many_gateways_at_once(store: TaskStore, twin: TaskStore) -> None:
    """Forty at a time, each in a transaction of its own: not one too many."""
    gateways = [store, twin] * 20

    answers = await asyncio.gather(
        *(gateway.accept([new_task()], max_waiting=5) for gateway in gateways)
    )

    assert [isinstance(answer, Accepted) for [answer] in answers].count(True) == 5
    assert await store.backlog() == 5


async def test_one_long_line_holds_up_no_other(store: TaskStore) -> None:
    """Of a thousand tasks of one device one is offered, beside the one of every other."""
    hog = [new_task(DEVICE) for _ in range(1000)]
    others = [new_task(f"OTHER{n:04}") for n in range(1000)]

    answers = await store.accept([*hog, *others])

    ready = [answer.task_id for answer in answers if isinstance(answer, Accepted) and answer.ready]
    assert ready == [hog[0].id, *(task.id for task in others)]
