"""SIGTERM: what runs is finished, what has not begun is given back, and no attempt is burned."""

from activation.domain.outcome import Reason
from activation.domain.task import EventName, State
from tests.support.scripted_handler import Answer, success
from tests.support.tasks import DEVICE
from tests.support.world import VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME


async def test_idle_worker_leaves_at_once() -> None:
    """Nothing runs, so there is nothing to wait for."""
    async with World() as world:
        await world.run_to_end()
        worker = world.workers[0]
        worker.terminate()
        await worker.ended(limit_s=0.1)

    assert not worker.worker.consuming


async def test_running_call_is_finished_and_acknowledged() -> None:
    """The worker waits for its call, stores the result, acks the message and leaves."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=60.0)])
        task_id = await world.submit()
        await world.handler.begun()
        worker = world.workers[0]
        worker.terminate()
        await worker.ended()
        task = await world.task(task_id)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert world.handler.calls[0].ended_s == 60.0
    assert world.broker.settlements == ["ack"]


async def test_what_has_not_begun_is_given_back_at_once() -> None:
    """While one call is finished, the messages beside it go to another worker without delay."""
    async with World(concurrency=3) as world:
        devices = [f"DEVICE{number}" for number in range(6)]
        for device in devices:
            world.handler.script(device, [success(after_s=60.0)])
        tasks = [await world.submit(device) for device in devices]
        await world.handler.begun(3)
        world.broker.cut()  # the calls keep their places, so the new session's messages wait
        await world.run_until(lambda: world.broker.on_loan == 3)
        world.workers[0].terminate()
        await world.run_until(lambda: world.broker.on_loan == 0)
        given_back_s = world.elapsed_s
        world.start_worker("another")
        for task_id in tasks:
            await world.end_of(task_id)
        await world.workers[0].ended()

    assert given_back_s < 5.0
    assert len(world.handler.calls) == 6
    assert {1} == {(await world.task(task_id)).attempt for task_id in tasks}


async def test_deliveries_after_sigterm_are_requeued() -> None:
    """A message that arrives between the signal and the cancelled consumer is not begun."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=30.0)])
        world.broker.cancel_s = 0.1
        await world.submit()
        await world.handler.begun()
        worker = world.workers[0]
        worker.terminate()
        late = await world.submit("LATECOMER")
        await worker.ended()
        task = await world.task(late)
        waiting = len(world.broker.waiting)

    assert "requeue" in world.broker.settlements
    assert (task.state, task.attempt) == (State.QUEUED, 0)
    assert waiting == 1
    assert len(world.handler.calls) == 1


async def test_claim_under_way_at_sigterm_is_handed_back_uncalled() -> None:
    """A claim that is granted while the worker stops is handed back without calling the handler."""
    async with World() as world:
        world.store.slow["claim"] = 2.0
        task_id = await world.submit()
        await world.run_until(lambda: world.store.calls["claim"] > 0)
        worker = world.workers[0]
        worker.terminate()
        await worker.ended(limit_s=10.0)
        task = await world.task(task_id)

    assert (task.state, task.attempt, task.uncounted) == (State.QUEUED, 1, 1)
    assert world.handler.calls == []


async def test_call_that_outlasts_the_drain_is_handed_back_without_burning_an_attempt() -> None:
    """After drain_s the call is cut off, the task is ready again, and another worker ends it."""
    async with World(drain_s=30.0) as world:
        world.handler.script(DEVICE, [success(after_s=600.0), success(after_s=5.0)])
        task_id = await world.submit(timeout_s=600)
        await world.handler.begun()
        worker = world.workers[0]
        worker.terminate()
        await worker.ended(limit_s=31.0)
        handed_back = await world.task(task_id)
        world.start_worker("another")
        task = await world.end_of(task_id)

    assert (handed_back.state, handed_back.reason) == (State.QUEUED, Reason.DRAINED)
    assert (task.state, task.attempt, task.uncounted) == (State.SUCCEEDED, 2, 1)
    names = [event.name for event in await world.store.history(task_id)]
    assert EventName.HANDED_BACK in names
    assert [call.ended_s for call in world.handler.calls if not call.answered] == [30.0]


async def test_ten_deploys_burn_no_attempt() -> None:
    """A task that is handed back ten times still has all five attempts for its real failures."""
    async with World(workers=0, drain_s=5.0) as world:
        world.handler.script(DEVICE, [success(after_s=600.0)] * 10 + [Answer(503)] * 4)
        task_id = await world.submit(timeout_s=600)
        for number in range(10):
            worker = world.start_worker(f"release-{number}")
            await world.handler.begun(number + 1)
            worker.terminate()
            await worker.ended()
        world.start_worker("last")
        task = await world.end_of(task_id)

    assert (task.state, task.attempt, task.uncounted) == (State.SUCCEEDED, 15, 10)


async def test_result_is_stored_although_the_store_was_away_at_sigterm() -> None:
    """A drain waits for the store as long as it may: an answer is not thrown away."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=10.0)])
        task_id = await world.submit()
        await world.handler.begun()
        world.store.fail("finish", times=10)
        worker = world.workers[0]
        worker.terminate()
        await worker.ended()
        task = await world.task(task_id)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert len(world.handler.calls) == 1


async def test_claim_that_the_store_does_not_answer_is_given_up_at_sigterm() -> None:
    """A message that could not be claimed is given back: the drain does not wait for the store."""
    async with World() as world:
        await world.run_to_end()
        world.store.fail("claim", times=1000)
        await world.submit("WAITING1")
        await world.run_until(lambda: world.store.calls["claim"] > 3)
        worker = world.workers[0]
        worker.terminate()
        await worker.ended(limit_s=5.0)
        waiting = len(world.broker.waiting)

    assert waiting == 1


async def test_worker_leaves_although_the_store_never_comes_back() -> None:
    """After drain and goodbye the answer is let go; the message goes back to the broker."""
    async with World(drain_s=30.0) as world:
        world.handler.script(DEVICE, [success(after_s=10.0)])
        await world.submit()
        await world.handler.begun()
        world.store.fail("finish", times=10_000)
        worker = world.workers[0]
        worker.terminate()
        await worker.ended(limit_s=40.0)
        waiting = len(world.broker.waiting)

    assert waiting == 1


async def test_lost_broker_does_not_bring_a_draining_worker_back() -> None:
    """A session lost during the drain is not replaced; the call is finished all the same."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=60.0)])
        task_id = await world.submit()
        await world.handler.begun()
        worker = world.workers[0]
        worker.terminate()
        await world.run_until(lambda: not worker.worker.consuming)
        world.broker.cut()
        late = await world.submit("LATECOMER")
        await worker.ended()
        task, untouched = await world.task(task_id), await world.task(late)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert (untouched.state, untouched.attempt) == (State.QUEUED, 0)
    assert world.broker.settlements == []
