"""The relay: nothing that is owed a message goes without one, whatever breaks on the way."""

import asyncio

from activation.broker import Broker, Queues
from activation.domain.task import State, TaskId
from activation.ports import Ready
from activation_gateway.relay import QueueStatus, Relay
from tests.support.faulty_store import FaultyStore
from tests.support.scripted_handler import Answer, success
from tests.support.simulated_broker import SimulatedBroker
from tests.support.tasks import DEVICE, accept, new_task
from tests.support.world import PUBLISH_LEASE_S, SWEEP_S, VIRTUAL_TIME, LoopClock, World

pytestmark = VIRTUAL_TIME

LOST_AFTER_S = 60.0
LOOK_EVERY_S = 15.0


async def leave_behind(world: World, count: int = 1) -> list[TaskId]:
    """Accept tasks as a gateway does that is killed before it publishes them."""
    return [await accept(world.store, f"LEFT{number:04}") for number in range(count)]


async def test_accepted_task_is_published_at_once() -> None:
    """No sweep lies between the commit and the message."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        await world.run_until(lambda: bool(world.broker.published))

    assert world.broker.published_s(task_id) == [0.0]


async def test_next_task_of_a_device_is_published_when_the_one_before_ends() -> None:
    """The end of a task wakes the relay: the next one does not wait for a sweep."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=10.0)])
        await world.submit()
        younger = await world.submit()
        await world.end_of(younger)

    assert world.broker.published_s(younger) == [10.0]


async def test_sweep_finds_what_a_killed_gateway_left() -> None:
    """A task that nobody offered is published when the time of its gateway is over."""
    async with World(workers=0) as world:
        [task_id] = await leave_behind(world)
        await world.run_until(lambda: bool(world.broker.published))

    [at] = world.broker.published_s(task_id)
    assert PUBLISH_LEASE_S <= at <= PUBLISH_LEASE_S + SWEEP_S


async def test_long_outbox_is_swept_without_pauses() -> None:
    """What one look cannot hold is taken by the next one at once."""
    async with World(workers=0, publish_at_once=30) as world:
        left = await leave_behind(world, 300)
        await world.run_until(lambda: len(world.broker.published) == len(left))
        at = world.elapsed_s

    assert at <= PUBLISH_LEASE_S + SWEEP_S + 0.1


async def test_two_relays_publish_each_leftover_once() -> None:
    """Gateways that sweep the same outbox do not repeat each other's work."""
    async with World(workers=0, publish_at_once=30) as world:
        world.start(world.new_relay(publish_at_once=30))
        left = await leave_behind(world, 200)
        await asyncio.sleep(3 * PUBLISH_LEASE_S)

    assert sorted(left) == sorted(task_id for task_id, _ in world.broker.published)


