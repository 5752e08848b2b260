"""The target held back: for every worker, at no cost for the tasks that wait."""

from activation.domain.retry import RetryPolicy
from activation.domain.target import BreakerPolicy, Standing, Target
from activation.domain.task import EventName, State, Task, TaskId
from activation_worker.gate import LOOK_EVERY_S
from activation_worker.reply import Reply
from tests.support.scripted_handler import Answer, Step, success, too_many_requests
from tests.support.world import LEASE_S, SWEEP_S, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME

DEVICES = 60
CONCURRENCY = 10
CALLS_TO_OPEN, FIRST_REST_S = 20, 5.0
UNAVAILABLE = Answer(503)


class Outage:
    """A step for every call: the handler is down until a moment."""

    def __init__(self, world: World, until_s: float, during: Step) -> None:
        self._world = world
        self._until_s = until_s
        self._during = during

    async def answer(self) -> Reply:
        """Meet a call."""
        down = self._world.elapsed_s < self._until_s
        return await (self._during if down else success(0.1)).answer()


async def submit_all(world: World, count: int = DEVICES) -> list[TaskId]:
    """Accept a task for each of many devices."""
    return [await world.submit(f"DEVICE{number:04}") for number in range(count)]


def fall_silent(world: World, until_s: float, during: Step, count: int = DEVICES) -> None:
    """Let the handler be down for all devices until a moment."""
    outage = Outage(world, until_s, during)
    for number in range(count):
        world.handler.script(f"DEVICE{number:04}", [outage] * 50)


async def ended(world: World, task_ids: list[TaskId]) -> list[Task]:
    """Wait until all have ended."""
    return [await world.end_of(task_id) for task_id in task_ids]


async def standing(world: World) -> Standing:
    """Look at the target as an operator does."""
    return (await world.store.target()).standing(world.store.now())


async def test_503_for_minutes_costs_no_task_its_attempts() -> None:
    """Calls fall to a probe now and then; when the handler is back, every task succeeds."""
    async with World(workers=2, concurrency=CONCURRENCY) as world:
        fall_silent(world, 300.0, UNAVAILABLE)
        task_ids = await submit_all(world)
        await world.run_until(lambda: world.elapsed_s >= 300.0)
        starts = [call.started_s for call in world.handler.calls]
        tasks = await ended(world, task_ids)

    assert {task.state for task in tasks} == {State.SUCCEEDED}
    at_first = [at for at in starts if at < FIRST_REST_S]
    assert len(at_first) <= 2 * (CALLS_TO_OPEN + CONCURRENCY)
    assert 4 <= len(starts) - len(at_first) <= 9  # after rests of 5, 10, 20, 40, 60, 60 ... s


async def test_without_the_breaker_the_same_outage_makes_dead_letters() -> None:
    """The setting turns it off: the retry rule of each task is all there is."""
    async with World(workers=2, breaker=BreakerPolicy(enabled=False)) as world:
        fall_silent(world, 300.0, UNAVAILABLE)
        tasks = await ended(world, await submit_all(world))

    assert {task.dead_letter for task in tasks} == {True}


async def test_a_probe_that_fails_is_not_held_against_its_task() -> None:
    """The last task of all goes on as the probe for longer than it has attempts."""
    async with World(policy=RetryPolicy(max_attempts=2, base_s=1.0)) as world:
        await world.store.change_target(lambda _: Target(trips=1))
        world.handler.script("DEVICE0001", [UNAVAILABLE] * 6)
        task = await world.run_to_end("DEVICE0001")
        history = await world.store.history(task.id)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 7)
    waits = [event for event in history if event.name is EventName.RETRY_SCHEDULED]
    assert len(waits) == 6
    assert all(event.not_before for event in waits)


async def test_a_429_with_retry_after_stops_all_calls_of_all_workers() -> None:
    """None begins before the time is over, but for what was under way or not yet told."""
    async with World(workers=2, concurrency=5) as world:
        world.handler.script("DEVICE0000", [too_many_requests(retry_after_s=30)])
        for number in range(1, DEVICES):
            world.handler.script(f"DEVICE{number:04}", [success(2.0)])
        tasks = await ended(world, await submit_all(world))
        starts = [call.started_s for call in world.handler.calls]

    assert {task.state for task in tasks} == {State.SUCCEEDED}
    assert not [at for at in starts if LOOK_EVERY_S < at < 30.0]
    assert len([at for at in starts if at >= 30.0]) >= DEVICES - 10
    assert min(at for at in starts if at >= 30.0) < 31.0


async def test_a_storm_of_429_with_retry_after_ends_with_all_tasks_done() -> None:
    """Within each rest no call is made, and no task uses up its attempts."""
    async with World(workers=2) as world:
        fall_silent(world, 200.0, too_many_requests(retry_after_s=30))
        tasks = await ended(world, await submit_all(world))
        starts = [call.started_s for call in world.handler.calls]

    assert {task.state for task in tasks} == {State.SUCCEEDED}
    assert not [at for at in starts if LOOK_EVERY_S + 0.1 < at < 30.0]


