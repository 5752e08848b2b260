"""The reaper: lost tasks come back, and old ones go."""

import asyncio

import pytest
from structlog.testing import capture_logs

from activation.domain.outcome import Reason
from activation.domain.retry import RetryPolicy
from activation.domain.task import State
from activation.errors import StoreUnavailableError
from activation_gateway.reaper import Reaper
from tests.support.faulty_store import FaultyStore
from tests.support.tasks import accept, claim, stored, success
from tests.support.world import VIRTUAL_TIME, LoopClock

pytestmark = VIRTUAL_TIME

LEASE_S = 30.0
EVERY_S = 2.0
RETENTION_S = 3600.0
PURGE_EVERY_S = 60.0
PATIENCE_S = 30.0


class Setting:
    """A reaper at work on a store of its own."""

    def __init__(self, *, max_attempts: int = 5, patience_s: float = 0.0) -> None:
        self.store = FaultyStore(LoopClock())
        self._reaper = Reaper(
            self.store,
            policy=RetryPolicy(max_attempts=max_attempts, base_s=8.0),
            draw=lambda: 0.5,
            every_s=EVERY_S,
            patience_s=patience_s,
            retention_s=RETENTION_S,
        )

    async def work_for(self, seconds: float) -> None:
        running = asyncio.create_task(self._reaper.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.wait([running])


async def test_task_of_a_lost_worker_is_ready_again() -> None:
    """When the lease has run out the task is queued, and the log names task and worker."""
    setting = Setting()
    task_id = await accept(setting.store)
    await claim(setting.store, task_id, "worker-a", LEASE_S)

    with capture_logs() as logs:
        await setting.work_for(LEASE_S + 2 * EVERY_S)

    task = await stored(setting.store, task_id)
    [line] = [line for line in logs if line["event"] == "lease_reaped"]
    assert (task.state, task.reason) == (State.QUEUED, Reason.WORKER_LOST)
    assert (str(task_id), "worker-a", 1) == (line["task_id"], line["worker"], line["attempt"])


async def test_task_of_a_lost_worker_rests_before_it_runs_again() -> None:
    """Else all that a task killed together with its worker would begin together with it again."""
    setting = Setting()
    task_id = await accept(setting.store)
    await claim(setting.store, task_id, "worker-a", LEASE_S)

    await setting.work_for(LEASE_S + EVERY_S / 2)

    task = await stored(setting.store, task_id)
    assert task.not_before is not None
    rests_s = (task.not_before - setting.store.now()).total_seconds()
    assert rests_s == pytest.approx(0.5 * 8.0, abs=EVERY_S)


async def test_valid_lease_is_left_alone() -> None:
    """Before the lease has run out nobody takes the task away."""
    setting = Setting()
    task_id = await accept(setting.store)
    await claim(setting.store, task_id, lease_s=LEASE_S)

    await setting.work_for(LEASE_S - 0.1)

    assert (await stored(setting.store, task_id)).state == State.RUNNING


async def test_last_attempt_lost_makes_a_dead_letter() -> None:
    """A task that takes its worker down each time is not tried for ever."""
    setting = Setting(max_attempts=1)
    task_id = await accept(setting.store)
    await claim(setting.store, task_id, lease_s=LEASE_S)

    await setting.work_for(LEASE_S + 2 * EVERY_S)

    task = await stored(setting.store, task_id)
    assert (task.state, task.dead_letter) == (State.FAILED, True)


async def test_many_lost_leases_are_taken_back_in_one_look() -> None:
    """A large worker that is killed does not keep its tasks for many rounds."""
    setting = Setting()
    tasks = [await accept(setting.store, f"DEVICE{number}") for number in range(600)]
    await setting.store.claim(tasks, "worker-a", 1.0)

    await setting.work_for(EVERY_S + 0.1)

    assert (await setting.store.status()).counts[State.RUNNING] == 0


@pytest.mark.parametrize("outage_s", [0.0, 60.0], ids=["start", "outage"])
async def test_workers_that_live_renew_before_their_tasks_are_taken(outage_s: float) -> None:
    """Leases that ran out before the start, or during an outage, can be renewed first."""
    setting = Setting(patience_s=20.0)
    task_id = await accept(setting.store)
    running = await claim(setting.store, task_id, lease_s=1.0)

    async def renew() -> None:
        setting.store.errors |= dict.fromkeys(
            ("ping", "reap"), StoreUnavailableError("connection refused")
        )
        await asyncio.sleep(1.0 + outage_s)
        setting.store.errors.clear()
        await asyncio.sleep(15.0)
        await setting.store.renew([running], LEASE_S)

    await asyncio.gather(setting.work_for(outage_s + 40.0), renew())

    assert (await stored(setting.store, task_id)).state == State.RUNNING


async def test_ended_tasks_are_deleted_after_their_retention() -> None:
    """What ended longer ago than the retention goes, all of it; what is younger stays."""
    setting = Setting()
    old = [await accept(setting.store, f"OLD{number:04}") for number in range(600)]
    for answer in [await claim(setting.store, task_id) for task_id in old]:
        await setting.store.finish([success(answer)])
    await asyncio.sleep(RETENTION_S)
    young = await accept(setting.store, "YOUNG1")
    await setting.store.finish([success(await claim(setting.store, young))])

    await setting.work_for(PURGE_EVERY_S + 0.1)

    assert (await setting.store.status()).counts[State.SUCCEEDED] == 1
    assert await setting.store.get(young) is not None


async def test_first_look_is_patient() -> None:
    """When all was down, leases ran out: workers that live get the time to renew theirs."""
    setting = Setting(patience_s=PATIENCE_S)
    task_id = await accept(setting.store)
    await claim(setting.store, task_id, lease_s=1.0)

    await setting.work_for(PATIENCE_S)
    meanwhile = (await stored(setting.store, task_id)).state
    await setting.work_for(PATIENCE_S + 2 * EVERY_S)

    assert meanwhile is State.RUNNING
    assert (await stored(setting.store, task_id)).state is State.QUEUED


async def test_first_look_after_an_outage_of_the_store_is_patient() -> None:
    """A lease that no worker could renew is not taken back the moment the store is there."""
    setting = Setting(patience_s=PATIENCE_S)
    task_id = await accept(setting.store)
    held = await claim(setting.store, task_id, lease_s=PATIENCE_S + 20.0)
    loop = asyncio.get_running_loop()
    # Reachable again at 60 s, when the lease has run out; the worker renews it 10 s later.
    away = StoreUnavailableError("connection refused")
    setting.store.errors |= {"ping": away, "reap": away}
    loop.call_at(60.0, setting.store.errors.clear)
    loop.call_at(70.0, lambda: asyncio.ensure_future(setting.store.renew([held], 600.0)))

    await setting.work_for(200.0)

    assert (await stored(setting.store, task_id)).state is State.RUNNING


async def test_store_that_is_away_is_asked_again() -> None:
    """Neither loop ends because the store did."""
    setting = Setting()
    task_id = await accept(setting.store)
    await claim(setting.store, task_id, lease_s=LEASE_S)
    for name in ("ping", "reap", "purge"):
        setting.store.fail(name, times=2)

    with capture_logs() as logs:
        await setting.work_for(3 * PURGE_EVERY_S + 1.0)

    assert (await stored(setting.store, task_id)).state is State.QUEUED
    assert setting.store.calls["purge"] == 3
    assert {"leases_unreadable", "purge_failed"} <= {line["event"] for line in logs}
