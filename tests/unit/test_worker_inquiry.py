"""Before a call whose predecessor may have acted, the handler is asked what came of that one."""

import asyncio
from typing import Any

import pytest

from activation.domain.outcome import ASKED, UNCERTAIN, Reason
from activation.domain.retry import RetryPolicy
from activation.domain.task import EventName, State, Task
from tests.support.scripted_handler import (
    Answer,
    Breaks,
    Raw,
    Step,
    finished,
    success,
    too_many_requests,
)
from tests.support.tasks import DEVICE
from tests.support.world import GRACE_S, SWEEP_S, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME

TIMEOUT_S = 60
TOO_LATE = success(after_s=TIMEOUT_S + GRACE_S + 1.0)
UNDER_WAY = Answer(202)


async def run(*steps: Step, told: tuple[Step, ...] = (), **world: Any) -> tuple[Task, World]:
    """Run one task against a script of calls and one of questions, until it has ended."""
    async with World(**({"asks": True} | world)) as running:
        running.handler.script(DEVICE, steps)
        running.handler.tell(DEVICE, told)
        task = await running.run_to_end(timeout_s=TIMEOUT_S)
        await running.settled()
    return task, running


async def test_a_call_that_had_finished_is_not_made_again() -> None:
    """Its answer came too late; asked, the handler tells it, and the story says so."""
    task, world = await run(TOO_LATE, told=(finished(message="Port 7 is up"),))

    [call], [question] = world.handler.calls, world.handler.questions
    *_, last = await world.store.history(task.id)
    assert (task.state, task.reason, task.attempt) == (State.SUCCEEDED, Reason.COMPLETED, 2)
    assert question.key == call.key == str(task.id)
    assert (last.name, last.attempt) == (EventName.SUCCEEDED, 2)
    assert last.message == f"{ASKED}, and had finished: Port 7 is up"


async def test_a_handler_is_asked_only_where_it_offers_that() -> None:
    """By default it is called again with the same key."""
    task, world = await run(TOO_LATE, asks=False)

    assert task.state is State.SUCCEEDED
    assert len(world.handler.calls) == 2
    assert world.handler.questions == []


async def test_a_first_attempt_has_nothing_to_ask() -> None:
    """The question costs nothing where all goes well."""
    _, world = await run(success())

    assert world.handler.questions == []


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        pytest.param(Answer(504), Reason.UNAVAILABLE, id="a proxy gave up"),
        pytest.param(Breaks(), Reason.UNREACHABLE, id="reset"),
        pytest.param(Raw(b'{"code": 2'), Reason.UNREADABLE, id="half an answer"),
        pytest.param(TOO_LATE, Reason.NO_ANSWER, id="no answer"),
    ],
)
async def test_whatever_leaves_open_what_happened_is_asked_about(
    step: Step, reason: Reason
) -> None:
    """The handler may have acted although it does not look like it."""
    task, world = await run(step, told=(finished(),))

    reasons = {event.reason for event in await world.store.history(task.id)}
    assert reason in reasons & UNCERTAIN
    assert (len(world.handler.calls), len(world.handler.questions)) == (1, 1)


async def test_an_answer_of_the_handler_itself_is_believed_without_asking() -> None:
    """It was overloaded, so it has done nothing."""
    _, world = await run(Answer(429))

    assert len(world.handler.calls) == 2
    assert world.handler.questions == []


async def test_a_task_whose_worker_was_killed_is_asked_about() -> None:
    """Nobody was there to hear the answer."""
    async with World(asks=True) as world:
        world.handler.script(DEVICE, [success(after_s=5.0)])
        world.handler.tell(DEVICE, [finished()])
        task_id = await world.submit()
        await world.handler.begun()
        await world.workers[0].kill()
        world.start_worker("other")

        task = await world.end_of(task_id)

    assert task.state is State.SUCCEEDED
    assert (len(world.handler.calls), len(world.handler.questions)) == (1, 1)


async def test_a_call_that_a_drain_cut_off_is_asked_about() -> None:
    """It cost no attempt, and may have been carried out all the same."""
    async with World(asks=True, drain_s=1.0) as world:
        world.handler.script(DEVICE, [success(after_s=30.0)])
        world.handler.tell(DEVICE, [finished()])
        task_id = await world.submit()
        await world.handler.begun()
        world.workers[0].terminate()
        world.start_worker("other")

        task = await world.end_of(task_id)

    assert (task.state, task.uncounted) == (State.SUCCEEDED, 1)
    assert (len(world.handler.calls), len(world.handler.questions)) == (1, 1)


async def test_a_key_that_the_handler_does_not_know_is_called_as_usual() -> None:
    """With the same key, should the first call come in after all."""
    task, world = await run(TOO_LATE, told=(Answer(404),))

    first, second = world.handler.calls
    assert task.state is State.SUCCEEDED
    assert first.key == second.key == world.handler.questions[0].key


async def test_a_call_that_is_under_way_is_waited_for() -> None:
    """No second call beside the first one, and its result counts as soon as it is there."""
    task, world = await run(TOO_LATE, told=(UNDER_WAY, UNDER_WAY, UNDER_WAY, finished()))

    asked = [question.asked_s for question in world.handler.questions]
    assert task.state is State.SUCCEEDED
    assert len(world.handler.calls) == 1
    assert [later - asked[0] for later in asked] == [0.0, 2.0, 4.0, 6.0]


