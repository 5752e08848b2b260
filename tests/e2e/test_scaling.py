"""The workers follow the queue, and tasks do not notice."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

import pytest_asyncio

from tests.support.client import Client
from tests.support.kube import condition
from tests.support.patience import eventually
from tests.support.release import Release

CONCURRENCY: Final = 5  # of tests/e2e/values.yaml, as what follows
MOST: Final = 4
FALLBACK: Final = 3
HELD: Final = 8  # tasks in progress while the fleet shrinks
PACE_S: Final = 0.5  # between looks at the queue; nothing waits for it
SCALE_S: Final = 180.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment."""

    at: float
    unfinished: int
    wanted: int
    ready: int


@pytest_asyncio.fixture(loop_scope="session")
async def changed(release: Release) -> AsyncIterator[None]:
    """For tests that give the release other values: afterwards it is as it was."""
    yield
    await release.install()


async def test_workers_follow_the_queue_from_zero_to_many_and_back(
    release: Release, changed: None, client: Client, record_property: Callable[[str, object], None]
) -> None:
    """Replicas are (waiting + running) / concurrency; a scale-in costs no task an attempt."""
    await release.install(keda__minReplicas="0")
    samples: list[Sample] = []

    async def fleet(what: str, arrived: Callable[[Sample], bool]) -> Sample:
        async def look() -> Sample | None:
            wanted, ready = await release.wanted_workers(), len(await release.ready_pods("worker"))
            samples.append(Sample(time.monotonic(), await client.unfinished(), wanted, ready))
            return samples[-1] if arrived(samples[-1]) else None

        found = await eventually(look, limit_s=SCALE_S, what=what)
        assert found is not None
        return found

    await fleet("no worker", lambda now: now.wanted == 0)
    began = time.monotonic()
    await client.submit_all(client.devices(100))
    first = await fleet("the first worker", lambda now: now.ready >= 1)
    full = await fleet("all workers", lambda now: now.ready == MOST)
    await fleet("a short queue", lambda now: now.unfinished <= HELD)
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(keep_busy(client, done))
        fewer = await fleet("two workers", lambda now: now.wanted == math.ceil(HELD / CONCURRENCY))
        done.set()
    account = await client.account()
    none = await fleet("no worker", lambda now: now.wanted == 0 and now.ready == 0)

    record_property("scaling: first worker ready", f"{first.at - began:.1f} s after the first POST")
    record_property("scaling: all workers ready", f"{full.at - began:.1f} s after the first POST")
    record_property("scaling: no worker left", f"{none.at - fewer.at:.1f} s after the scale-in")
    assert max(sample.wanted for sample in samples) == MOST
    assert {task["attempt"] for task in account.tasks} == {1}
    assert len(account.known_calls) == len(account.tasks)


async def test_workers_stay_when_the_queue_cannot_be_read(
    release: Release, changed: None, client: Client
) -> None:
    """RabbitMQ's management port is closed to KEDA: it falls back to a fixed number, for a time."""
    await release.wait_ready("worker", 1)

    await release.install(keda__namespace="elsewhere")
    await eventually(lambda: falls_back(release), limit_s=SCALE_S, what="the fallback")
    await release.wait_ready("worker", FALLBACK)
    await client.submit_all(client.devices(10))
    await client.account()
    await release.install()

    async def recovered() -> bool:
        return not await falls_back(release) and await release.wanted_workers() == 1

    await eventually(recovered, limit_s=SCALE_S, what="the end of the fallback")


async def falls_back(release: Release) -> bool:
    """Tell whether KEDA says that it uses the fallback."""
    scaled = await release.kube.get("scaledobject", "activation-worker")
    return condition(scaled, "Fallback") == "True"


async def keep_busy(client: Client, done: asyncio.Event) -> None:
    """Keep as many tasks unfinished as two workers can run."""
    while not done.is_set():
        missing = HELD - await client.unfinished()
        await client.submit_all(client.devices(max(0, missing)))
        await asyncio.sleep(PACE_S)
