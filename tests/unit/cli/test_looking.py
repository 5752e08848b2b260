"""`list`, `show`, `explain` and `status`, against the real gateway on a store in memory."""

import httpx

from activation_cli.exits import Exit
from tests.support.cli import UNKNOWN, Command, document, submitted
from tests.support.cli_gateway import CliGateway

SECRET = "hunter2-canary"


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
