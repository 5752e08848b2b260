"""Every end of a task is counted once, by whoever ended it: worker, reaper or an operator."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from activation.domain.outcome import Reason
from activation.domain.retry import RetryPolicy
from activation.domain.task import State
from activation.telemetry.metrics import TASKS_FINISHED, count_end
from tests.support.counting import counting
from tests.support.gateway import GatewayUnderTest
from tests.support.scripted_handler import Answer, success
from tests.support.tasks import DEVICE
from tests.support.world import LEASE_S, LOST_RENEWALS, VIRTUAL_TIME, World

Ends = dict[tuple[str, str], float]


def ends() -> Ends:
    """Return what this process has counted so far, by outcome and reason."""
    return {
        (sample.labels["outcome"], sample.labels["reason"]): sample.value
        for metric in TASKS_FINISHED.collect()
        for sample in metric.samples
    }


@contextmanager
def counted() -> Iterator[Ends]:
    """Fill a dictionary with what is counted inside the block; what is not is left out."""
    before, grown = ends(), Ends()
    yield grown
    grown |= {end: now - before.get(end, 0.0) for end, now in ends().items()}
    for end in [end for end, growth in grown.items() if not growth]:
        del grown[end]


@VIRTUAL_TIME
@pytest.mark.parametrize(
    ("answers", "end"),
    [
        ([success()], ("succeeded", "")),
        ([Answer(503), success()], ("succeeded", "")),
        ([Answer(404)], ("refused", "unknown_equipment")),
        ([Answer(403)], ("refused", "refused")),
        ([Answer(500)], ("refused", "provisioning_error")),
        ([Answer(429), Answer(503)], ("dead_lettered", "unavailable")),
    ],
)
async def test_what_the_handler_decides_is_counted_by_the_worker(
    answers: list[Answer], end: tuple[str, str]
) -> None:
    """A retry is no end; the reason is that of the last attempt."""
    with counted() as grown:
        async with World(policy=RetryPolicy(max_attempts=2, base_s=1.0)) as world:
            world.handler.script(DEVICE, answers)
            await world.run_to_end()

    assert grown == {end: 1}


@VIRTUAL_TIME
async def test_an_end_whose_answer_is_lost_is_counted_once() -> None:
    """The worker writes it again until it knows that it is stored."""
    with counted() as grown:
        async with World() as world:
            world.store.lose_answer("finish", times=3)
            await world.run_to_end()
            await world.settled()

    assert grown == {("succeeded", ""): 1}


@VIRTUAL_TIME
async def test_a_running_task_that_is_cancelled_is_counted_by_its_worker() -> None:
    """The request alone ends nothing."""
    with counted() as grown:
        async with World() as world:
            world.handler.script(DEVICE, [Answer(503, after_s=10.0)])
            task_id = await world.submit()
            await world.handler.begun()
            await world.store.cancel(task_id)
            with counted() as at_request:
                await asyncio.sleep(5.0)
            await world.end_of(task_id)
            await world.settled()

    assert at_request == {}
    assert grown == {("cancelled", ""): 1}


@VIRTUAL_TIME
async def test_the_last_attempt_of_a_lost_worker_is_counted_by_the_reaper() -> None:
    """From acceptance until the reaper came."""
    grown_since = counting()
    with counted() as grown:
        async with World(policy=RetryPolicy(max_attempts=1)) as world:
            world.handler.script(DEVICE, [success(after_s=600.0)])
            task_id = await world.submit(timeout_s=600)
            await world.handler.begun()
            await world.workers[0].kill()
            await world.end_of(task_id)
            elapsed_s = world.elapsed_s

    assert grown == {("dead_lettered", "worker_lost"): 1}
    took_s = grown_since("activation_task_duration_seconds_sum", outcome="dead_lettered")
    assert took_s == pytest.approx(elapsed_s, abs=0.1)


@VIRTUAL_TIME
async def test_a_cancelled_task_of_a_lost_worker_is_counted_by_the_reaper() -> None:
    """It would have been queued again."""
    with counted() as grown:
        async with World() as world:
            world.handler.script(DEVICE, [success(after_s=600.0)])
            task_id = await world.submit(timeout_s=600)
            await world.handler.begun()
            await world.store.cancel(task_id)
            await world.workers[0].kill()
            await world.end_of(task_id)

    assert grown == {("cancelled", ""): 1}


@VIRTUAL_TIME
async def test_a_late_answer_to_an_attempt_that_was_reaped_is_not_counted_again() -> None:
    """It would have made the task the same dead letter as the reaper did."""
    grown_since = counting()
    with counted() as grown:
        async with World(policy=RetryPolicy(max_attempts=1)) as world:
            world.handler.script(DEVICE, [Answer(503, after_s=LEASE_S + 3.0)])
            world.store.fail("renew", times=LOST_RENEWALS)
            await world.end_of(await world.submit(timeout_s=600))
            await world.settled()

    assert grown == {("dead_lettered", "worker_lost"): 1}
    assert grown_since("activation_results_stale_total") == 1


async def test_an_operators_cancel_is_counted_once_however_often_it_is_asked(
    gateway: GatewayUnderTest,
) -> None:
    """The first request ends the task; the others find it ended."""
    task_id = await gateway.submit()
    gateway.clock.advance(30)
    grown_since = counting()

    with counted() as grown:
        for _ in range(3):
            await gateway.http.post(f"/api/v1/tasks/{task_id}:cancel")

    assert grown == {("cancelled", ""): 1}
    assert grown_since("activation_task_duration_seconds_sum", outcome="cancelled") == 30.0


async def test_an_operators_cancel_of_a_running_task_is_not_counted_by_the_gateway(
    gateway: GatewayUnderTest,
) -> None:
    """It ends with its attempt."""
    await gateway.run(task_id := await gateway.submit())

    with counted() as grown:
        await gateway.http.post(f"/api/v1/tasks/{task_id}:cancel")

    assert grown == {}


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_a_task_that_has_not_ended_is_not_counted(state: State) -> None:
    """To ask for it is a fault of ours."""
    with counted() as grown, pytest.raises(ValueError, match=state):
        count_end(state, Reason.COMPLETED, dead_letter=False, after_s=1.0)

    assert grown == {}
