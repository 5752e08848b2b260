"""A caller with many tasks has no more than its share of them in the queue."""

from collections.abc import Sequence
from itertools import count

import pytest

from activation.domain.task import NewTask, TaskId, Waiting
from activation.ports import Accepted, TaskStore
from tests.support.clock import VirtualClock
from tests.support.tasks import DEVICE, claim, hand_back, new_task, retry, stored, success

SHARE = 3
ALL = 1000

_device = count()


def tasks_of(caller: str | None, amount: int) -> list[NewTask]:
    """Make tasks of a caller, each of a device of its own."""
    return [new_task(f"SHARED{next(_device)}", caller=caller) for _ in range(amount)]


async def accept(store: TaskStore, tasks: Sequence[NewTask], share: int = SHARE) -> list[bool]:
    """Accept one after the other; tells which were ready."""
    ready = []
    for task in tasks:
        [answer] = await store.accept([task], share=share)
        assert isinstance(answer, Accepted)
        ready.append(answer.ready)
    return ready


async def admitted(store: TaskStore, share: int = SHARE, limit: int = ALL) -> list[TaskId]:
    return [ready.task_id for ready in await store.admit(share, limit)]


def ids(tasks: Sequence[NewTask]) -> list[TaskId]:
    return [task.id for task in tasks]


async def test_what_is_above_the_share_is_deferred(store: TaskStore, clock: VirtualClock) -> None:
    """It is accepted all the same, and says what it waits for."""
    tasks = tasks_of("crm", SHARE + 2)

    ready = await accept(store, tasks)

    waiting = [(await stored(store, task.id)).waiting_for(clock.now()) for task in tasks]
    assert ready == [True] * SHARE + [False] * 2
    assert waiting == [Waiting.FOR_BROKER] * SHARE + [Waiting.FOR_SHARE] * 2


async def test_tasks_of_one_request_share_as_well(store: TaskStore) -> None:
    """A batch is no way round."""
    tasks = tasks_of("crm", SHARE + 2)

    answers = await store.accept(tasks, share=SHARE)

    assert [Accepted(task.id, ready=n < SHARE) for n, task in enumerate(tasks)] == answers


async def test_other_callers_have_shares_of_their_own(store: TaskStore) -> None:
    """They are ready at once, however much another has."""
    await accept(store, tasks_of("batch", 10))

    assert await accept(store, tasks_of("crm", SHARE)) == [True] * SHARE


async def test_nobody_shares_where_callers_need_not_say_who_they_are(store: TaskStore) -> None:
    """They would all be one."""
    together = await store.accept(tasks_of(None, 10), share=SHARE)

    assert await accept(store, tasks_of(None, 10)) == [True] * 10
    assert all(isinstance(answer, Accepted) and answer.ready for answer in together)


async def test_without_a_share_nothing_is_deferred(store: TaskStore) -> None:
    """0 is no limit."""
    assert await accept(store, tasks_of("crm", 10), share=0) == [True] * 10


async def test_deferred_tasks_are_in_no_outbox(store: TaskStore, clock: VirtualClock) -> None:
    """Neither as owed, nor as lost; however long it takes."""
    await accept(store, tasks_of("crm", SHARE + 2))
    clock.advance(3600)

    swept = await store.take_ready(ALL)
    await store.mark_published(swept)
    clock.advance(3600)
    lost = await store.offer_again(60, ALL)

    assert (len(swept), lost) == (SHARE, SHARE)
    assert (await store.status()).unpublished == SHARE


async def test_a_claim_makes_room_for_the_oldest(store: TaskStore) -> None:
    """Two of the first began: two of the deferred follow, as they were accepted."""
    tasks = tasks_of("crm", SHARE + 4)
    await accept(store, tasks)
    none = await admitted(store)
    for task in tasks[:2]:
        await claim(store, task.id)

    found = await admitted(store)

    assert none == []
    assert found == ids(tasks[SHARE : SHARE + 2])
    assert await admitted(store) == []


async def test_admitted_tasks_are_taken_as_out_of_the_outbox(
    store: TaskStore, clock: VirtualClock
) -> None:
    """No other relay gets them, until the lease is over and nothing was confirmed."""
    tasks = tasks_of("crm", SHARE + 1)
    await accept(store, tasks)
    await claim(store, tasks[0].id)
    [late] = await store.admit(SHARE, ALL)

    at_once = await store.take_ready(ALL)
    clock.advance(3600)
    later = await store.take_ready(ALL)

    assert late.task_id == tasks[-1].id
    assert at_once == []
    assert late in later