async def test_a_call_that_comes_to_nothing_while_it_is_waited_for_is_made_again() -> None:
    """Within the same attempt."""
    task, world = await run(TOO_LATE, told=(UNDER_WAY, Answer(404)))

    assert [call.attempt for call in world.handler.calls] == [1, 2]
    assert task.state is State.SUCCEEDED


async def test_a_call_that_never_ends_uses_the_attempts_up_and_stays_alone() -> None:
    """Each attempt waits no longer than it may, and the last word is that nobody knows."""
    task, world = await run(
        TOO_LATE, told=(UNDER_WAY,) * 1000, policy=RetryPolicy(max_attempts=3, base_s=1.0)
    )

    started = [e for e in await world.store.history(task.id) if e.name is EventName.STARTED]
    assert (task.state, task.dead_letter, task.reason) == (State.FAILED, True, Reason.NO_ANSWER)
    assert "still at work" in (task.message or "")
    assert len(world.handler.calls) == 1
    assert task.finished_at is not None
    waited_s = (task.finished_at - started[-1].at).total_seconds()
    assert TIMEOUT_S <= waited_s <= TIMEOUT_S + GRACE_S


@pytest.mark.parametrize(
    ("question", "why"),
    [
        pytest.param(Answer(503), "503 Service Unavailable", id="503"),
        pytest.param(Answer(405), "405 Method Not Allowed", id="no such question"),
        pytest.param(Breaks(), "the connection failed", id="refused"),
        pytest.param(success(after_s=11.0), "no answer within 10 s", id="silence"),
        pytest.param(Raw(b"<html>It works!</html>"), "names no status code", id="a proxy's page"),
        pytest.param(Raw(b'{"code": true}'), "names no status code", id="no code"),
        pytest.param(Raw(b'{"code": 202}'), "names no status code", id="no end"),
    ],
)
async def test_a_handler_that_does_not_tell_is_not_called(question: Step, why: str) -> None:
    """The outcome stays unknown, the history says why, and the next attempt asks again."""
    task, world = await run(TOO_LATE, told=(question, finished()))

    second = [e for e in await world.store.history(task.id) if e.attempt == 2][-1]
    assert (second.name, second.reason) == (EventName.RETRY_SCHEDULED, Reason.NO_ANSWER)
    assert why in (second.message or "")
    assert (task.state, task.attempt) == (State.SUCCEEDED, 3)
    assert (len(world.handler.calls), len(world.handler.questions)) == (1, 2)


async def test_a_handler_that_is_busy_is_asked_again_when_it_wishes() -> None:
    """`Retry-After` holds for questions as it does for calls."""
    _, world = await run(TOO_LATE, told=(too_many_requests(retry_after_s=30), finished()))

    first, second = (question.asked_s for question in world.handler.questions)
    assert 30.0 <= second - first <= 30.0 + SWEEP_S


async def test_a_refusal_for_good_is_told_as_well() -> None:
    """The task ends as the handler said, without a second call."""
    task, world = await run(TOO_LATE, told=(finished(404, "No such device"),))

    assert (task.state, task.reason) == (State.FAILED, Reason.UNKNOWN_EQUIPMENT)
    assert len(world.handler.calls) == 1


async def test_a_failure_that_may_pass_is_tried_again() -> None:
    """Nothing came of the first call, so the second one is safe."""
    task, world = await run(TOO_LATE, told=(finished(503, "Later"),))

    assert task.state is State.SUCCEEDED
    assert len(world.handler.calls) == 2


@pytest.mark.parametrize(("code", "calls"), [(200, 1), (422, 2)])
async def test_after_a_replay_only_success_spares_the_call(code: int, calls: int) -> None:
    """A dead letter may be an activated device; but a refusal is what shall be tried again."""
    async with World(asks=True, policy=RetryPolicy(max_attempts=1)) as world:
        world.handler.script(DEVICE, [TOO_LATE])
        world.handler.tell(DEVICE, [finished(code)])
        task = await world.run_to_end()
        await world.store.replay(task.id)

        task = await world.end_of(task.id)

    assert (task.state, task.attempt) == (State.SUCCEEDED, 2)
    assert (len(world.handler.calls), len(world.handler.questions)) == (calls, 1)


async def test_what_the_handler_tells_holds_no_secret() -> None:
    """A password that it repeats is masked, as in the answer to a call."""
    async with World(asks=True) as world:
        world.handler.script(DEVICE, [TOO_LATE])
        world.handler.tell(DEVICE, [finished(message="with canary-4711 set")])
        task_id = await world.submit(parameters='{"password": "canary-4711"}')
        task = await world.end_of(task_id)

    assert "canary-4711" not in (task.message or "")
    assert (task.message or "").startswith(ASKED)


async def test_a_drain_ends_the_waiting() -> None:
    """Waiting is part of the attempt: it is called off like a call."""
    async with World(asks=True, drain_s=1.0) as world:
        world.handler.script(DEVICE, [TOO_LATE])
        world.handler.tell(DEVICE, [UNDER_WAY] * 1000)
        task_id = await world.submit()
        await world.run_until(lambda: len(world.handler.questions) == 2)
        world.workers[0].terminate()

        async with asyncio.timeout(10.0):
            await world.workers[0].ended()

        task = await world.task(task_id)

    assert (task.state, task.reason) == (State.QUEUED, Reason.DRAINED)
