"""What the worker does with deliveries: once, twice, too late, unreadable, or on a lost session."""

from structlog.testing import capture_logs

from activation.broker import write_message
from activation.domain.task import State, TaskId
from activation.ports import Ready
from tests.support.scripted_handler import success
from tests.support.tasks import DEVICE, claim, new_task
from tests.support.world import LEASE_S, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME


async def test_delivery_of_ended_task_is_acknowledged_and_dropped() -> None:
    """A message that comes again after the end calls nobody."""
    async with World() as world:
        task = await world.run_to_end()
        world.broker.repeat(task.id)
        await world.settled()

    assert len(world.handler.calls) == 1
    assert world.broker.settlements == ["ack", "ack"]


async def test_delivery_of_cancelled_task_is_acknowledged_and_dropped() -> None:
    """A task that was cancelled while its message waited is not carried out."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        await world.run_until(lambda: bool(world.broker.waiting))
        await world.store.cancel(task_id)
        world.start_worker()
        await world.settled()

    assert world.handler.calls == []
    assert world.broker.settlements == ["ack"]


async def test_delivery_of_task_leased_by_another_is_acknowledged_and_dropped() -> None:
    """Who holds the lease does the work; the message is of no use to anybody else."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        await world.run_until(lambda: bool(world.broker.waiting))
        await claim(world.store, task_id, "somebody else")
        world.start_worker()
        await world.settled()

    assert world.handler.calls == []
    assert world.broker.settlements == ["ack"]


async def test_delivery_of_unknown_task_is_a_dead_letter() -> None:
    """Nothing can be done for it, but it is evidence: of a wrong database, or of a forgery."""
    task_id = new_task().id
    async with World() as world:
        with capture_logs() as logs:
            world.broker.repeat(task_id)
            await world.settled()

    [said] = [line for line in logs if line["event"] == "message_unreadable"]
    assert world.handler.calls == []
    assert world.broker.settlements == ["dead_letter"]
    assert said["error"] == f"the store has no task {task_id}"


async def test_message_of_another_content_type_is_a_dead_letter() -> None:
    """Its body could be read, but nobody says that it should be."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        await world.run_until(lambda: bool(world.broker.waiting))
        world.broker.waiting[0].properties.content_type = "text/plain"
        world.start_worker()
        await world.run_until(lambda: bool(world.broker.dead))
        task = await world.store.get(task_id)
        await world.settled()

    assert task is not None
    assert task.attempt == 0


async def test_two_deliveries_at_once_make_one_call() -> None:
    """The claim lets one of them win, and both are acknowledged."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        world.broker.repeat(task_id)
        world.start_worker()
        await world.end_of(task_id)
        await world.settled()

    assert len(world.handler.calls) == 1
    assert world.broker.settlements == ["ack", "ack"]


async def test_two_workers_with_the_same_message_make_one_call() -> None:
    """Between workers the claim decides too."""
    async with World(workers=2, concurrency=1) as world:
        world.handler.script(DEVICE, [success(after_s=30.0)])
        task_id = await world.submit()
        world.broker.repeat(task_id)
        task = await world.end_of(task_id)
        await world.settled()

    assert task.state == State.SUCCEEDED
    assert len(world.handler.calls) == 1


async def test_delivery_of_running_task_is_acknowledged_with_it() -> None:
    """A second delivery waits beside the first one until the result is stored."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=30.0)])
        task_id = await world.submit()
        await world.handler.begun()
        world.broker.repeat(task_id)
        before_the_end = list(world.broker.settlements)
        await world.end_of(task_id)
        await world.settled()

    assert before_the_end == []
    assert world.broker.settlements == ["ack", "ack"]
    assert world.store.calls["claim"] == 1


async def test_unreadable_messages_are_dead_lettered_and_stop_nothing() -> None:
    """Garbage goes to the dead letters with an error in the log, and real tasks go on."""
    garbage = [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 1}', b'{"version": 2, "taskId": ""}']
    garbage += [b'{"version": 1, "taskId": 7}', b"9" * 5000]
    async with World() as world:
        with capture_logs() as logs:
            for body in garbage:
                world.broker.put(body)
            task = await world.run_to_end()
            await world.settled()

    assert garbage == world.broker.dead
    assert task.state == State.SUCCEEDED
    said = [line for line in logs if line["event"] == "message_unreadable"]
    assert len(garbage) == len(said)
    assert {"error"} == {line["log_level"] for line in said}


async def test_call_outlives_the_session_that_asked_for_it() -> None:
    """When the broker is lost the call goes on, its result is stored, and its message absorbed."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=30.0)])
        task_id = await world.submit()
        await world.handler.begun()
        world.broker.cut()
        task = await world.end_of(task_id)
        await world.settled()

    [call] = world.handler.calls
    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert call.ended_s == 30.0
    assert world.broker.settlements == ["ack"]


async def test_call_ends_while_the_broker_is_away() -> None:
    """The result needs no broker; the message, back in the queue, is dropped afterwards."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=10.0)])
        task_id = await world.submit()
        await world.handler.begun()
        world.broker.stop()
        task = await world.end_of(task_id)
        world.broker.start()
        await world.settled()

    assert task.state == State.SUCCEEDED
    assert len(world.handler.calls) == 1
    assert world.broker.settlements == ["ack"]


async def test_concurrency_holds_although_the_broker_delivers_more() -> None:
    """Calls that outlive their session keep their places: the new session's messages wait."""
    async with World(concurrency=2) as world:
        devices = [f"DEVICE{number}" for number in range(6)]
        for device in devices:
            world.handler.script(device, [success(after_s=30.0)])
        tasks = [await world.submit(device) for device in devices]
        await world.handler.begun(2)
        # Another consumer takes the two messages that come back, so two new ones are delivered.
        world.broker.stop()
        running = [TaskId(task) for task in tasks[:2]]
        for task_id in running:
            body, _ = write_message(Ready(task_id), None)
            world.broker.waiting.remove(next(m for m in world.broker.waiting if m.body == body))
        world.broker.start()
        for task_id in tasks:
            await world.end_of(task_id)

    times = [(call.started_s, call.ended_s or 0.0) for call in world.handler.calls]
    at_once = [sum(begun <= start < ended for begun, ended in times) for start, _ in times]
    assert len(devices) == len(times)
    assert max(at_once) == 2


async def test_readiness_says_whether_deliveries_can_arrive() -> None:
    """Without a consumer at the broker the worker is not ready; afterwards it is again."""
    async with World() as world:
        await world.run_to_end()
        worker = world.workers[0].worker

        consuming = [worker.consuming]
        world.broker.stop()
        await world.run_until(lambda: not worker.consuming)
        consuming.append(worker.consuming)
        world.broker.start()
        await world.run_until(lambda: worker.consuming)

    assert consuming == [True, False]


async def test_worker_that_was_killed_loses_nothing() -> None:
    """Its lease runs out, the reaper takes the task back, and another worker ends it."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=30.0)])
        task_id = await world.submit()
        await world.handler.begun()
        await world.workers[0].kill()
        world.start_worker("another")
        task = await world.end_of(task_id)

    first, second = world.handler.calls
    assert (task.state, task.attempt) == (State.SUCCEEDED, 2)
    assert first.key == second.key
    assert LEASE_S <= second.started_s <= LEASE_S + 5.0