async def test_an_admitted_task_runs(store: TaskStore) -> None:
    """As any other."""
    tasks = tasks_of("crm", SHARE + 1)
    await accept(store, tasks)
    await store.finish([success(await claim(store, task.id)) for task in tasks[:SHARE]])
    [last] = await admitted(store)

    assert (await claim(store, last)).attempt == 1


async def test_what_comes_later_does_not_overtake(store: TaskStore) -> None:
    """There is room again, but others of the caller were there before."""
    tasks = tasks_of("crm", SHARE + 2)
    await accept(store, tasks[:-1])
    for task in tasks[:SHARE]:
        await claim(store, task.id)

    ready = await accept(store, tasks[-1:])

    assert ready == [False]
    assert await admitted(store) == ids(tasks[SHARE:])


async def test_each_caller_gets_what_it_has_room_for(store: TaskStore) -> None:
    """And nobody waits for the others' room."""
    tasks = {caller: tasks_of(caller, SHARE + 5) for caller in ("a", "b", "c")}
    for mine in tasks.values():
        await accept(store, mine)
    for n, mine in enumerate(tasks.values()):
        for task in mine[:n]:
            await claim(store, task.id)

    found = await admitted(store)

    assert sorted(found) == sorted([*ids(tasks["b"][SHARE:][:1]), *ids(tasks["c"][SHARE:][:2])])


async def test_no_more_than_asked_for_are_admitted_at_once(store: TaskStore) -> None:
    """The rest the next time."""
    for caller in ("a", "b"):
        await accept(store, tasks_of(caller, SHARE + 5))

    rounds = [len(await admitted(store, share=0, limit=6)) for _ in range(3)]

    assert rounds == [6, 4, 0]


async def test_without_a_share_all_that_was_deferred_is_admitted(store: TaskStore) -> None:
    """Whoever switches the shares off shall not leave anything behind."""
    tasks = tasks_of("crm", 10)
    await accept(store, tasks)

    assert sorted(await admitted(store, share=0)) == sorted(ids(tasks[SHARE:]))


async def test_retries_take_no_place(store: TaskStore) -> None:
    """They wait for a moment, and not for a worker: a caller whose devices fail goes on."""
    tasks = tasks_of("crm", SHARE + 2)
    await accept(store, tasks)
    for task in tasks[:2]:
        await store.finish([retry(await claim(store, task.id))])

    assert await admitted(store) == ids(tasks[SHARE:])


async def test_what_is_handed_back_takes_its_place_again(store: TaskStore) -> None:
    """It waits for a worker as before."""
    tasks = tasks_of("crm", SHARE + 1)
    await accept(store, tasks)
    await store.finish([hand_back(await claim(store, tasks[0].id))])

    assert await admitted(store) == []


async def test_a_task_behind_others_of_its_device_takes_no_place(store: TaskStore) -> None:
    """It waits for its device; when its turn comes, it is ready whatever the share."""
    line = [new_task(DEVICE, caller="crm") for _ in range(SHARE + 2)]
    await accept(store, line)
    others = tasks_of("crm", SHARE - 1)

    ready = await accept(store, others)
    await store.finish([success(await claim(store, line[0].id))])

    assert ready == [True] * (SHARE - 1)
    assert line[1].id in {one.task_id for one in await store.take_ready(ALL)}


async def test_a_deferred_task_can_be_cancelled(store: TaskStore) -> None:
    """Then the next of its device is ready, and nobody admits what has ended."""
    await accept(store, tasks_of("crm", SHARE))
    first, second = (new_task(DEVICE, caller="crm") for _ in range(2))
    await accept(store, [first, second])

    await store.cancel(first.id)

    assert not (await stored(store, first.id)).deferred
    assert [second.id] == [
        one.task_id for one in await store.take_ready(ALL) if one.task_id == second.id
    ]
    assert await admitted(store, share=0) == []


async def test_a_repeat_of_a_deferred_task_is_not_ready(store: TaskStore) -> None:
    """Whether the answer was lost, or the client asks again."""
    await accept(store, tasks_of("crm", SHARE))
    task = new_task(DEVICE, key="k", caller="crm")
    [first] = await store.accept([task], share=SHARE)

    [again] = await store.accept([task], share=SHARE)

    assert (first, again) == (Accepted(task.id, ready=False), Accepted(task.id, ready=False))


@pytest.mark.parametrize("caller", ["https%3A//login.example.com#" + "x" * 2000, "ключ", "'; --"])
async def test_any_name_is_a_caller(store: TaskStore, caller: str) -> None:
    """Issuers of tokens choose them."""
    tasks = tasks_of(caller, SHARE + 1)

    assert await accept(store, tasks) == [True] * SHARE + [False]
    assert await admitted(store, share=0) == ids(tasks[-1:])
