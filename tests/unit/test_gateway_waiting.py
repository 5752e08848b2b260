"""`Prefer: wait=N`: an answer comes when the task ends, woken by the store, or after N seconds."""

import asyncio

import pytest

from activation.domain.task import State, Task, TaskId
from activation.ports import Notice
from activation_gateway.endings import Endings
from tests.support.clock import VirtualClock
from tests.support.faulty_store import FaultyStore
from tests.support.gateway import NOBODY, running_gateway
from tests.support.tasks import OTHER_DEVICE, accept, claim, retry, success
from tests.support.world import VIRTUAL_TIME

pytestmark = VIRTUAL_TIME


def now_s() -> float:
    """Tell the virtual time."""
    return asyncio.get_running_loop().time()


async def test_waiting_ends_when_the_task_ends() -> None:
    """No time passes between the end of the task and the answer."""
    async with running_gateway() as gateway, asyncio.TaskGroup() as group:
        task_id = await gateway.submit()
        began_s = now_s()
        waiting = group.create_task(gateway.result(task_id, prefer="wait=20"))
        await asyncio.sleep(1.0)
        await gateway.finish(success(await gateway.run(task_id)))
        answer = await waiting

    assert (answer.status_code, answer.json()["message"]) == (200, "Completed")
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert now_s() == pytest.approx(began_s + 1.0)


async def test_waiting_ends_after_the_time_that_was_asked_for() -> None:
    """A task that goes on is answered as usual, and nothing is read meanwhile: no polling."""
    async with running_gateway() as gateway:
        task_id = await gateway.submit()
        began_s = now_s()
        answer = await gateway.result(task_id, prefer="wait=20, return=representation")

    assert (answer.status_code, answer.json()["code"]) == (200, 204)
    assert answer.headers["Preference-Applied"] == "return=representation, wait=20"
    assert pytest.approx(now_s() - began_s, abs=0.01) == 20.0
    assert gateway.store.calls["get"] <= 3


async def test_waiting_is_cut_at_a_minute() -> None:
    """Proxies give up on requests that are silent for longer."""
    async with running_gateway() as gateway:
        task_id = await gateway.submit()
        began_s = now_s()
        answer = await gateway.result(task_id, prefer="wait=3600")

    assert (answer.status_code, answer.headers["Preference-Applied"]) == (204, "wait=60")
    assert pytest.approx(now_s() - began_s, abs=0.01) == 60.0


async def test_retry_of_the_task_does_not_end_the_waiting() -> None:
    """Only an end is an end."""
    async with running_gateway() as gateway, asyncio.TaskGroup() as group:
        task_id = await gateway.submit()
        waiting = group.create_task(gateway.result(task_id, prefer="wait=20"))
        await asyncio.sleep(1.0)
        await gateway.finish(retry(await gateway.run(task_id), retry_in_s=0.0))
        await gateway.finish(success(await gateway.run(task_id)))
        answer = await waiting

    assert answer.status_code == 200


@pytest.mark.parametrize(("task_id", "equipment"), [(NOBODY, None), (None, OTHER_DEVICE)])
async def test_nobody_waits_for_what_is_not_there(
    task_id: TaskId | None, equipment: str | None
) -> None:
    """404 comes at once."""
    async with running_gateway() as gateway:
        asked = task_id or await gateway.submit()
        began_s = now_s()
        answer = await gateway.result(asked, equipment or "ABC123", prefer="wait=20")

    assert (404, began_s) == (answer.status_code, now_s())


async def test_ended_task_is_answered_at_once() -> None:
    """There is nothing to wait for."""
    async with running_gateway() as gateway:
        task_id = await gateway.submit()
        await gateway.finish(success(await gateway.run(task_id)))
        began_s = now_s()
        answer = await gateway.result(task_id, prefer="wait=20")

    assert (200, began_s) == (answer.status_code, now_s())


async def test_shutdown_lets_all_waiters_go() -> None:
    """Each is answered with how its task stands, at once, and so is who comes later."""
    async with running_gateway() as gateway, asyncio.TaskGroup() as group:
        task_id = await gateway.submit()
        began_s = now_s()
        waiting = group.create_task(gateway.result(task_id, prefer="wait=20"))
        await asyncio.sleep(1.0)
        gateway.endings.close()
        answers = [await waiting, await gateway.result(task_id, prefer="wait=20")]

    assert [answer.status_code for answer in answers] == [204, 204]
    assert now_s() == pytest.approx(began_s + 1.0)


class EndsWhileReadStore(FaultyStore):
    """The first read of a task is under way while the task ends: it still shows it running."""

    endings: Endings

    async def get(self, task_id: TaskId) -> Task | None:
        seen = await super().get(task_id)
        if self.calls["get"] == 1:
            await self.finish([success(await claim(self, task_id))])
            self.endings._wake(frozenset({task_id}))
        return seen


async def test_end_between_reading_and_waiting_is_not_missed() -> None:
    """Whoever waits is known before the task is read."""
    store = EndsWhileReadStore(VirtualClock())
    store.endings = Endings(store)
    task_id = await accept(store)

    task = await store.endings.await_end(task_id, timeout_s=20.0)

    assert task is not None
    assert (task.state, now_s()) == (State.SUCCEEDED, 0.0)


async def test_notice_that_names_nobody_makes_every_waiter_look() -> None:
    """After a loss of contact the store cannot say which tasks ended."""
    store = FaultyStore(VirtualClock())
    endings = Endings(store)
    task_id = await accept(store)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(endings.await_end(task_id, timeout_s=20.0))
        await asyncio.sleep(1.0)
        await store.finish([success(await claim(store, task_id))])
        store._watchers.clear()
        listening = group.create_task(endings.run())
        await asyncio.sleep(1.0)
        for watcher in store._watchers:
            watcher.put_nowait(Notice(ready=False, ended=None))
        task = await waiting
        listening.cancel()

    assert task is not None
    assert (task.state, now_s()) == (State.SUCCEEDED, 2.0)
