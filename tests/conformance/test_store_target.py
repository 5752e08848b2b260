"""What all workers know about the target, kept by the store."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from activation.domain.target import Target
from activation.ports import TaskStore
from tests.support.clock import VirtualClock


async def test_a_target_that_nobody_has_changed_is_called(store: TaskStore) -> None:
    """A new installation begins with a closed breaker."""
    assert await store.target() == Target()


async def test_a_change_is_seen_by_every_process(
    store: TaskStore, twin: TaskStore, clock: VirtualClock
) -> None:
    """All members come back as they were written, by others too."""
    now = clock.now()
    recovered_at = now + timedelta(seconds=12.5)
    changed = Target(
        paused_at=now,
        held_until=now + timedelta(seconds=30.25),
        trips=3,
        prober="worker-1",
        probe_until=now + timedelta(seconds=60),
        why="unavailable: 503 Service Unavailable",
        max_calls=50,
        overload_calls=80,
        overload_at=now,
        recovered_at=recovered_at,
    )

    answer = await store.change_target(lambda _: changed)

    assert answer == changed
    assert await twin.target() == changed


async def test_a_change_is_made_of_what_others_have_written(
    store: TaskStore, twin: TaskStore, clock: VirtualClock
) -> None:
    """Two who change different things both keep theirs."""
    await store.change_target(lambda target: target.pause(clock.now()))
    await twin.change_target(lambda target: replace(target, trips=1))

    assert await store.target() == Target(paused_at=clock.now(), trips=1)


async def test_changes_at_the_same_time_follow_one_another(
    store: TaskStore, twin: TaskStore
) -> None:
    """None is lost, the very first ones included."""
    more = [
        one.change_target(lambda target: replace(target, trips=target.trips + 1))
        for _ in range(5)
        for one in (store, twin)
    ]
    async with asyncio.timeout(10.0):
        await asyncio.gather(*more)

    assert await store.target() == Target(trips=10)


async def test_what_is_resumed_is_as_if_nothing_had_been(
    store: TaskStore, clock: VirtualClock
) -> None:
    """Members that are taken away are gone from the store."""
    await store.change_target(lambda target: replace(target.pause(clock.now()), trips=2, why="x"))

    await store.change_target(Target.resume)

    assert await store.target() == Target()
