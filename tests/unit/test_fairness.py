"""One device with a long line does not hold up the devices beside it."""

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