async def test_confirmed_messages_are_settled_and_not_published_again() -> None:
    """After the confirm the outbox owes nothing."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        owed = (await world.task(task_id)).unpublished
        await asyncio.sleep(3 * PUBLISH_LEASE_S)
        still_owed = (await world.task(task_id)).unpublished

    assert (owed, still_owed) == (True, False)
    assert len(world.broker.published_s(task_id)) == 1


async def test_message_that_could_not_be_settled_is_published_again_without_harm() -> None:
    """The store missed the settlement: there are two messages then, and one call."""
    async with World(workers=0) as world:
        world.store.fail("mark_published")
        task_id = await world.submit()
        await world.run_until(lambda: len(world.broker.published) == 2)
        world.start_worker()
        await world.end_of(task_id)
        await world.settled()

    assert len(world.handler.calls) == 1


async def test_many_confirms_are_awaited_together() -> None:
    """A thousand messages cost two round trips when 500 may be outstanding."""
    async with World(workers=0, publish_at_once=500) as world:
        world.broker.confirm_s = 1.0
        async with asyncio.TaskGroup() as group:
            for number in range(1000):
                group.create_task(world.submit(f"DEVICE{number}"))
        await world.run_until(lambda: len(world.broker.published) == 1000)

    assert {1.0, 2.0} == {at for _, at in world.broker.published}


async def test_unconfirmed_messages_are_offered_again_when_the_session_is_lost() -> None:
    """What was under way when the connection broke is published by the next session."""
    async with World(workers=0) as world:
        world.broker.confirm_s = 1.0
        tasks = [await world.submit(f"DEVICE{number}") for number in range(20)]
        await asyncio.sleep(0.5)
        world.broker.cut()
        await world.run_until(lambda: len(world.broker.published) >= len(tasks))
        at = world.elapsed_s

    assert sorted(tasks) == sorted(task_id for task_id, _ in world.broker.published)
    assert at < PUBLISH_LEASE_S  # not by the sweep


async def test_refused_messages_are_offered_again_in_their_order() -> None:
    """A broker that takes some and refuses others gets the rest once more, oldest first."""
    async with World(workers=0) as world:
        world.broker.refusals = 3
        tasks = await leave_behind(world, 10)
        world.relay.offer([Ready(task_id) for task_id in tasks])
        await world.run_until(lambda: len(world.broker.published) == len(tasks))
        at = world.elapsed_s

    assert tasks[3:] + tasks[:3] == [task_id for task_id, _ in world.broker.published]
    assert at < PUBLISH_LEASE_S  # not by the sweep


async def test_tasks_accepted_during_an_outage_are_published_when_the_broker_is_back() -> None:
    """The gateway goes on accepting: the outbox remembers what is owed."""
    async with World() as world:
        world.broker.stop()
        tasks = [await world.submit(f"DEVICE{number}") for number in range(50)]
        await asyncio.sleep(20.0)
        world.broker.start()
        ended = [await world.end_of(task_id) for task_id in tasks]

    assert {State.SUCCEEDED} == {task.state for task in ended}
    assert len(world.handler.calls) == 50
    assert max(call.started_s for call in world.handler.calls) < 26.0


async def test_offers_beyond_the_bound_are_left_to_the_sweep() -> None:
    """Memory is bounded during an outage: what it drops, the oldest, is owed by the outbox."""
    async with World(workers=0) as world:
        world.broker.stop()
        oldest = await leave_behind(world, 100)
        world.relay.offer([Ready(task_id) for task_id in oldest])
        world.relay.offer([Ready(new_task().id) for _ in range(10_000)])
        world.broker.start()
        await world.run_until(lambda: len(world.broker.published) == 10_100)

    times = [at for _, at in world.broker.published]
    assert max(times[:10_000]) < PUBLISH_LEASE_S
    assert sorted(oldest) == sorted(task_id for task_id, _ in world.broker.published[10_000:])


async def test_retry_is_published_when_due_and_not_sooner() -> None:
    """The message of the second attempt comes when the wait is over."""
    async with World() as world:
        world.handler.script(DEVICE, [Answer(503, retry_after="42")])
        task = await world.run_to_end()

    first, second = world.broker.published_s(task.id)
    assert 42.0 <= second - first <= 42.0 + SWEEP_S


async def test_message_lost_by_the_broker_is_published_again() -> None:
    """The queue is empty, and the task was never claimed: there must be a new message."""
    async with World(workers=0, lost_message_after_s=LOST_AFTER_S) as world:
        task_id = await world.submit()
        await world.run_until(lambda: bool(world.broker.waiting))
        world.broker.lose_messages()
        await world.run_until(lambda: len(world.broker.published) == 2)

    _, again = world.broker.published_s(task_id)
    assert LOST_AFTER_S <= again <= LOST_AFTER_S + LOOK_EVERY_S + SWEEP_S


async def test_message_that_waits_long_is_not_published_again() -> None:
    """As long as the queue holds anything, a task without worker has not lost its message."""
    async with World(workers=0) as world:
        task_id = await world.submit()
        await asyncio.sleep(10 * LOST_AFTER_S)

    assert len(world.broker.published_s(task_id)) == 1


async def test_store_that_is_away_delays_the_sweep() -> None:
    """The relay goes on when the store answers again."""
    async with World(workers=0) as world:
        [task_id] = await leave_behind(world)
        await asyncio.sleep(PUBLISH_LEASE_S - 1.0)
        world.store.fail("take_ready", times=10)
        await world.run_until(lambda: bool(world.broker.published))

    assert len(world.broker.published_s(task_id)) == 1


async def test_wake_during_a_sweep_is_not_lost() -> None:
    """A task that became ready while the store was answering is found by the next look at once."""
    store, broker = FaultyStore(LoopClock(), publish_lease_s=0.0), SimulatedBroker()
    relay = Relay(
        store,
        Broker(broker.open_session),
        Queues(),
        sweep_every_s=1000.0,
        publish_at_once=500,
        lost_message_after_s=LOST_AFTER_S,
    )
    store.slow["take_ready"] = 2.0

    running = asyncio.create_task(relay.run())
    await asyncio.sleep(1.0)  # the first look has found nothing, and its answer is on its way
    await accept(store)
    relay.wake()
    await asyncio.sleep(4.0)
    running.cancel()

    assert len(broker.published) == 1


async def test_status_counts_what_the_broker_holds() -> None:
    """Waiting messages, consumers and dead letters, as the broker tells them."""
    async with World(concurrency=1) as world:
        world.handler.script("DEVICE0", [success(after_s=60.0)])
        world.broker.put(b"garbage")
        for number in range(3):
            await world.submit(f"DEVICE{number}")
        await world.handler.begun()
        await asyncio.sleep(1.0)
        status = await world.relay.queue_status()
        world.broker.stop()
        await asyncio.sleep(1.0)
        away = await world.relay.queue_status()

    assert QueueStatus(connected=True, ready=2, consumers=1, dead=1) == status
    assert QueueStatus(connected=False) == away
