"""Neither a device with a long line nor a caller with many tasks holds up the others."""

from tests.support.scripted_handler import success
from tests.support.tasks import DEVICE
from tests.support.world import VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME

CALL_S = 1.0
CALLS_AT_ONCE = 50
MANY = 1000
OTHERS = [f"OTHER{n:04}" for n in range(MANY)]


async def test_a_thousand_tasks_of_one_device_hold_up_no_other_device() -> None:
    """The long line comes first and takes one place of fifty, no more.

    A thousand others end as soon as forty-nine places allow, while the line goes on, one task after
    the other.
    """
    async with World(concurrency=CALLS_AT_ONCE) as world:
        world.handler.script(DEVICE, [success(CALL_S)] * MANY)
        for other in OTHERS:
            world.handler.script(other, [success(CALL_S)])
        for _ in range(MANY):
            await world.submit(DEVICE)
        begun_s = world.elapsed_s

        for task_id in [await world.submit(other) for other in OTHERS]:
            await world.end_of(task_id)

        assert world.elapsed_s - begun_s <= MANY / (CALLS_AT_ONCE - 1) * CALL_S + 2 * CALL_S
        assert len(world.handler.calls_for(DEVICE)) < MANY / 10


async def test_a_caller_with_a_thousand_tasks_holds_up_no_other_caller() -> None:
    """The other one waits for the first one's share, and not for all that it has."""
    share = CALLS_AT_ONCE
    async with World(concurrency=CALLS_AT_ONCE, caller_share=share) as world:
        for device in [*OTHERS, DEVICE]:
            world.handler.script(device, [success(CALL_S)])
        ids = [await world.submit(other, caller="batch") for other in OTHERS]
        begun_s = world.elapsed_s

        await world.end_of(await world.submit(DEVICE, caller="crm"))
        other_s = world.elapsed_s - begun_s
        for task_id in ids:
            await world.end_of(task_id)

    assert other_s <= 4 * CALL_S
    assert world.elapsed_s - begun_s <= MANY / CALLS_AT_ONCE * CALL_S + 2 * CALL_S


async def test_the_share_of_a_caller_is_full_as_long_as_it_has_tasks() -> None:
    """Sharing costs nobody time: workers have something to do until the end."""
    async with World(concurrency=CALLS_AT_ONCE, caller_share=2 * CALLS_AT_ONCE) as world:
        for device in OTHERS:
            world.handler.script(device, [success(10 * CALL_S)])
        for device in OTHERS:
            await world.submit(device, caller="batch")
        await world.run_until(lambda: len(world.handler.calls) == MANY - CALLS_AT_ONCE)
        under_way = world.handler.under_way

    assert under_way >= CALLS_AT_ONCE - 1


async def test_a_store_that_is_away_holds_up_deferred_tasks_no_longer_than_it_is_away() -> None:
    """Room is looked for again and again."""
    async with World(concurrency=1, caller_share=1) as world:
        world.store.fail("admit", times=20)
        ids = [await world.submit(device, caller="batch") for device in OTHERS[:3]]
        for task_id in ids:
            await world.end_of(task_id)

    assert world.store.calls["admit"] > 20
