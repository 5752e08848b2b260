"""`activation submit` and `activation watch`, against the real gateway on a store in memory."""

import os
import signal
from typing import Any

import httpx
import pytest

from activation.domain.task import Claim
from activation_cli.exits import Exit
from tests.support.cli import UNKNOWN, Command, document, lines, submitted
from tests.support.cli_gateway import CliGateway
from tests.support.tasks import retry, success

SECRET = "hunter2-canary"


def test_submit_gives_the_id_of_a_durable_task(command: Command) -> None:
    """The id that is printed can be shown."""
    result = command("submit", "ABC123", "--param", "vlan=100", "--timeout", "30")

    assert result.exit_code == Exit.DONE
    word, task_id, equipment = result.stdout.split()
    assert (word, equipment) == ("accepted", "ABC123")
    shown = document(command("show", task_id, "--json"))
    assert shown["parameters"] == {"vlan": 100}
    assert shown["timeoutInSeconds"] == 30


def test_same_key_gives_the_same_task_and_another_request_is_bad_input(command: Command) -> None:
    """A script can repeat itself without harm."""
    first = document(command("submit", "ABC123", "--key", "order-1", "--json"))
    second = document(command("submit", "ABC123", "--key", "order-1", "--json"))
    other = command("submit", "ABC123", "--key", "order-1", "--param", "vlan=1")

    assert first == second
    assert first["idempotencyKey"] == "order-1"
    assert other.exit_code == Exit.USAGE
    assert other.stderr.startswith("error: Idempotency-Key: ")


@pytest.mark.parametrize(
    ("equipment", "expected", "state"),
    [
        ("ABC123", Exit.DONE, "succeeded"),
        ("FAILS1", Exit.FAILED, "failed"),
        ("DEAD01", Exit.FAILED, "failed"),
    ],
)
def test_waiting_ends_with_what_became_of_the_task(
    command: Command, equipment: str, expected: Exit, state: str
) -> None:
    """The exit code tells success from failure; the last line names the state."""
    result = command("submit", equipment, "--wait")

    assert result.exit_code == expected
    assert f"  {equipment}  {state}" in result.stdout.splitlines()[-1]


def test_waiting_prints_each_event_once_and_then_the_task_as_json_lines(
    command: Command, gateway: CliGateway
) -> None:
    """What a script reads is the answer, the history, and at last the whole task."""
    attempts: list[Claim] = []

    def third_time_lucky(claim: Claim) -> Any:
        attempts.append(claim)
        return retry(claim, 0.0) if len(attempts) < 3 else success(claim)

    gateway.acts["FLAKY1"] = third_time_lucky

    result = command("submit", "FLAKY1", "--wait", "--json")

    answer, *events, task = lines(result)
    expected = ["accepted", *["started", "retry_scheduled"] * 2, "started", "succeeded"]
    assert [line["event"]["name"] for line in events] == expected
    assert {line["taskId"] for line in [answer, *events]} == {task["taskId"]}
    assert (task["state"], len(task["attempts"])) == ("succeeded", 3)


def test_wait_that_is_over_before_the_task_says_so(command: Command) -> None:
    """Exit code 5: the task goes on, and can be watched again."""
    task_id = submitted(command, "HANGS1")

    result = command("watch", task_id, "--for", "0.1s", "--json")

    assert result.exit_code == Exit.STILL_RUNNING
    assert lines(result)[-1]["state"] == "running"


def test_interrupted_watch_says_how_to_go_on(command: Command, gateway: CliGateway) -> None:
    """Ctrl-C ends the watching, not the task."""
    task_id = submitted(command, "HANGS1")

    def interrupt(request: httpx.Request) -> None:
        if "wait=" in request.headers.get("Prefer", ""):
            os.kill(os.getpid(), signal.SIGINT)

    gateway.before = interrupt
    result = command("watch", task_id)

    assert result.exit_code == Exit.INTERRUPTED
    assert result.stderr.splitlines() == [
        "interrupted",
        f"the task goes on; follow it with `activation watch {task_id}`",
    ]


def test_watch_of_an_unknown_task_is_not_found(command: Command) -> None:
    """Exit code 3, and nothing on stdout."""
    result = command("watch", UNKNOWN)

    assert (result.exit_code, result.stdout) == (Exit.NOT_FOUND, "")
    assert result.stderr == "error: The requested task is not found\n"


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (["submit", "x"], "error: 'x' is no serial number"),
        (["submit", "ABC123", "--timeout", "0"], "error: /timeoutInSeconds: "),
        (["submit", "ABC123", "--param", "vlan"], "error: --param number 1: needs the form"),
        (["watch", "no-uuid"], "Invalid value for 'TASK'"),
        (["list", "--since", "yesterday"], "Invalid value for '--since': 'yesterday' is neither"),
        (["watch", UNKNOWN, "--for", "soon"], "Invalid value for '--for': 'soon' is no duration"),
        (["list", "--state", "lost"], "Invalid value for '--state'"),
        (["list", "--cursor", "?"], "error: cursor: "),
        (["--url", "nowhere", "status"], "error: --url or ACTIVATION_URL must look like"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
)
def test_wrong_usage_says_what_and_where(command: Command, args: list[str], problem: str) -> None:
    """Exit code 2 and a line on stderr, with nothing on stdout."""
    result = command(*args)

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert problem in result.stderr