async def test_a_paused_target_is_not_called_until_it_is_resumed() -> None:
    """Tasks wait at no cost, and all are done afterwards, by one attempt each."""
    async with World(workers=2, concurrency=CONCURRENCY) as world:
        await world.store.change_target(lambda target: target.pause(world.store.now()))
        task_ids = await submit_all(world, 2 * CONCURRENCY)  # all in the hands of the workers
        await world.run_until(lambda: world.elapsed_s >= 600.0)
        calls_while_paused = len(world.handler.calls)
        published = len(world.broker.published)
        await world.store.change_target(Target.resume)
        resumed_s = world.elapsed_s
        tasks = await ended(world, task_ids)

    assert calls_while_paused == 0
    assert published == 2 * CONCURRENCY  # messages that workers sit on are not taken for lost
    assert {(task.state, task.attempt) for task in tasks} == {(State.SUCCEEDED, 1)}
    assert world.handler.calls[0].started_s - resumed_s <= 1.0 + SWEEP_S


async def test_calls_under_way_end_by_themselves_when_an_operator_pauses() -> None:
    """A pause tears nothing out of the handler's hands."""
    async with World() as world:
        world.handler.script("DEVICE0001", [success(30.0)])
        task_id = await world.submit("DEVICE0001")
        await world.handler.begun()
        await world.store.change_target(lambda target: target.pause(world.store.now()))
        task = await world.end_of(task_id)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)


async def test_a_worker_that_stops_while_the_target_is_paused_gives_its_messages_back() -> None:
    """It leaves at once, and the next one carries the tasks out."""
    async with World() as world:
        await world.store.change_target(lambda target: target.pause(world.store.now()))
        task_ids = await submit_all(world, 5)
        await world.run_until(lambda: world.broker.on_loan == 5)
        [first] = world.workers
        stopped_s = world.elapsed_s
        first.terminate()
        await first.ended()
        left_after_s = world.elapsed_s - stopped_s
        world.start_worker("worker-next")
        await world.store.change_target(Target.resume)
        tasks = await ended(world, task_ids)

    assert left_after_s < 1.0
    assert {(task.state, task.attempt) for task in tasks} == {(State.SUCCEEDED, 1)}


async def test_one_probe_at_a_time_goes_through_and_its_success_lets_all_pass() -> None:
    """However long it takes: it outlives the lease of a worker that would have died."""
    async with World(workers=3) as world:
        await world.store.change_target(lambda _: Target(trips=1))
        for number in range(DEVICES):
            world.handler.script(f"DEVICE{number:04}", [success(50.0 + 2 * LEASE_S)])
        for number in range(DEVICES):
            await world.submit(f"DEVICE{number:04}", timeout_s=900)
        await world.handler.begun()
        await world.run_until(lambda: world.elapsed_s >= 40.0 + 2 * LEASE_S)
        calls_while_probing = len(world.handler.calls)
        await world.run_until(lambda: world.handler.under_way > 1)
        after_s = world.elapsed_s
        now = await standing(world)

    assert calls_while_probing == 1
    assert after_s < 50.2 + 2 * LEASE_S
    assert now is Standing.CLOSED


async def test_the_probe_of_a_worker_that_died_is_another_s_after_its_lease() -> None:
    """Nobody waits for the dead for ever."""
    async with World() as world:
        await world.store.change_target(lambda _: Target(trips=1))
        world.handler.script("DEVICE0001", [success(900.0)])
        lost = await world.submit("DEVICE0001", timeout_s=900)
        await world.handler.begun()
        world.store.fail("change_target")  # the dead say no more
        await world.workers[0].kill()
        world.start_worker("worker-next")
        task = await world.run_to_end("DEVICE0002")
        again = await world.end_of(lost)

    assert task.state is again.state is State.SUCCEEDED
    assert task.started_at is not None
    [second] = world.handler.starts_s("DEVICE0002")
    assert LEASE_S <= second <= LEASE_S + 3.0


async def test_a_probe_with_nothing_to_do_is_given_back() -> None:
    """A message of a task that has ended must not keep the breaker half open."""
    async with World() as world:
        done = await world.run_to_end("DEVICE0001")
        await world.store.change_target(lambda _: Target(trips=1))
        await world.run_until(lambda: world.elapsed_s > LOOK_EVERY_S)
        world.broker.repeat(done.id)
        await world.settled()
        task = await world.run_to_end("DEVICE0002")

    assert task.state is State.SUCCEEDED
    assert world.handler.starts_s("DEVICE0002")[0] < LEASE_S


async def test_a_healthy_target_is_looked_at_seldom_and_never_written() -> None:
    """However many calls are made."""
    async with World(workers=1) as world:
        for number in range(DEVICES):
            world.handler.script(f"DEVICE{number:04}", [success(0.1)])
        await ended(world, await submit_all(world))
        took_s = world.elapsed_s

    assert world.store.calls["change_target"] == 0
    assert world.store.calls["target"] <= 2 + took_s / LOOK_EVERY_S


async def test_calls_go_on_while_the_store_cannot_say_how_the_target_stands() -> None:
    """What was known last holds."""
    async with World() as world:
        world.store.fail("target", times=3)
        world.store.fail("change_target", times=3)
        world.handler.script("DEVICE0001", [too_many_requests(retry_after_s=5)])
        task = await world.run_to_end("DEVICE0001")

    assert (task.state, task.attempt) == (State.SUCCEEDED, 2)
