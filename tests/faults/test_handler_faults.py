"""The handler hangs, breaks off, talks nonsense, is busy, and is killed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from activation_cli.verify.accountant import Row
from tests.support.service import eventually
from tests.support.system import System

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

PERMANENT: Final[dict[int, str]] = {
    400: "refused",
    401: "refused",
    403: "refused",
    404: "unknown_equipment",
    409: "refused",
    422: "refused",
    500: "provisioning_error",
}

# What the handler does once, and the reason that the first attempt ends with. A reset may overtake
# the half answer before it.
TRANSIENT: Final[dict[str, tuple[Row, str]]] = {
    "TOOMANY429": ({"do": "answer", "status": 429, "retry_after": 2}, "overloaded"),
    "BADGATEWAY502": ({"do": "answer", "status": 502}, "unavailable"),
    "BUSY503": ({"do": "answer", "status": 503}, "unavailable"),
    "GATEWAYTIME504": ({"do": "answer", "status": 504}, "unavailable"),
    "RESETATSTART": ({"do": "reset", "at": "start"}, "unreachable"),
    "RESETINMIDDLE": ({"do": "reset", "at": "middle"}, "unreadable unreachable"),
    "HALFANANSWER": ({"do": "half"}, "unreadable"),
    "GARBAGEHTTP": ({"do": "garbage", "instead_of": "http"}, "unreadable"),
    "GARBAGEJSON": ({"do": "garbage", "instead_of": "json"}, "unreadable"),
    "HUGEANSWER": ({"do": "huge"}, "unreadable"),
    "WEBPAGE": ({"do": "wrong_type"}, "unreadable"),
    "HANGSIDLE": ({"do": "hang"}, "no_answer"),
    "HANGSACTED": ({"do": "hang", "acts": True}, "no_answer"),
}


async def test_each_fault_ends_as_the_table_says_and_store_and_ledger_agree(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """Permanent answers fail at once; all else is tried again with the same key, and succeeds.

    Out of attempts a task is kept as a dead letter, and the next one of its device runs.
    """
    async with System(tmp_path, amqp_url, postgres_url, handler_s=0, grace_s=0.5) as system:
        for status in PERMANENT:
            await system.script([{"do": "answer", "status": status}], f"REFUSED{status}")
        for device, (step, _) in TRANSIENT.items():
            await system.script([step], device)
        await system.script([{"do": "answer", "status": 503, "times": 5}], "HOPELESS")

        await system.submit_many(f"REFUSED{status}" for status in PERMANENT)
        await system.submit_many(TRANSIENT, timeout_s=2)
        dead, after_it = await system.submit_many(["HOPELESS"], each=2)
        await system.wait_all_ended()

        account = await system.account()
        tasks = {
            task["equipment"]: await system.task(task["taskId"]) for task in await system.tasks()
        }
        for status, reason in PERMANENT.items():
            assert ending(tasks[f"REFUSED{status}"]) == ("failed", 1, reason)
        for device, (_, reasons) in TRANSIENT.items():
            assert (device, *ending(tasks[device])) == (device, "succeeded", 2, "completed")
            assert tasks[device]["attempts"][0]["reason"] in reasons.split(), device
        assert pause_s(account.known_calls, "TOOMANY429") >= 2.0
        assert ending(account.task(dead)) == ("failed", 5, "unavailable")
        assert account.task(dead)["deadLetter"]
        assert ending(account.task(after_it)) == ("succeeded", 1, "completed")


async def test_calls_cut_off_by_a_kill_of_the_handler_are_made_again(
    tmp_path: Path, amqp_url: str, postgres_url: str
) -> None:
    """SIGKILL during calls: connections break, and later are refused, until it is back."""
    async with System(tmp_path, amqp_url, postgres_url, max_attempts=50, retry_cap_s=1) as system:
        devices = [f"DEVICE{n:02}" for n in range(10)]
        await system.script([{"do": "answer", "latency_s": 10, "times": 10}])
        await system.submit_many(devices, each=2)

        async def all_called() -> bool:
            return len(await system.calls_in_progress()) == len(devices)

        await eventually(all_called, what="a call for each device")
        await system.kill_handler()

        async def refused() -> bool:
            counted = await system.metrics(system.workers[0])
            return counted.get("activation_retries_total{reason=unreachable}", 0) > len(devices)

        await eventually(refused, what="connections refused")
        await system.handler.start()
        await system.wait_all_ended()

        account = await system.account()
        assert {task["state"] for task in account.tasks} == {"succeeded"}
        assert sum(call["outcome"] == "killed" for call in account.known_calls) == len(devices)


def ending(task: Row) -> tuple[Any, ...]:
    return task["state"], task["attempt"], task["reason"]


def pause_s(calls: Sequence[Row], device: str) -> float:
    """Return the time between the end of a device's first call and the start of its second."""
    first, second = (call for call in calls if call["equipment"] == device)
    return float(second["started_at"] - first["ended_at"])
