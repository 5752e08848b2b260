"""What the worker does while the store is away, and that its writes share commits."""

from structlog.testing import capture_logs

from activation.domain.retry import RetryPolicy
from activation.domain.task import State
from tests.support.scripted_handler import Answer, success
from tests.support.tasks import DEVICE
from tests.support.world import LEASE_S, VIRTUAL_TIME, World

pytestmark = VIRTUAL_TIME


async def test_claim_is_repeated_until_the_store_is_back() -> None:
    """A store that restarts while a message is here delays the task, and burns no attempt."""
    async with World() as world:
        world.store.fail("claim", times=5)
        task = await world.run_to_end()
        await world.settled()

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert world.store.calls["claim"] == 6
    assert world.broker.settlements == ["ack"]


async def test_result_is_written_again_and_the_call_is_not_made_again() -> None:
    """The answer is kept in memory until the store takes it; only then the message is acked."""
    async with World() as world:
        world.handler.script(DEVICE, [success(after_s=1.0)])
        world.store.fail("finish", times=20)
        task_id = await world.submit()
        await world.handler.begun()
        await world.run_until(lambda: world.store.calls["finish"] > 10)
        settled_meanwhile = list(world.broker.settlements)
        task = await world.end_of(task_id)
        await world.settled()

    assert settled_meanwhile == []
    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert len(world.handler.calls) == 1


async def test_result_whose_confirmation_was_lost_is_written_once() -> None:
    """The store may have done what it could not confirm: repeating the write changes nothing."""
    async with World() as world:
        world.store.lose_answer("finish")
        with capture_logs() as logs:
            task = await world.run_to_end()
            await world.settled()

    ends = [line for line in logs if line["event"] in {"task_ended", "result_stale"}]
    assert [line["event"] for line in ends] == ["task_ended"]
    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert world.store.calls["finish"] == 2


async def test_message_for_the_next_attempt_is_kept_when_it_overtakes_the_answer() -> None:
    """The relay may publish a retry before the worker hears that its result is stored."""
    async with World(policy=RetryPolicy(base_s=0.0)) as world:
        world.handler.script(DEVICE, [Answer(503)])
        world.store.slow["finish"] = 2.0
        await world.run_to_end()
        await world.settled()

    first, second = world.handler.starts_s(DEVICE)
    assert 2.0 <= second - first <= 2.5
    assert world.broker.settlements == ["ack", "requeue", "ack"]


async def test_lease_is_kept_while_the_result_cannot_be_written() -> None:
    """A store that takes everything but results for minutes still sees one attempt only."""
    async with World() as world:
        world.store.fail("finish", times=100)
        task = await world.run_to_end()

    assert task.finished_at is not None
    assert (task.finished_at - task.accepted_at).total_seconds() > 2 * LEASE_S
    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert len(world.handler.calls) == 1


async def test_task_ends_although_the_answer_to_its_claim_was_lost() -> None:
    """Nobody holds the claim that was granted unheard: the reaper takes it back."""
    async with World() as world:
        world.store.lose_answer("claim")
        task = await world.run_to_end()

    assert task.state == State.SUCCEEDED
    assert len(world.handler.calls) == 1


async def test_claims_and_results_of_many_tasks_share_commits() -> None:
    """A hundred messages that arrive together are claimed, and ended, in a few commits."""
    async with World(workers=0, concurrency=100) as world:
        tasks = [await world.submit(f"DEVICE{number}") for number in range(100)]
        await world.run_until(lambda: len(world.broker.waiting) == len(tasks))
        world.start_worker()
        for task_id in tasks:
            await world.end_of(task_id)

    assert len(world.handler.calls) == 100
    assert world.store.calls["claim"] <= 2
    assert world.store.calls["finish"] <= 10


async def test_bug_in_one_task_does_not_stop_the_others() -> None:
    """An error that nobody foresaw is logged with its stack, and the worker goes on."""
    async with World() as world:
        world.store.errors["finish"] = ValueError("a bug")
        with capture_logs() as logs:
            first = await world.submit("BROKEN1")
            await world.run_until(lambda: bool(world.broker.dead))
            del world.store.errors["finish"]
            second = await world.run_to_end("HEALTHY1")
            recovered = await world.end_of(first)

    [failed] = [line for line in logs if line["event"] == "delivery_failed"]
    assert (failed["log_level"], failed["exc_info"]) == ("error", True)
    assert second.state == State.SUCCEEDED
    assert (recovered.state, recovered.attempt) == (State.SUCCEEDED, 2)
