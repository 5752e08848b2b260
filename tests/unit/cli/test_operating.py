"""`cancel` and `dead-letters`, against the real gateway on a store in memory."""

import pytest

from activation_cli.exits import Exit
from tests.support.cli import UNKNOWN, Command, document, submitted
from tests.support.cli_gateway import CliGateway
from tests.support.tasks import success

SECRET = "hunter2-canary"


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
