"""The retry table, row by row, on the whole way of a task."""

import itertools

import pytest

from activation.domain.outcome import Reason
from activation.domain.retry import RetryPolicy
from activation.domain.task import EventName, State, Task
from tests.support.scripted_handler import Answer, Breaks, Raw, Step, success, too_many_requests
from tests.support.tasks import DEVICE
from tests.support.world import SWEEP_S, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME

RETRIED_PROVISIONING_ERRORS = RetryPolicy(base_s=1.0, retry_provisioning_errors=True)


async def run(*steps: Step, policy: RetryPolicy | None = None) -> tuple[Task, World]:
    """Run one task against a script, until it has ended and every message is settled."""
    async with World(policy=policy) as world:
        world.handler.script(DEVICE, steps)
        task = await world.run_to_end()
        await world.settled()
    return task, world


async def test_success_ends_the_task() -> None:
    """An answer 200 makes the task succeed at once, with one call and no message left."""
    task, world = await run(success())

    assert (task.state, task.reason) == (State.SUCCEEDED, Reason.COMPLETED)
    assert world.handler.starts_s(DEVICE) == [0.0]
    assert world.broker.settlements == ["ack"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (404, Reason.UNKNOWN_EQUIPMENT),
        (400, Reason.REFUSED),
        (401, Reason.REFUSED),
        (403, Reason.REFUSED),
        (409, Reason.REFUSED),
        (422, Reason.REFUSED),
        (500, Reason.PROVISIONING_ERROR),
    ],
)
async def test_permanent_failure_is_not_tried_again(status: int, reason: Reason) -> None:
    """A refusal ends the task with the handler's own words, after one call, without dead letter."""
    task, world = await run(Answer(status, message="No, never"))

    assert (State.FAILED, reason) == (task.state, task.reason)
    assert task.message == "No, never"
    assert not task.dead_letter
    assert len(world.handler.calls) == 1
    assert world.broker.settlements == ["ack"]


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        pytest.param(Answer(429), Reason.OVERLOADED, id="429"),
        pytest.param(Answer(502), Reason.UNAVAILABLE, id="502"),
        pytest.param(Answer(503), Reason.UNAVAILABLE, id="503"),
        pytest.param(Answer(504), Reason.UNAVAILABLE, id="504"),
        pytest.param(Breaks(Reason.UNREACHABLE), Reason.UNREACHABLE, id="no connection"),
        pytest.param(Breaks(Reason.UNREADABLE), Reason.UNREADABLE, id="broken off"),
        pytest.param(Raw(b"<html>It works!</html>"), Reason.UNREADABLE, id="garbage"),
        pytest.param(Raw(b"[200]"), Reason.UNREADABLE, id="not an object"),
        pytest.param(Raw(None), Reason.UNREADABLE, id="larger than 1 MiB"),
        pytest.param(Raw(b"<html>404</html>", 404), Reason.UNREADABLE, id="404 of a proxy"),
        pytest.param(Answer(500), Reason.PROVISIONING_ERROR, id="500"),
    ],
)
async def test_transient_failure_is_tried_again(step: Step, reason: Reason) -> None:
    """A transient failure is written down, and the next attempt may still succeed."""
    task, world = await run(step, policy=RETRIED_PROVISIONING_ERRORS)

    failed = [e for e in await world.store.history(task.id) if e.name is EventName.RETRY_SCHEDULED]
    assert task.state == State.SUCCEEDED
    assert [reason] == [event.reason for event in failed]
    assert [call.attempt for call in world.handler.calls] == [1, 2]


async def test_every_attempt_carries_the_same_key() -> None:
    """The handler can recognise a repeat: the key of all attempts is the task's id."""
    task, world = await run(Answer(503), Answer(503))

    assert [str(task.id)] * 3 == [call.key for call in world.handler.calls]


async def test_retry_waits_as_long_as_the_handler_asked() -> None:
    """After 429 with Retry-After 30 the second attempt starts 30 s later, and not sooner."""
    _, world = await run(too_many_requests(retry_after_s=30))

    first, second = world.handler.starts_s(DEVICE)
    assert 30.0 <= second - first <= 30.0 + SWEEP_S


async def test_retry_after_is_capped() -> None:
    """A handler that asks for a day gets the policy's longest wait."""
    _, world = await run(too_many_requests(retry_after_s=86_400), policy=RetryPolicy(cap_s=300.0))

    first, second = world.handler.starts_s(DEVICE)
    assert 300.0 <= second - first <= 300.0 + SWEEP_S


async def test_waits_grow_until_the_attempts_are_used_up() -> None:
    """Without Retry-After the waits double; after five attempts the task is a dead letter."""
    task, world = await run(*[Answer(429)] * 5)

    starts = world.handler.starts_s(DEVICE)
    waits = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert len(waits) == 4
    for wait, due in zip(waits, [1.0, 2.0, 4.0, 8.0], strict=True):
        assert due <= wait <= due + SWEEP_S
    assert (task.state, task.dead_letter) == (State.FAILED, True)
    assert task.reason == Reason.OVERLOADED
    assert (await world.store.status()).dead_letters == 1


@pytest.mark.parametrize("work_s", [60.0, 64.9])
async def test_work_that_uses_the_whole_timeout_succeeds(work_s: float) -> None:
    """The grace lets work of 60 s end under a timeout of 60."""
    task, world = await run(success(after_s=work_s))

    assert task.state == State.SUCCEEDED
    assert len(world.handler.calls) == 1


async def test_no_answer_within_deadline_is_tried_again_with_the_same_key() -> None:
    """After timeout and grace the call is ended, and the outcome counts as unknown."""
    task, world = await run(success(after_s=66.0))

    first, second = world.handler.calls_for(DEVICE)
    history = await world.store.history(task.id)
    assert (first.ended_s, first.answered) == (65.0, False)
    assert first.key == second.key
    assert Reason.NO_ANSWER in {event.reason for event in history}
    assert task.state == State.SUCCEEDED


async def test_tasks_of_a_device_keep_their_order_across_retries() -> None:
    """A younger task of the device starts only when the older one's last attempt has ended."""
    async with World() as world:
        world.handler.script(DEVICE, [Answer(503), success(after_s=5.0)])
        older = await world.submit()
        younger = await world.submit()
        await world.end_of(younger)

    calls = world.handler.calls_for(DEVICE)
    assert [str(older), str(older), str(younger)] == [call.key for call in calls]
    for before, after in itertools.pairwise(calls):
        assert before.ended_s is not None
        assert before.ended_s <= after.started_s


async def test_cancelled_while_running_makes_no_further_attempt() -> None:
    """A running call goes on, but its failure cancels the task instead of queueing it again."""
    async with World() as world:
        world.handler.script(DEVICE, [Answer(503, after_s=10.0)])
        task_id = await world.submit()
        await world.handler.begun()
        await world.store.cancel(task_id)

        task = await world.end_of(task_id)

    assert task.state == State.CANCELLED
    assert len(world.handler.calls) == 1
    assert world.handler.calls[0].answered


async def test_success_counts_although_cancellation_was_asked_for() -> None:
    """What the handler has done is not denied: the task succeeds."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=10.0)])
        task_id = await world.submit()
        await world.handler.begun()
        await world.store.cancel(task_id)

        task = await world.end_of(task_id)

    assert task.state == State.SUCCEEDED
