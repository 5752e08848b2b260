"""Workers are killed, told to leave, and frozen, while they call the handler."""

from pathlib import Path

import pytest

from activation_cli.verify.accountant import Row
from tests.support.service import Service, eventually
from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

DEVICES = [f"DEVICE{n:02}" for n in range(8)]


def lost_by(victim: Service, task: Row) -> bool:
    """Tell whether the victim held the task when it was killed."""
    return any(
        attempt["worker"] == victim.name and attempt["reason"] == "worker_lost"
        for attempt in task["attempts"]
    )


def event_names(task: Row) -> list[str]:
    return [event["name"] for event in task["events"]]


async def test_tasks_of_a_killed_worker_are_done_by_another(
    tmp_path: Path, amqp_url: str, database_url: str
) -> None:
    """SIGKILL during calls: the lease runs out, the call is repeated with the same key."""
    async with System(
        tmp_path, amqp_url, database_url, workers=2, handler_s=1.5, lease_s=4, concurrency=4
    ) as system:
        victim, _ = system.workers
        await system.submit_many(DEVICES, each=2)

        async def victim_is_calling() -> bool:
            running = await system.tasks(state="running")
            held = {task["taskId"] for task in running if task["worker"] == victim.name}
            return any(call["key"] in held for call in await system.calls_in_progress())

        await eventually(victim_is_calling, what="a call of the victim's")
        victim.kill()
        await system.wait_all_ended()

        account = await system.account()
        tasks = [await system.task(task["taskId"]) for task in account.tasks]
        orphans = [task for task in tasks if lost_by(victim, task)]
        assert {task["state"] for task in tasks} == {"succeeded"}
        assert 1 <= len(orphans) <= 4
        for task in orphans:
            calls = account.calls_of(task["taskId"])
            assert [call["activated"] for call in calls].count(True) == 1
            assert calls[-1]["attempt"] == task["attempt"] >= 2


async def test_a_handler_that_had_finished_is_asked_and_not_called_again(
    tmp_path: Path, amqp_url: str, sqlite_url: str
) -> None:
    """SIGKILL during a call that goes on: one call, one question, and the story tells it."""
    async with System(
        tmp_path, amqp_url, sqlite_url, workers=2, handler_s=1.5, lease_s=4, ask_handler=True
    ) as system:
        [task_id] = await system.submit_many(["ASKED01"])
        await eventually(system.calls_in_progress, what="the call")
        worker = (await system.task(task_id))["worker"]
        [victim] = [one for one in system.workers if one.name == worker]
        victim.kill()
        await system.wait_all_ended()

        task = await system.task(task_id)
        assert task["state"] == "succeeded"
        assert [one["reason"] for one in task["attempts"]] == ["worker_lost", "completed"]
        assert task["attempts"][-1]["detail"].startswith("The handler was asked")
        assert [call["attempt"] for call in await system.calls()] == [1]
        told = [(one["key"], one["status"]) for one in await system.questions()]
        assert told == [(task_id, 200)]


async def test_a_worker_told_to_leave_finishes_its_calls_and_starts_no_others(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """SIGTERM with time to drain: what runs ends as its first attempt, the rest stays queued."""
    async with System(tmp_path, amqp_url, postgres_url, concurrency=4) as system:
        [worker] = system.workers
        await system.script([{"do": "answer", "latency_s": 4, "times": 4}])
        await system.submit_many(DEVICES)

        async def all_slots_busy() -> bool:
            return len(await system.calls_in_progress()) == 4

        await eventually(all_slots_busy, what="four calls")
        exit_code = await worker.terminate()
        ended = await system.tasks(state="succeeded")
        waiting = await system.tasks(state="queued")
        await worker.start()
        await system.wait_all_ended()

        account = await system.account()
        assert exit_code == 0
        assert (len(ended), len(waiting)) == (4, 4)
        assert [task["attempt"] for task in account.tasks] == [1] * 8
        assert len(account.known_calls) == 8


async def test_a_worker_without_time_hands_its_calls_back_and_burns_no_attempt(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """SIGTERM with a drain that is too short: the only attempt allowed is still there after it."""
    async with System(
        tmp_path, amqp_url, postgres_url, handler_s=5, drain_s=0.2, max_attempts=1
    ) as system:
        [worker] = system.workers
        await system.submit_many(DEVICES)

        async def all_called() -> bool:
            return len(await system.calls_in_progress()) == len(DEVICES)

        await eventually(all_called, what="a call for each device")
        exit_code = await worker.terminate()
        handed_back = await system.tasks(state="queued")
        await worker.start()
        await system.wait_all_ended()

        account = await system.account()
        assert exit_code == 0
        assert len(handed_back) == len(DEVICES)
        assert [(task["state"], task["attempt"]) for task in account.tasks] == [
            ("succeeded", 2)
        ] * len(DEVICES)
        task = await system.task(account.tasks[0]["taskId"])
        assert event_names(task) == ["accepted", "started", "handed_back", "started", "succeeded"]


@pytest.mark.parametrize("second_call_s", [0.0, 3.0], ids=["ended", "running"])
async def test_the_late_result_of_a_frozen_worker_changes_nothing(
    tmp_path: Path, amqp_url: str, postgres_url: str, second_call_s: float
) -> None:
    """SIGSTOP beyond the lease: the frozen worker's failure comes after, or during, attempt 2."""
    async with System(tmp_path, amqp_url, postgres_url, lease_s=3) as system:
        [frozen] = system.workers
        await system.script(
            [
                {"do": "answer", "status": 500, "latency_s": 2.0},
                {"do": "answer", "status": 200, "latency_s": second_call_s},
            ]
        )
        [task_id] = await system.submit_many(["FROZEN01"])
        await eventually(system.calls_in_progress, what="the first call")

        frozen.pause()
        await system.add_worker().start()

        async def second_attempt() -> bool:
            return len(await system.calls()) == 2

        await eventually(second_attempt, what="the second attempt")
        if second_call_s == 0.0:
            await system.wait_all_ended()
        frozen.resume()

        async def noticed() -> float:
            counted = await system.metrics(frozen)
            return (
                counted["activation_results_stale_total"] + counted["activation_leases_lost_total"]
            )

        await eventually(noticed, what="the frozen worker's insight")
        await system.wait_all_ended()

        await system.account()
        task = await system.task(task_id)
        assert (task["state"], task["attempt"]) == ("succeeded", 2)
        assert event_names(task) == ["accepted", "started", "lease_expired", "started", "succeeded"]
