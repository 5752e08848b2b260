"""A target that takes only so many calls at once: all workers together give it no more."""

from collections import Counter

from activation.domain.limit import LimitPolicy
from activation.domain.target import Target
from activation.domain.task import EventName, State, Task, TaskId
from activation_worker.reply import Reply
from tests.support.scripted_handler import Answer, success
from tests.support.world import VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME

DEVICES = 60
ROOM = 4
REFUSED = Answer(429)


class Doorkeeper:
    """A step for every call: so many are let in at once, the others are refused with 429."""

    def __init__(self, room: int, call_s: float = 1.0) -> None:
        self.room = room
        self.inside = 0
        self.refused = 0
        self.most = 0
        self._call_s = call_s

    async def answer(self) -> Reply:
        """Meet a call."""
        if self.inside >= self.room:
            self.refused += 1
            return await REFUSED.answer()
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            return await success(self._call_s).answer()
        finally:
            self.inside -= 1


async def submit_all(world: World, door: Doorkeeper, count: int = DEVICES) -> list[TaskId]:
    """Accept a task for each of many devices, all behind one door."""
    names = [f"DEVICE{number:04}" for number in range(count)]
    for name in names:
        world.handler.script(name, [door] * 50)
    return [await world.submit(name, timeout_s=900) for name in names]


async def ended(world: World, task_ids: list[TaskId]) -> list[Task]:
    """Wait until all have ended."""
    return [await world.end_of(task_id) for task_id in task_ids]


async def test_the_limit_settles_at_what_the_target_bears() -> None:
    """Hardly a call is refused once it has, and no task is lost; the breaker stays closed."""
    door = Doorkeeper(ROOM)
    async with World(workers=3, concurrency=10) as world:
        task_ids = await submit_all(world, door, 120)
        await world.run_until(lambda: world.elapsed_s >= 10.0)
        refused_at_first = door.refused
        tasks = await ended(world, task_ids)
        target = await world.store.target()
        took_s = world.elapsed_s

    assert {task.state for task in tasks} == {State.SUCCEEDED}
    assert target.trips == 0
    assert refused_at_first <= 60
    assert door.refused - refused_at_first <= 1 + took_s / 10.0  # one for each recovery
    assert took_s <= 1.5 * 120 / ROOM


async def test_slow_calls_that_are_refused_in_droves_do_not_open_the_breaker() -> None:
    """What was called at once with the first that was refused tells nothing new."""
    door = Doorkeeper(ROOM, call_s=60.0)
    async with World(concurrency=50) as world:
        tasks = await ended(world, await submit_all(world, door, 28))
        target = await world.store.target()

    assert {task.state for task in tasks} == {State.SUCCEEDED}
    assert target.trips == 0
    assert max(task.attempt for task in tasks) <= 4


async def test_without_the_limit_the_same_target_makes_dead_letters() -> None:
    """The setting turns it off: the retry rule of each task is all there is, and the breaker."""
    door = Doorkeeper(1, call_s=30.0)
    off = LimitPolicy(enabled=False)
    async with World(workers=2, concurrency=10, limits=off) as world:
        tasks = await ended(world, await submit_all(world, door, 20))

    assert State.FAILED in {task.state for task in tasks}


async def test_no_more_calls_are_under_way_than_an_operator_allows() -> None:
    """Of all workers together, at every moment; tasks that wait spend no attempt."""
    door = Doorkeeper(1000, call_s=5.0)
    async with World(workers=3, concurrency=10) as world:
        await world.store.change_target(lambda target: target.bound(7))
        tasks = await ended(world, await submit_all(world, door))
        took_s = world.elapsed_s

    assert door.most == 7
    assert {(task.state, task.attempt) for task in tasks} == {(State.SUCCEEDED, 1)}
    assert took_s < 1.1 * 5.0 * DEVICES / 7 + 5.0


async def test_what_waits_for_room_holds_no_lease() -> None:
    """It is queued, as every operator sees, and can be cancelled."""
    door = Doorkeeper(1000, call_s=50.0)
    async with World(workers=2) as world:
        await world.store.change_target(lambda target: target.bound(2))
        task_ids = await submit_all(world, door, 10)
        await world.run_until(lambda: world.elapsed_s >= 40.0)
        states = [(await world.task(task_id)).state for task_id in task_ids]
        waiting = task_ids[states.index(State.QUEUED)]
        cancelled = await world.store.cancel(waiting)
        await ended(world, task_ids)

    assert sorted(states) == [State.QUEUED] * 8 + [State.RUNNING] * 2
    assert cancelled is not None
    assert cancelled.ended


async def test_no_worker_starves_while_another_one_has_work_for_all_the_room() -> None:
    """Room that becomes free is for whoever looks next, and all look alike."""
    door = Doorkeeper(1000, call_s=10.0)
    async with World(workers=2, concurrency=20) as world:
        await world.store.change_target(lambda target: target.bound(1))
        task_ids = await submit_all(world, door, 40)
        await world.run_until(lambda: world.elapsed_s >= 200.0)
        events = [event for it in task_ids for event in await world.store.history(it)]

    shares = Counter(event.worker for event in events if event.name is EventName.STARTED)
    assert len(shares) == 2
    assert min(shares.values()) >= 4


async def test_messages_of_tasks_that_wait_for_room_are_not_taken_for_lost() -> None:
    """Workers sit on them, and the broker's queue is empty."""
    door = Doorkeeper(1000, call_s=50.0)
    async with World(workers=2, lost_message_after_s=10.0) as world:
        await world.store.change_target(lambda target: target.bound(1))
        task_ids = await submit_all(world, door, 4)
        await world.run_until(lambda: world.elapsed_s >= 49.0)
        published = len(world.broker.published)
        await ended(world, task_ids)

    assert published == 4


async def test_a_worker_that_stops_gives_back_what_waits_for_room() -> None:
    """At once, and nothing of it is spent."""
    door = Doorkeeper(1000, call_s=1.0)
    async with World() as world:
        await world.store.change_target(lambda target: target.bound(1))
        task_ids = await submit_all(world, door, 5)
        await world.run_until(lambda: door.inside == 1)
        [first] = world.workers
        first.terminate()
        await first.ended()
        left_s = world.elapsed_s
        world.start_worker("worker-next")
        tasks = await ended(world, task_ids)

    assert left_s < 2.0
    assert {(task.state, task.attempt) for task in tasks} == {(State.SUCCEEDED, 1)}


async def test_a_limit_that_is_lifted_is_noticed_soon() -> None:
    """Within a moment all that waits may begin."""
    door = Doorkeeper(1000, call_s=100.0)
    async with World(workers=2, concurrency=30) as world:
        await world.store.change_target(lambda target: target.bound(1))
        await submit_all(world, door)
        await world.run_until(lambda: world.elapsed_s >= 20.0)
        inside = door.inside
        await world.store.change_target(Target.resume)
        await world.store.change_target(lambda target: target.bound(None))
        await world.run_until(lambda: door.inside == DEVICES)
        noticed_s = world.elapsed_s - 20.0

    assert inside == 1
    assert noticed_s < 1.0


async def test_a_target_without_limit_is_claimed_from_as_ever() -> None:
    """Nothing is counted in the store."""
    door = Doorkeeper(1000)
    async with World() as world:
        await ended(world, await submit_all(world, door))

    assert world.store.calls["running"] == 0
