"""Waiting for the end of a task: woken by the store, and never for longer than asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from activation.domain.task import State
from activation.errors import StoreUnavailableError
from activation_gateway.endings import Endings
from tests.support.faulty_store import FaultyStore
from tests.support.tasks import accept, claim, new_task, success
from tests.support.world import VIRTUAL_TIME, LoopClock

pytestmark = VIRTUAL_TIME


class Setting:
    """Endings at work on a store of their own."""

    def __init__(self) -> None:
        self.store = FaultyStore(LoopClock())
        self.woken = 0
        self.endings = Endings(self.store, on_ready=self._on_ready)

    def _on_ready(self) -> None:
        self.woken += 1


@asynccontextmanager
async def running() -> AsyncIterator[Setting]:
    setting = Setting()
    listening = asyncio.create_task(setting.endings.run())
    await asyncio.sleep(0.1)
    yield setting
    listening.cancel()
    await asyncio.wait([listening])


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_waiter_is_woken_by_the_end() -> None:
    """The answer comes with the end, not with the next look of a clock."""
    async with running() as setting:
        task_id = await accept(setting.store)
        held = await claim(setting.store, task_id)
        asyncio.get_running_loop().call_at(
            7.0, lambda: asyncio.ensure_future(setting.store.finish([success(held)]))
        )

        task = await setting.endings.await_end(task_id, 20.0)

        assert task is not None
        assert (task.state, now_s()) == (State.SUCCEEDED, 7.0)
        assert setting.store.calls["get"] == 2


async def test_ended_task_is_returned_at_once() -> None:
    """There is nothing to wait for."""
    async with running() as setting:
        task_id = await accept(setting.store)
        await setting.store.finish([success(await claim(setting.store, task_id))])
        before = now_s()

        task = await setting.endings.await_end(task_id, 20.0)

        assert task is not None
        assert (State.SUCCEEDED, before) == (task.state, now_s())


async def test_task_is_shown_as_it_is_when_the_time_is_over() -> None:
    """A task that began meanwhile is running in the answer, not queued as at the start."""
    async with running() as setting:
        task_id = await accept(setting.store)
        asyncio.get_running_loop().call_at(
            5.0, lambda: asyncio.ensure_future(claim(setting.store, task_id))
        )
        before = now_s()

        task = await setting.endings.await_end(task_id, 20.0)

        assert task is not None
        assert (task.state, now_s() - before) == (State.RUNNING, 20.0)


async def test_unknown_task_is_none() -> None:
    """Nobody waits for a task that is not there."""
    async with running() as setting:
        assert await setting.endings.await_end(new_task().id, 20.0) is None


async def test_a_task_of_another_device_is_returned_at_once() -> None:
    """Whoever asks for it under the wrong device is answered, and does not wait."""
    async with running() as setting:
        task_id = await accept(setting.store)
        before = now_s()

        task = await setting.endings.await_end(task_id, 20.0, equipment="OTHER1")

        assert task is not None
        assert now_s() == before


async def test_end_between_reading_and_waiting_is_not_missed() -> None:
    """The task ends while the first look is on its way: the waiter looks again at once."""
    async with running() as setting:
        task_id = await accept(setting.store)
        held = await claim(setting.store, task_id)
        setting.store.slow["get"] = 1.0
        waiting = asyncio.create_task(setting.endings.await_end(task_id, 20.0))
        await asyncio.sleep(0.5)
        await setting.store.finish([success(held)])

        task = await waiting

        assert task is not None
        assert task.state == State.SUCCEEDED
        assert now_s() < 3.0


async def test_end_while_the_watch_was_interrupted_is_not_missed() -> None:
    """After a loss of contact every waiter looks again."""
    async with running() as setting:
        task_id = await accept(setting.store)
        held = await claim(setting.store, task_id)
        waiting = asyncio.create_task(setting.endings.await_end(task_id, 20.0))
        await asyncio.sleep(0.1)
        setting.store.interrupt_watch()
        await setting.store.finish([success(held)])  # nobody listens now

        task = await waiting

        assert task is not None
        assert task.state == State.SUCCEEDED
        assert now_s() < 3.0


async def test_waiter_that_was_woken_for_nothing_waits_on() -> None:
    """After a loss of contact an unfinished task is looked at once, and waited for again."""
    async with running() as setting:
        task_id = await accept(setting.store)
        waiting = asyncio.create_task(setting.endings.await_end(task_id, 20.0))
        await asyncio.sleep(1.0)
        before = now_s()
        setting.store.interrupt_watch()

        await waiting

        assert now_s() - before == 19.0
        assert setting.store.calls["get"] == 3  # at first, when woken, and at the end


async def test_all_waiters_of_a_task_are_woken() -> None:
    """Several clients may wait for the same task."""
    async with running() as setting:
        task_id = await accept(setting.store)
        waiting = [asyncio.create_task(setting.endings.await_end(task_id, 20.0)) for _ in range(10)]
        await asyncio.sleep(1.0)
        await setting.store.finish([success(await claim(setting.store, task_id))])

        tasks = await asyncio.gather(*waiting)

        assert [task.state for task in tasks if task is not None] == [State.SUCCEEDED] * 10
        assert now_s() < 2.0


async def test_end_of_another_task_costs_a_waiter_nothing() -> None:
    """Only those whose task ended look into the store."""
    async with running() as setting:
        task_id, other = await accept(setting.store, "DEVICE1"), await accept(setting.store)
        waiting = asyncio.create_task(setting.endings.await_end(task_id, 20.0))
        await asyncio.sleep(1.0)
        await setting.store.finish([success(await claim(setting.store, other))])
        await asyncio.sleep(1.0)

        assert setting.store.calls["get"] == 1
        await setting.store.cancel(task_id)
        await waiting


async def test_close_lets_all_waiters_go() -> None:
    """At shutdown requests are answered with the task as it is; later ones do not wait at all."""
    async with running() as setting:
        task_id = await accept(setting.store)
        waiting = asyncio.create_task(setting.endings.await_end(task_id, 20.0))
        await asyncio.sleep(1.0)
        before = now_s()

        setting.endings.close()
        sooner = await waiting
        later = await setting.endings.await_end(task_id, 20.0)

        assert [task.state for task in (sooner, later) if task is not None] == [State.QUEUED] * 2
        assert before == now_s()


async def test_store_that_does_not_answer_is_an_error_for_the_waiter() -> None:
    """The request that waits gets to know that the store is away."""
    async with running() as setting:
        task_id = await accept(setting.store)
        setting.store.fail("get")

        with pytest.raises(StoreUnavailableError):
            await setting.endings.await_end(task_id, 20.0)


async def test_cancelled_waiter_leaves_nothing_behind() -> None:
    """A client that hangs up is forgotten."""
    async with running() as setting:
        task_id = await accept(setting.store)
        waiting = asyncio.create_task(setting.endings.await_end(task_id, 20.0))
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.wait([waiting])

        assert setting.endings._waiters == {}


async def test_ready_tasks_wake_the_relay() -> None:
    """The relay hears of tasks that became ready, and looks once after each loss of contact."""
    async with running() as setting:
        at_start = setting.woken
        older = await accept(setting.store)
        await accept(setting.store)  # the device's next one
        await setting.store.finish([success(await claim(setting.store, older))])
        await asyncio.sleep(0.1)
        after_end = setting.woken
        setting.store.interrupt_watch()
        await asyncio.sleep(3.0)

        assert [at_start, after_end, setting.woken] == [1, 2, 3]
