"""Leases: renewed while a call runs, and a call ended when its lease is lost."""

import pytest
from structlog.testing import capture_logs

from activation.domain.outcome import Reason
from activation.domain.task import EventName, State
from tests.support.scripted_handler import Answer, success
from tests.support.tasks import DEVICE
from tests.support.world import LEASE_S, LOST_RENEWALS, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME


async def test_lease_is_renewed_at_a_third_while_the_call_runs() -> None:
    """A call of ten minutes keeps its lease of one minute, with a renewal every 20 s."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=600.0)])
        task = await world.run_to_end(timeout_s=600)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert 600.0 / (LEASE_S / 3) - 1 <= world.store.calls["renew"] <= 600.0 / (LEASE_S / 3)


async def test_renewals_may_fail_while_the_lease_lasts() -> None:
    """A store that is away from the first renewal almost to the lease's end does not cost it."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=120.0)])
        world.store.fail("renew", times=LOST_RENEWALS - 2)
        task = await world.run_to_end(timeout_s=120)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert len(world.handler.calls) == 1


async def test_lost_lease_ends_the_call_and_its_result_changes_nothing() -> None:
    """When the store says that the claim is void, the call is cut off and its message acked."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=600.0), success(after_s=5.0)])
        task_id = await world.submit(timeout_s=600)
        await world.handler.begun()
        world.store.fail("renew", times=LOST_RENEWALS)
        with capture_logs() as logs:
            task = await world.end_of(task_id)
            await world.settled()

    first, second = world.handler.calls
    ends = [e for e in await world.store.history(task_id) if e.name is EventName.SUCCEEDED]
    assert (first.answered, second.answered) == (False, True)
    assert first.ended_s == pytest.approx(64.0)  # at the first renewal that is answered again
    assert (task.state, task.attempt) == (State.SUCCEEDED, 2)
    assert [event.attempt for event in ends] == [2]
    assert [line["event"] for line in logs].count("lease_lost") == 1


async def test_zombie_is_fenced() -> None:
    """A worker that was cut off for longer than its lease cannot overwrite the newer attempt."""
    async with World(workers=2) as world:
        world.handler.script(DEVICE, [success(after_s=90.0), Answer(404, after_s=60.0)])
        world.store.fail("renew", times=LOST_RENEWALS + 5)
        task_id = await world.submit(timeout_s=120)
        with capture_logs() as logs:
            task = await world.end_of(task_id)

    history = await world.store.history(task_id)
    assert [event.name for event in history[:3]] == [
        EventName.ACCEPTED,
        EventName.STARTED,
        EventName.LEASE_EXPIRED,
    ]
    assert (task.state, task.reason, task.attempt) == (State.FAILED, Reason.UNKNOWN_EQUIPMENT, 2)
    assert {"result_stale", "lease_lost"} & {line["event"] for line in logs}


async def test_message_for_the_next_attempt_is_kept_when_the_lease_was_lost() -> None:
    """It arrived where the void attempt still ran: it goes back to the queue and is carried out."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=600.0)])
        world.store.fail("renew", times=LOST_RENEWALS)
        task = await world.run_to_end(timeout_s=600)
        await world.settled()

    _, second = world.handler.starts_s(DEVICE)
    assert 64.0 <= second <= 65.0  # the renewal of 64 s says that the lease is lost
    assert (task.state, task.attempt) == (State.SUCCEEDED, 2)
    assert len(world.broker.published_s(task.id)[1:]) == 1


async def test_late_word_of_a_lost_lease_spares_the_next_attempt() -> None:
    """A renewal that says "lost" of an attempt that has ended must not end the one after it."""
    async with World() as world:
        world.handler.script(DEVICE, [Answer(503, after_s=19.0), success(after_s=30.0)])
        # Stored at 19 s, known here at 20.5 s: the renewal of 20 s asks for an attempt that is
        # over, and hears so at 28 s, when the second attempt runs.
        world.store.slow["finish"] = 1.5
        world.store.slow["renew"] = 8.0
        task = await world.run_to_end()

    assert (task.state, task.attempt) == (State.SUCCEEDED, 2)
    assert [call.answered for call in world.handler.calls] == [True, True]
