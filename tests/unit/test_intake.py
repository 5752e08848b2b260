"""Accepting: shared commits, patience with the store, and a bounded backlog."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from activation.errors import KeyConflictError, StoreUnavailableError
from activation.ports import Accepted, Ready
from activation_gateway.intake import BacklogFullError, Intake
from tests.support.faulty_store import FaultyStore
from tests.support.tasks import claim, new_task, success
from tests.support.world import VIRTUAL_TIME, LoopClock

pytestmark = VIRTUAL_TIME

PATIENCE_S = 4.0


class Setting:
    """An intake at work on a store of its own."""

    def __init__(self, **limits: int) -> None:
        self.store = FaultyStore(LoopClock())
        self.offered: list[Ready] = []
        self.intake = Intake(
            self.store, self._offer, patience_s=PATIENCE_S, **({"max_backlog": 0} | limits)
        )

    def _offer(self, ready: Sequence[Ready]) -> None:
        self.offered.extend(ready)

    async def accept(self, count: int) -> list[Accepted]:
        """Accept so many tasks of different devices, all at once."""
        tasks = (new_task(f"DEVICE{number}") for number in range(count))
        return list(await asyncio.gather(*map(self.intake.accept, tasks)))

    async def end(self, accepted: Sequence[Accepted]) -> None:
        for one in accepted:
            await self.store.finish([success(await claim(self.store, one.task_id))])


@asynccontextmanager
async def running(**limits: int) -> AsyncIterator[Setting]:
    setting = Setting(**limits)
    working = asyncio.create_task(setting.intake.run())
    yield setting
    working.cancel()
    await asyncio.wait([working])


async def test_accepted_task_is_durable_and_offered() -> None:
    """When the answer comes the store has the task, and the relay knows of it."""
    task = new_task(traceparent="00-trace-01")
    async with running() as setting:
        accepted = await setting.intake.accept(task)

        assert Accepted(task.id, ready=True) == accepted
        assert await setting.store.get(task.id) is not None
        assert [Ready(task.id, "00-trace-01")] == setting.offered


async def test_task_behind_another_of_its_device_is_not_offered() -> None:
    """Only the first in line can be published."""
    async with running() as setting:
        first = await setting.intake.accept(new_task())
        second = await setting.intake.accept(new_task())

        assert [first.ready, second.ready] == [True, False]
        assert [first.task_id] == [ready.task_id for ready in setting.offered]


async def test_concurrent_requests_share_a_commit() -> None:
    """A hundred requests that arrive together cost one transaction."""
    async with running() as setting:
        await setting.accept(100)

        assert setting.store.sizes == [("accept", 100)]


async def test_repeat_is_answered_with_the_older_task_and_not_offered() -> None:
    """The same key and request give the same task."""
    async with running() as setting:
        first = await setting.intake.accept(new_task(key="k"))
        repeat = await setting.intake.accept(new_task(key="k"))

        assert Accepted(first.task_id, ready=False, repeated=True) == repeat
        assert len(setting.offered) == 1


async def test_conflict_meets_only_the_request_that_caused_it() -> None:
    """Of a group that shares a commit, the one with a foreign key is refused."""
    async with running() as setting:
        await setting.intake.accept(new_task(key="k"))

        answers = await asyncio.gather(
            setting.intake.accept(new_task("DEVICE1", key="k", fingerprint="another")),
            setting.intake.accept(new_task("DEVICE2")),
            return_exceptions=True,
        )

        assert isinstance(answers[0], KeyConflictError)
        assert isinstance(answers[1], Accepted)


async def test_restart_of_the_store_goes_unnoticed() -> None:
    """A store that is back within the patience costs time, and the task is stored once."""
    async with running() as setting:
        setting.store.fail("accept", times=20)
        await setting.intake.accept(new_task())

        assert await setting.store.backlog() == 1
        assert asyncio.get_running_loop().time() < PATIENCE_S


async def test_commit_whose_confirmation_was_lost_stores_once_and_offers() -> None:
    """Repeating an accept that was done already gives the same task, still to be published."""
    async with running() as setting:
        setting.store.lose_answer("accept")
        accepted = await setting.intake.accept(new_task())

        assert await setting.store.backlog() == 1
        assert [accepted.task_id] == [ready.task_id for ready in setting.offered]


async def test_patience_ends() -> None:
    """A store that stays away is an error for the client, after the patience and not before."""
    async with running() as setting:
        setting.store.fail("accept", times=1000)

        with pytest.raises(StoreUnavailableError):
            await setting.intake.accept(new_task())

        assert PATIENCE_S <= asyncio.get_running_loop().time() <= PATIENCE_S + 0.2


async def test_full_backlog_refuses_without_touching_the_store() -> None:
    """Above the limit a request is turned away before it costs anything."""
    async with running(max_backlog=10) as setting:
        await setting.accept(10)
        calls = setting.store.calls["accept"]

        with pytest.raises(BacklogFullError) as refused:
            await setting.intake.accept(new_task())

        assert calls == setting.store.calls["accept"]
        assert refused.value.retry_after_s == 60  # nothing drains: come back much later


async def test_retry_after_follows_from_how_fast_the_backlog_drains() -> None:
    """With 5 tasks a second and 15 too many, there is room in 4 seconds."""
    async with running(max_backlog=10) as setting:
        accepted = await setting.accept(10)
        await asyncio.sleep(1.5)
        more = [new_task(f"MORE{number:04}") for number in range(20)]
        await setting.store.accept(more)  # by another gateway
        await asyncio.sleep(1.0)
        await setting.end(accepted[:5])
        await asyncio.sleep(1.0)

        with pytest.raises(BacklogFullError) as refused:
            await setting.intake.accept(new_task())

        assert refused.value.retry_after_s == 4


async def test_backlog_that_drained_lets_requests_in_again() -> None:
    """The count follows the store: what workers end, and what other gateways accept."""
    async with running(max_backlog=10) as setting:
        accepted = await setting.accept(10)
        await setting.end(accepted[:3])
        await asyncio.sleep(1.1)

        await setting.accept(3)

        with pytest.raises(BacklogFullError):
            await setting.intake.accept(new_task())


async def test_unknown_backlog_is_kept_as_it_was() -> None:
    """A store that does not say how much waits neither opens nor closes the door."""
    async with running(max_backlog=10) as setting:
        await setting.accept(10)
        setting.store.fail("backlog", times=3)
        await asyncio.sleep(3.0)

        with pytest.raises(BacklogFullError):
            await setting.intake.accept(new_task())


async def test_full_backlog_still_answers_a_repeat() -> None:
    """A client that missed its answer gets its task; another request with the key is a conflict."""
    async with running(max_backlog=10) as setting:
        known = await setting.intake.accept(new_task(key="k"))
        await setting.accept(9)

        repeat = await setting.intake.accept(new_task(key="k"))

        assert (repeat.task_id, repeat.repeated) == (known.task_id, True)
        with pytest.raises(KeyConflictError):
            await setting.intake.accept(new_task(key="k", fingerprint="another"))
        with pytest.raises(BacklogFullError):
            await setting.intake.accept(new_task(key="new"))


async def test_no_limit_means_no_counting() -> None:
    """With max_backlog 0 nothing is refused, and the store is not asked."""
    async with running(max_backlog=0) as setting:
        await setting.accept(100)
        await asyncio.sleep(10.0)

        assert setting.store.calls["backlog"] == 0


async def test_full_line_of_an_equipment_refuses_that_equipment_alone() -> None:
    """Nothing has ended yet, so nothing was measured: come back in a minute."""
    async with running(max_waiting_per_equipment=2) as setting:
        for _ in range(2):
            await setting.intake.accept(new_task("DEVICE1"))

        with pytest.raises(BacklogFullError) as refused:
            await setting.intake.accept(new_task("DEVICE1"))

        assert refused.value.of_equipment
        assert refused.value.retry_after_s == 60
        assert (await setting.intake.accept(new_task("DEVICE2"))).ready


async def test_full_line_still_answers_a_repeat() -> None:
    """A client that missed its answer asks again, however long the line is."""
    async with running(max_waiting_per_equipment=1) as setting:
        known = await setting.intake.accept(new_task(key="k"))

        repeat = await setting.intake.accept(new_task(key="k"))

        assert (repeat.task_id, repeat.repeated) == (known.task_id, True)


@pytest.mark.parametrize(("ran_s", "retry_after_s"), [(0.2, 1), (7.5, 8), (300.0, 60)])
async def test_a_full_line_is_to_be_asked_again_after_as_long_as_its_last_task_ran(
    ran_s: float, retry_after_s: int
) -> None:
    """One place is free when one more task has ended; never more than a minute, as for all."""
    async with running(max_waiting_per_equipment=1) as setting:
        first = await setting.intake.accept(new_task())
        claimed = await claim(setting.store, first.task_id)
        await setting.intake.accept(new_task())
        await asyncio.sleep(ran_s)
        await setting.store.finish([success(claimed)])

        with pytest.raises(BacklogFullError) as refused:
            await setting.intake.accept(new_task())

        assert refused.value.retry_after_s == retry_after_s
