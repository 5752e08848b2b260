"""`activation target`, against the real gateway on a store in memory."""

import asyncio
import json
import re
from datetime import timedelta

import pytest

from activation.domain.target import Target
from activation.ports import Ready
from activation_cli.exits import Exit
from tests.support.cli import Command
from tests.support.cli_gateway import CliGateway
from tests.support.tasks import new_task


def hold(gateway: CliGateway, target: Target) -> None:
    """Let the workers have found this out."""
    asyncio.run(gateway.store.change_target(lambda _: target))


def test_a_target_that_is_called_needs_no_more_words(command: Command) -> None:
    """One line, and nothing to do."""
    result = command("target", "show")

    assert result.exit_code == Exit.DONE
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "target  closed: it is called"
    ]


def test_a_target_that_is_held_back_says_why_how_long_and_what_can_be_done(
    command: Command, gateway: CliGateway
) -> None:
    """What the handler said cannot rewrite the terminal."""
    until = gateway.store.now() + timedelta(seconds=100)
    hold(gateway, Target(held_until=until, trips=3, why="unavailable: \x1b[2Jgone"))

    said = command("target", "show").stdout

    assert "open: it is not called for now" in said
    assert re.search(r"until .*, in (100|9\d) s", said)
    assert "unavailable:  [2Jgone" in said
    assert "openings  3" in said
    assert "activation target resume" in said
    assert "\x1b" not in said


def test_pause_and_resume_show_what_holds_now(command: Command) -> None:
    """For people and as JSON."""
    paused = command("target", "pause")
    shown = json.loads(command("target", "show", "--json").stdout)
    resumed = json.loads(command("target", "resume", "--json").stdout)

    assert paused.exit_code == Exit.DONE
    assert "paused: no new call begins until somebody resumes" in paused.stdout
    assert shown["state"] == "paused"
    assert shown["pausedAt"] is not None
    assert (resumed["state"], resumed["pausedAt"]) == ("closed", None)


def test_limit_says_how_many_calls_there_may_be_and_auto_takes_that_back(command: Command) -> None:
    """What is under way is shown beside it."""
    limited = command("target", "limit", "20")
    shown = json.loads(command("target", "show", "--json").stdout)
    lifted = command("target", "limit", "auto")

    assert limited.exit_code == Exit.DONE
    assert "calls   0 of 20, at most 20" in limited.stdout
    assert (shown["limit"], shown["maxCalls"]) == (20, 20)
    assert "calls" not in lifted.stdout.replace("called", "")


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none_is_refused_before_anybody_is_asked(
    command: Command, text: str
) -> None:
    """By the parser of the command line, in words."""
    result = command("target", "limit", "--", text)

    assert result.exit_code == 2
    assert "neither a number of calls" in " ".join(result.stderr.split())


def test_a_target_that_had_too_many_calls_says_when(command: Command, gateway: CliGateway) -> None:
    """And how many it is given now."""
    overloaded = Target().overload(40, gateway.store.now(), timedelta(hours=1))
    hold(gateway, overloaded)

    said = command("target", "show").stdout

    assert re.search(r"calls +0 of 20 *\n", said)
    assert "too many" in said


def test_explain_says_that_a_task_waits_because_calls_are_held_back(
    command: Command, gateway: CliGateway
) -> None:
    """A task in the queue waits for more than a worker."""
    task = new_task()

    async def prepare() -> None:
        await gateway.store.accept([task])
        await gateway.store.mark_published([Ready(task.id)])

    asyncio.run(prepare())
    before = command("explain", str(task.id)).stdout
    hold(gateway, Target(trips=1, why="no_answer: nothing came"))
    after = " ".join(command("explain", str(task.id)).stdout.split())

    assert "held back" not in before
    assert (
        "All calls of the provisioning system are held back: one call at a time tries it "
        "(no_answer: nothing came); see `activation target show`."
    ) in after
