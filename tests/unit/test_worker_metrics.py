"""What worker, relay and reaper count: an operator sees every attempt, retry and loss."""

import asyncio

import pytest
from prometheus_client import REGISTRY

from tests.support.counting import counting
from tests.support.scripted_handler import Answer, success
from tests.support.tasks import DEVICE, accept
from tests.support.world import LOST_RENEWALS, PUBLISH_LEASE_S, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME


async def test_attempts_retries_and_ends_are_counted_by_their_reason() -> None:
    """One 503, then success: two attempts, one retry, one task that succeeded."""
    grown = counting()
    async with World() as world:
        world.handler.script(DEVICE, [Answer(503)])
        await world.run_to_end()

    assert grown("activation_attempts_started_total") == 2
    assert grown("activation_attempts_total", reason="unavailable") == 1
    assert grown("activation_attempts_total", reason="completed") == 1
    assert grown("activation_retries_total", reason="unavailable") == 1


async def test_durations_are_observed() -> None:
    """The call, the wait for a worker, and the whole way of a task."""
    grown = counting()
    async with World(concurrency=1) as world:
        world.handler.script("FIRST1", [success(after_s=60.0)])
        await world.submit("FIRST1")
        await world.end_of(await world.submit("SECOND"))

    assert grown("activation_attempt_duration_seconds_count") == 2
    assert grown("activation_queue_wait_seconds_count") == 2
    assert grown("activation_queue_wait_seconds_sum") == pytest.approx(60.0, abs=0.01)
    of_successes = grown("activation_task_duration_seconds_sum", outcome="succeeded")
    assert of_successes == pytest.approx(120.0, abs=0.01)


async def test_deliveries_with_nothing_to_do_are_counted() -> None:
    """By what the task was; unreadable ones apart."""
    grown = counting()
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=5.0)])
        task_id = await world.submit()
        await world.handler.begun()
        world.broker.repeat(task_id)
        await world.end_of(task_id)
        world.broker.repeat(task_id)
        world.broker.put(b"garbage")
        await world.settled()

    assert grown("activation_deliveries_absorbed_total", why="running_here") == 1
    assert grown("activation_deliveries_absorbed_total", why="succeeded") == 1
    assert grown("activation_deliveries_unreadable_total") == 1


async def test_calls_in_flight_are_shown_beside_the_capacity() -> None:
    """The gauge goes up with a call and down with its end."""
    async with World(concurrency=7) as world:
        world.handler.script(DEVICE, [success(after_s=5.0)])
        task_id = await world.submit()
        await world.handler.begun()
        during = REGISTRY.get_sample_value("activation_attempts_in_flight")
        await world.end_of(task_id)
        after = REGISTRY.get_sample_value("activation_attempts_in_flight")

    assert (during, after) == (1.0, 0.0)
    assert REGISTRY.get_sample_value("activation_worker_capacity") == 7.0


async def test_heartbeats_and_losses_of_leases_are_counted() -> None:
    """A lease that is renewed, lost and reaped leaves a trace of each."""
    grown = counting()
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=600.0), success(after_s=30.0)])
        world.store.fail("renew", times=LOST_RENEWALS)
        await world.run_to_end(timeout_s=600)

    assert grown("activation_leases_lost_total") == 1
    assert grown("activation_leases_reaped_total") == 1
    assert grown("activation_leases_renewed_total") == 1  # of the second attempt


async def test_result_behind_its_fence_is_counted() -> None:
    """A zombie's answer that came before word of its lost lease."""
    grown = counting()
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=63.0)])
        world.store.fail("renew", times=LOST_RENEWALS)
        task = await world.run_to_end(timeout_s=120)

    assert task.attempt == 2
    assert grown("activation_results_stale_total") == 1


async def test_relay_counts_what_it_publishes_and_why() -> None:
    """Confirmed, unconfirmed, found by the sweep, lost by the broker."""
    grown = counting()
    async with World(workers=0) as world:
        world.broker.refusals = 1
        await world.submit()
        await accept(world.store, "LEFT01")
        await asyncio.sleep(PUBLISH_LEASE_S + 1.0)
        published = grown("activation_messages_published_total")
        world.broker.lose_messages()
        await world.run_until(lambda: len(world.broker.published) == 4)
        await asyncio.sleep(0)

    assert published == 2
    assert grown("activation_messages_unconfirmed_total") == 1
    assert grown("activation_messages_lost_total") == 2
    assert grown("activation_outbox_swept_total") == 3
    assert grown("activation_publish_duration_seconds_count") == 4


async def test_messages_under_way_when_the_session_is_lost_are_counted_as_unconfirmed() -> None:
    """Nobody knows what became of them; all are published again."""
    grown = counting()
    async with World(workers=0) as world:
        world.broker.confirm_s = 1.0
        tasks = await asyncio.gather(*(world.submit(f"DEVICE{number}") for number in range(20)))
        await asyncio.sleep(0.5)
        world.broker.cut()
        await world.run_until(lambda: grown("activation_messages_published_total") > 0)

    assert grown("activation_messages_unconfirmed_total") == len(tasks)
    assert grown("activation_messages_published_total") == len(tasks)


async def test_drain_shows_how_long_it_takes() -> None:
    """From SIGTERM until the last call has ended; nothing before and nothing after."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=60.0)])
        await world.submit()
        await world.handler.begun()
        before = drain()
        await asyncio.sleep(10.0)
        world.workers[0].terminate()
        await asyncio.sleep(30.0)
        during = drain()
        await world.workers[0].ended()
        after = drain()

    assert [before, during, after] == [(0.0, 0.0), (1.0, pytest.approx(30.0)), (0.0, 0.0)]


def drain() -> tuple[float | None, float | None]:
    """Return whether a worker drains, and for how long it has."""
    return (
        REGISTRY.get_sample_value("activation_worker_draining"),
        REGISTRY.get_sample_value("activation_worker_drain_seconds"),
    )
