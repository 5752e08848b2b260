"""The commands, against the real gateway on a store in memory."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from typer.testing import CliRunner, Result

from activation.clock import SystemClock
from activation.domain.task import Claim
from activation_cli.exits import MEANINGS, Exit
from activation_cli.main import app
from tests.support.cli_gateway import CliGateway
from tests.support.tasks import failure, retry, success, used_up

UNKNOWN = "0197c1a0-0000-7000-8000-000000000001"
SECRET = "hunter2-canary"

Command = Callable[..., Result]


@pytest.fixture
def gateway() -> CliGateway:
    gateway = CliGateway(SystemClock())
    gateway.acts = {
        "FAILS1": failure,
        "DEAD01": used_up,
        "HANGS1": lambda _: None,
    }
    return gateway


@pytest.fixture
def command(gateway: CliGateway, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Give a command; it must end by itself, never by an unforeseen error."""
    monkeypatch.delenv("ACTIVATION_URL", raising=False)
    monkeypatch.delenv("ACTIVATION_CLI_TIMEOUT_S", raising=False)

    def give(*args: str, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(args), obj=gateway, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return give


def document(result: Result) -> Any:
    """Read the one JSON document that a command printed."""
    [line] = lines(result)
    return line


def lines(result: Result) -> list[Any]:
    """Read the JSON lines that a command printed; there must be nothing else on stdout."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def submitted(command: Command, equipment: str) -> str:
    """Ask for an activation; gives the task's id."""
    task_id: str = document(command("submit", equipment, "--json"))["taskId"]
    return task_id


# submit and watch


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


# secrets


def test_secret_is_never_printed(command: Command, tmp_path: Path) -> None:
    """Not by any command that knows it, whether all is well or not."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    (tmp_path / "batch.csv").write_text(f"id,password\nABC124,{SECRET}\nx,{SECRET}\n")

    results = [
        command("submit", "ABC123", "--param", f"password={SECRET}", "--wait"),
        command("submit", "ABC123", "--param", f"password=@{tmp_path / 'secret'}", "--json"),
        command("submit", "ABC123", "--param", "password=-", "--wait", "--json", stdin=SECRET),
        command("submit", "ABC123", "--param", f'nested={{"password": "{SECRET}"}}', "--wait"),
        command("submit", "ABC123", "--param", SECRET),
        command("submit", "ABC123", "--param", f"={SECRET}"),
        command("submit", "x", "--param", f"password={SECRET}"),
        command("submit", "ABC123", "--timeout", "0", "--param", f"password={SECRET}"),
        command("batch", str(tmp_path / "batch.csv"), "--no-wait"),
        command("list", "--json"),
    ]
    task_ids = [task["taskId"] for task in document(results[-1])["tasks"]]
    results += [command("show", task_id) for task_id in task_ids]

    assert len(task_ids) == 5
    assert "***" in results[-1].stdout
    for result in results:
        assert SECRET not in result.output
    assert SECRET not in (tmp_path / "batch.results.csv").read_text(encoding="utf-8")


# looking


def test_list_obeys_its_filters(command: Command) -> None:
    """Each filter alone picks its tasks."""
    good, dead, hanging = (submitted(command, name) for name in ("ABC123", "DEAD01", "HANGS1"))

    def listed(*filters: str) -> set[str]:
        page = document(command("list", "--json", *filters))
        return {task["taskId"] for task in page["tasks"]}

    assert listed() == {good, dead, hanging}
    assert listed("--state", "succeeded", "--state", "running") == {good, hanging}
    assert listed("--equipment", "ABC123") == {good}
    assert listed("--dead-letters") == {dead}
    assert listed("--no-dead-letters") == {good, hanging}
    assert listed("--since", "1h") == {good, dead, hanging}
    assert listed("--before", "1h") == set()
    assert listed("--since", "2020-01-01T00:00:00Z", "--limit", "1") == {hanging}


def test_list_goes_on_where_it_ended(command: Command) -> None:
    """The cursor of one list is the beginning of the next; --all needs none."""
    all_ids = [submitted(command, "ABC123") for _ in range(3)]

    first = document(command("list", "--limit", "2", "--json"))
    rest = document(command("list", "--cursor", first["cursor"], "--json"))
    everything = document(command("list", "--all", "--json"))

    expected = list(reversed(all_ids))
    assert [task["taskId"] for task in first["tasks"] + rest["tasks"]] == expected
    assert [task["taskId"] for task in everything["tasks"]] == expected
    assert everything["cursor"] is None


def test_list_shows_whole_ids_in_a_pipe(command: Command) -> None:
    """What goes to another program is not cut to the width of a screen."""
    task_id = submitted(command, "A" * 100)

    result = command("list")

    assert task_id in result.stdout
    assert "A" * 100 in result.stdout


def test_story_has_events_and_attempts(command: Command) -> None:
    """A person sees why it failed without looking anywhere else."""
    result = command("show", submitted(command, "DEAD01"))

    assert result.exit_code == Exit.DONE
    for expected in (
        "failed, dead letter",
        "unavailable: The handler answered 503",
        "events",
        "attempts",
        "worker-a",
    ):
        assert expected in result.stdout


def test_status_counts_everything(command: Command) -> None:
    """For people and for scripts."""
    submitted(command, "DEAD01")
    submitted(command, "HANGS1")

    shown = command("status")
    counted = document(command("--json", "status"))

    assert "see `activation dead-letters list`" in shown.stdout
    assert counted["counts"] | {"failed": 1, "running": 1} == counted["counts"]
    assert (counted["deadLetters"], counted["queue"]["consumers"]) == (1, 2)
    assert counted["url"] == "http://localhost:8000"


def test_status_without_rabbitmq_says_so(command: Command, gateway: CliGateway) -> None:
    """The numbers of the queue are unknown then."""
    queue = {"connected": False, "ready": None, "consumers": None, "dead": None}
    found = {
        "counts": {"queued": 2},
        "deadLetters": 0,
        "outbox": {"unpublished": 2, "ageSeconds": 30.0},
        "oldestQueuedSeconds": 30.0,
        "queue": queue,
    }
    gateway.before = lambda _: httpx.Response(200, json=found)

    shown = command("status").stdout

    assert "RabbitMQ is out of reach" in shown
    assert "the oldest for 30 s" in shown
    assert "None" not in shown


def test_control_characters_of_others_do_not_reach_the_terminal(
    command: Command, gateway: CliGateway
) -> None:
    """A handler's text cannot rewrite what a person sees."""
    gateway.before = lambda _: httpx.Response(404, json={"message": "bad\x1b[2J\nthing [red]"})

    result = command("show", UNKNOWN)

    assert result.stderr == "error: bad [2J thing [red]\n"


# cancel


def test_cancel_of_a_waiting_task_is_done_at_once(command: Command) -> None:
    """And watching it afterwards tells that it did not succeed."""
    submitted(command, "HANGS1")
    waiting = submitted(command, "HANGS1")

    cancelled = command("cancel", waiting, "--json")
    watched = command("watch", waiting)

    assert (cancelled.exit_code, document(cancelled)["state"]) == (Exit.DONE, "cancelled")
    assert watched.exit_code == Exit.FAILED


def test_cancel_of_a_running_task_is_a_wish(command: Command) -> None:
    """It is accepted, and the line says what that means."""
    result = command("cancel", submitted(command, "HANGS1"))

    assert result.exit_code == Exit.DONE
    assert "running, to be cancelled if this attempt does not succeed" in result.stdout


def test_cancel_of_an_ended_task_is_a_conflict(command: Command) -> None:
    """Exit code 6, with the gateway's reason."""
    result = command("cancel", submitted(command, "ABC123"))

    assert (result.exit_code, result.stdout) == (Exit.CONFLICT, "")
    assert "succeeded" in result.stderr


# dead letters


def test_dead_letters_are_listed_and_shown(command: Command) -> None:
    """Other failures are not among them."""
    submitted(command, "FAILS1")
    dead = submitted(command, "DEAD01")

    listed = document(command("dead-letters", "list", "--json"))
    shown = document(command("dead-letters", "show", dead, "--json"))

    assert [task["taskId"] for task in listed["tasks"]] == [dead]
    assert shown["deadLetter"] is True


def test_task_that_is_no_dead_letter_is_not_found_among_them(command: Command) -> None:
    """The error says what it is instead."""
    result = command("dead-letters", "show", submitted(command, "FAILS1"))

    assert result.exit_code == Exit.NOT_FOUND
    assert "is no dead letter: it is failed" in result.stderr


def test_replay_of_one_gives_it_another_chance(command: Command, gateway: CliGateway) -> None:
    """Once the handler is well again, the task succeeds."""
    dead = submitted(command, "DEAD01")
    gateway.acts["DEAD01"] = success

    replayed = command("dead-letters", "replay", dead, "--json")
    watched = command("watch", dead)

    assert replayed.exit_code == Exit.DONE
    assert [task["taskId"] for task in document(replayed)["tasks"]] == [dead]
    assert watched.exit_code == Exit.DONE


def test_dry_run_shows_and_changes_nothing(command: Command, gateway: CliGateway) -> None:
    """It needs no confirmation, and posts nothing."""
    dead = submitted(command, "DEAD01")
    gateway.requests.clear()

    result = command("dead-letters", "replay", "--all", "--dry-run", "--json")

    assert result.exit_code == Exit.DONE
    assert document(result)["dryRun"] is True
    assert [task["taskId"] for task in document(result)["tasks"]] == [dead]
    assert {method for method, _ in gateway.requests} == {"GET"}


def test_replay_of_all_asks_first(command: Command) -> None:
    """Where nobody can be asked it takes --yes, and without it nothing happens."""
    dead = {submitted(command, "DEAD01") for _ in range(2)}

    refused = command("dead-letters", "replay", "--all")
    left = document(command("dead-letters", "list", "--json"))["tasks"]
    done = command("dead-letters", "replay", "--all", "--yes", "--json")

    assert refused.exit_code == Exit.USAGE
    assert "use --yes" in refused.stderr
    assert {task["taskId"] for task in left} == dead
    assert {task["taskId"] for task in document(done)["tasks"]} == dead


def test_replay_of_all_obeys_its_filters(command: Command) -> None:
    """An operator can replay the dead letters of one device alone."""
    submitted(command, "DEAD01")

    result = command("dead-letters", "replay", "--all", "--equipment", "OTHER1", "--json")

    assert document(result) == {"dryRun": False, "tasks": [], "refused": []}


def test_task_that_cannot_be_replayed_does_not_hold_up_the_others(command: Command) -> None:
    """The exit code tells of the conflict, the output of each task."""
    good, dead = submitted(command, "ABC123"), submitted(command, "DEAD01")

    result = command("dead-letters", "replay", good, UNKNOWN, dead, "--json")

    assert result.exit_code == Exit.CONFLICT
    assert [task["taskId"] for task in document(result)["tasks"]] == [dead]
    assert {fault["taskId"] for fault in document(result)["refused"]} == {good, UNKNOWN}


@pytest.mark.parametrize("args", [[], ["--all", UNKNOWN], [UNKNOWN, "--equipment", "ABC123"]])
def test_replay_needs_either_tasks_or_all(command: Command, args: list[str]) -> None:
    """Anything else could replay what nobody meant."""
    assert command("dead-letters", "replay", *args).exit_code == Exit.USAGE


# batch


def test_batch_writes_results_and_reports_bad_rows_by_line(
    command: Command, tmp_path: Path
) -> None:
    """Good rows are accepted whatever the bad ones are like."""
    file = tmp_path / "devices.csv"
    file.write_text("id,timeout,vlan\nABC123,60,1\nABC124,soon,2\nx,60,3\nABC126,901,4\nABC127,,\n")

    result = command("batch", str(file), "--no-wait")

    assert result.exit_code == Exit.USAGE
    assert "line 3: the timeout is no whole number of seconds" in result.stderr
    assert "line 4: 'x' is no serial number" in result.stderr
    assert "line 5: /timeoutInSeconds: " in result.stderr
    assert "2 accepted, 3 rejected; see" in result.stdout
    written = (tmp_path / "devices.results.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in written] == ["line", "2", "3", "4", "5", "6"]


def test_repeated_batch_makes_no_second_task(
    command: Command, gateway: CliGateway, tmp_path: Path
) -> None:
    """Neither with the result file nor without it."""
    file = tmp_path / "devices.csv"
    file.write_text("id\nABC123\nABC124\n")

    for _ in range(2):
        command("batch", str(file), "--no-wait")
    (tmp_path / "devices.results.csv").unlink()
    command("batch", str(file), "--no-wait")

    tasks = document(command("list", "--json"))["tasks"]
    posts = [path for method, path in gateway.requests if method == "POST"]
    assert len(tasks) == 2
    assert len(posts) == 4


def test_edited_file_is_refused_before_it_makes_second_tasks(
    command: Command, tmp_path: Path
) -> None:
    """Its rows would get new keys; the error says what to do."""
    file = tmp_path / "devices.csv"
    file.write_text("id\nABC123\n")
    command("batch", str(file), "--no-wait")
    file.write_text("id\nABC123\nABC124\n")

    result = command("batch", str(file), "--no-wait")

    assert result.exit_code == Exit.USAGE
    assert "tells of 1 rows" in result.stderr
    assert len(document(command("list", "--json"))["tasks"]) == 1


def test_file_with_keys_may_be_edited(command: Command, tmp_path: Path) -> None:
    """Rows are recognised by their key: the new one is sent, the old one is not."""
    file = tmp_path / "devices.csv"
    file.write_text("order,id\no-1,ABC123\n")
    command("batch", str(file), "--key-column", "order", "--no-wait")
    file.write_text("order,id\no-2,ABC124\no-1,ABC123\n")

    result = command("batch", str(file), "--key-column", "order", "--no-wait")

    assert result.exit_code == Exit.DONE
    assert len(document(command("list", "--json"))["tasks"]) == 2


def test_batch_as_json_is_a_line_for_each_outcome_and_a_summary(
    command: Command, tmp_path: Path
) -> None:
    """Nothing else is on stdout."""
    file = tmp_path / "devices.csv"
    file.write_text("id\nABC123\nx\n")

    *outcomes, summary = lines(command("batch", str(file), "--no-wait", "--json"))

    assert {(line["line"], line["state"]) for line in outcomes} == {
        (2, "accepted"),
        (3, "rejected"),
    }
    assert all(UUID(line["taskId"]) for line in outcomes if line["state"] == "accepted")
    assert summary["summary"] == {"accepted": 1, "rejected": 1}


def test_interrupted_batch_says_how_to_go_on(
    command: Command, gateway: CliGateway, tmp_path: Path
) -> None:
    """Ctrl-C keeps what is done; the same command does the rest."""
    file = tmp_path / "devices.csv"
    file.write_text("id\n" + "".join(f"ABC12{n}\n" for n in range(9)))

    def interrupt(request: httpx.Request) -> None:
        if request.url.path.endswith("ABC125"):
            os.kill(os.getpid(), signal.SIGINT)

    gateway.before = interrupt
    interrupted = command("batch", str(file), "--no-wait", "--concurrency", "1")
    gateway.before = lambda _: None
    resumed = command("batch", str(file), "--no-wait")

    assert interrupted.exit_code == Exit.INTERRUPTED
    assert "accepted" in interrupted.stdout
    assert "unsent" in interrupted.stdout
    assert interrupted.stderr.splitlines()[-1].startswith("give the same command again")
    assert resumed.exit_code == Exit.DONE
    assert len(document(command("list", "--json"))["tasks"]) == 9


# troubles


def test_gateway_in_trouble_is_exit_4_with_advice(command: Command, gateway: CliGateway) -> None:
    """The line names the URL, and submit says how to repeat itself safely."""
    gateway.before = lambda _: httpx.Response(503, json={"title": "t", "detail": "no store"})

    status = command("status")
    submit = command("submit", "ABC123", "--key", "order-1")

    assert (status.exit_code, status.stdout) == (Exit.UNREACHABLE, "")
    assert status.stderr == "error: the gateway at http://localhost:8000 answers 503: no store\n"
    assert submit.stderr.splitlines()[-1] == "it is safe to ask again with --key order-1"


def test_url_comes_from_the_environment_and_an_option_overrules_it(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings by flags and variables."""
    monkeypatch.setenv("ACTIVATION_URL", "http://from-environment:1")

    by_variable = document(command("status", "--json"))
    by_option = document(command("--url", "http://from-option:2", "status", "--json"))

    assert by_variable["url"] == "http://from-environment:1"
    assert by_option["url"] == "http://from-option:2"


# the program itself


def test_help_lists_every_command_and_every_exit_code(command: Command) -> None:
    """A person finds all there is in one place."""
    result = command("--help")

    names = "submit watch status list show cancel batch dead-letters run version"
    for name in names.split():
        assert f"\n  {name} " in result.stdout
    for code, meaning in MEANINGS.items():
        assert f"{int(code)}" in result.stdout
        assert meaning in result.stdout


def test_version_needs_no_gateway(command: Command, gateway: CliGateway) -> None:
    """It is asked for when something is broken."""
    plain = command("version").stdout.strip()
    as_json = document(command("version", "--json"))

    assert as_json == {"version": plain}
    assert gateway.requests == []


# explain


def test_explain_tells_the_story_and_what_to_do(command: Command) -> None:
    """A dead letter's story ends with advice and the trace."""
    task_id = submitted(command, "DEAD01")
    command("watch", task_id, "--json")

    told = document(command("explain", task_id, "--trace-url", "http://t/{trace_id}", "--json"))
    shown = command("explain", task_id)

    assert told["taskId"] == task_id
    assert told["sentences"][-1].startswith("Its attempts are used up: it is a dead letter")
    assert told["trace"].startswith("http://t/")
    assert told["advice"] in shown.stdout.replace("\n", " ")
