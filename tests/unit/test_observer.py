"""Gauges that follow the store and the broker, also while one of them is away."""

import asyncio
import math
from functools import partial

from prometheus_client import REGISTRY

from activation.domain.target import Target
from activation.errors import StoreUnavailableError
from activation_gateway.observer import Observer
from tests.support.tasks import claim
from tests.support.world import VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME

EVERY_S = 5.0


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


async def test_gauges_follow_the_store_and_the_broker() -> None:
    """Tasks by state, what is owed to the broker, and whether it is there."""
    async with World(workers=0) as world:
        observing = asyncio.create_task(Observer(world.store).run())
        running = await world.submit("DEVICE1")
        await world.submit("DEVICE2")
        await claim(world.store, running)
        await asyncio.sleep(EVERY_S + 1.0)
        up = gauge("activation_broker_connected")
        world.broker.stop()
        await world.submit("DEVICE3")
        await asyncio.sleep(2 * EVERY_S)
        observing.cancel()

    assert (up, gauge("activation_broker_connected")) == (1.0, 0.0)
    assert gauge("activation_tasks", state="running") == 1.0
    assert gauge("activation_tasks", state="queued") == 2.0
    assert gauge("activation_oldest_queued_seconds") == 15.0


async def test_store_that_is_away_shows_no_number() -> None:
    """Neither before the first look, nor in an outage what was true before; then it goes on."""
    async with World(workers=0) as world:
        observer = Observer(world.store)
        before = gauges()
        observing = asyncio.create_task(observer.run())
        await world.submit("DEVICE1")
        await asyncio.sleep(EVERY_S + 1.0)
        shown = gauges()
        world.store.errors["status"] = StoreUnavailableError("connection refused")
        await world.submit("DEVICE2")
        await asyncio.sleep(EVERY_S)
        during = gauges()
        world.store.errors.clear()
        await asyncio.sleep(EVERY_S)
        observing.cancel()

    assert [math.isnan(value) for value in before] == [True] * 7
    assert shown == [1.0, 0.0, 0.0, 0.0, 0.0, 5.0, 0.0]
    assert [math.isnan(value) for value in during] == [True] * 7
    assert gauge("activation_tasks", state="queued") == 2.0


def becoming(new: Target, _: Target) -> Target:
    return new


async def test_calls_that_are_held_back_show_until_they_are_not() -> None:
    """Whatever holds them back: the breaker, also while it probes, or an operator."""
    held = []
    async with World(workers=0) as world:
        observing = asyncio.create_task(Observer(world.store).run())
        for target in (Target(trips=1), Target(), Target(paused_at=world.store.now())):
            await world.store.change_target(partial(becoming, target))
            await asyncio.sleep(EVERY_S + 1.0)
            held.append(gauge("activation_target_held"))
        observing.cancel()

    assert held == [1.0, 0.0, 1.0]


def gauges() -> list[float]:
    """Return all that the store is asked for."""
    shown = [
        gauge("activation_tasks", state="queued"),
        gauge("activation_tasks", state="running"),
        gauge("activation_dead_letters"),
        gauge("activation_outbox_tasks"),
        gauge("activation_outbox_age_seconds"),
        gauge("activation_oldest_queued_seconds"),
        gauge("activation_target_held"),
    ]
    return [value for value in shown if value is not None]
