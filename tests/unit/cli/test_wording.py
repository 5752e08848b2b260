"""Times, states and reasons in words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from activation_cli.documents import Task
from activation_cli.wording import between, plain, span, standing, why

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def task(state: str, **members: Any) -> Task:
    """Make a task as far as its standing is told by it."""
    return {"state": state, **members}  # type: ignore[typeddict-item]  # members vary by test


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7_200, "2 h"),
        (172_800, "2 d"),
    ],
)
def test_span_is_short_and_precise_enough(seconds: float, expected: str) -> None:
    """Tenths below ten seconds, then whole units."""
    assert span(seconds) == expected


def test_time_between_ends_now_for_what_goes_on() -> None:
    """What has not begun takes no time."""
    assert between("2026-01-01T11:59:00Z", None, NOW) == "60 s"
    assert between("2026-01-01T11:59:00Z", "2026-01-01T11:59:05Z", NOW) == "5.0 s"
    assert between(None, None, NOW) == ""


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (task("queued", waitingFor="device"), "queued, waits for an older task of its device"),
        (task("queued", waitingFor="share"), "queued, waits for older tasks of its caller"),
        (task("queued", waitingFor="broker"), "queued, waits for RabbitMQ"),
        (task("queued", waitingFor="worker"), "queued, waits for a worker"),
        (
            task("queued", waitingFor="retry", notBefore="2026-01-01T12:00:30Z"),
            "queued, tried again in 30 s",
        ),
        (task("queued", waitingFor="full moon"), "queued"),
        (task("running"), "running"),
        (
            task("running", cancelRequested=True),
            "running, to be cancelled if this attempt does not succeed",
        ),
        (task("failed", deadLetter=True), "failed, dead letter"),
        (task("succeeded", deadLetter=False, cancelRequested=True), "succeeded"),
        (task("paused\x1b[2J"), "paused [2J"),
    ],
)
def test_standing_says_what_a_task_waits_for(found: Task, expected: str) -> None:
    """A state of a newer gateway is shown as it is, without its control characters."""
    assert standing(found, NOW) == expected


def test_reason_and_words_are_joined_and_a_success_needs_none() -> None:
    """Either may be missing."""
    assert why("no_answer", "nothing within 65 s") == "no answer: nothing within 65 s"
    assert why("drained", None) == "drained"
    assert why("completed", "Completed") == ""
    assert why(None, None) == ""


def test_plain_text_has_no_control_characters() -> None:
    """Neither escape sequences of seven bits nor of eight."""
    assert plain("a\x1b[31mb\x9b0mc\r\nd") == "a [31mb 0mc d"
