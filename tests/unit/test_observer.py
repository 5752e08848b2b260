"""The observer: gauges that follow the store and the broker, also while one of them is away."""

import asyncio

from prometheus_client import REGISTRY

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


async def test_store_that_is_away_leaves_the_gauges_as_they_were() -> None:
    """An outage is logged, and counting goes on after it."""
    async with World(workers=0) as world:
        observing = asyncio.create_task(Observer(world.store).run())
        await world.submit("DEVICE1")
        await asyncio.sleep(EVERY_S + 1.0)
        world.store.errors["status"] = StoreUnavailableError("connection refused")
        await world.submit("DEVICE2")
        await asyncio.sleep(EVERY_S)
        during = gauge("activation_tasks", state="queued")
        world.store.errors.clear()
        await asyncio.sleep(EVERY_S)
        observing.cancel()

    assert (during, gauge("activation_tasks", state="queued")) == (1.0, 2.0)
