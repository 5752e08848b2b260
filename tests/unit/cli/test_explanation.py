"""A task's story in sentences."""

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from activation.domain.outcome import REASONS, Meaning, Reason
from activation_cli.documents import Attempt, Event, Task
from activation_cli.explanation import Explanation, explain

NOW = datetime(2026, 11, 23, 12, 5, tzinfo=UTC)
ID = "0197c1a0-0000-7000-8000-000000000001"
OLDER = "0197c1a0-0000-7000-8000-000000000000"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("activation_cli.explanation.clock_time", lambda text: text[11:19])


def at(seconds: float) -> str:
    return f"2026-11-23T12:00:{seconds:06.3f}+00:00"


def attempt(number: int, start: float, end: float | None, **said: Any) -> Attempt:
    whole: Any = {
        "number": number,
        "worker": f"worker-{number}",
        "startedAt": at(start),
        "endedAt": None if end is None else at(end),
        **said,
    }
    return cast("Attempt", whole)


def task(*attempts: Attempt, **members: Any) -> Task:
    events = [Event(at=one["startedAt"], name="started", attempt=one["number"]) for one in attempts]
    whole: Any = {
        "taskId": ID,
        "equipment": "ABC12345",
        "state": "running",
        "timeoutInSeconds": 60,
        "acceptedAt": at(0),
        "traceId": TRACE,
        "events": events,
        "attempts": list(attempts),
        **members,
    }
    return whole  # type: ignore[no-any-return]  # as JSON gives it


def told(task: Task, *before: Task, trace_url: str = "") -> Explanation:
    return explain(task, before, NOW, trace_url)


def test_a_task_that_succeeded_at_its_second_attempt_tells_both() -> None:
    """When, where, how long, and why the first one failed."""
    first = attempt(1, 1, 3, result="retry_scheduled", reason="unavailable", detail="503 Busy")
    second = attempt(2, 5, 9, result="succeeded", reason="completed")
    whole = task(first, second, state="succeeded", finishedAt=at(9))
    whole["events"].insert(1, Event(at=at(3), name="retry_scheduled", attempt=1, notBefore=at(4.5)))

    story = told(whole)

    assert story.sentences[1:] == [
        "It waited 1.0 s for a worker.",
        "Attempt 1 began at 12:00:01 on worker-1 and failed after 2.0 s: unavailable: 503 Busy.",
        "It was to be tried again at 12:00:04.",
        "Attempt 2 began at 12:00:05 on worker-2 and succeeded after 4.0 s.",
        "The device is activated, 9.0 s after the request.",
    ]
    assert story.advice is None


def test_an_attempt_without_an_answer_is_unknown_and_not_failed() -> None:
    """And one that only asked says what it was told."""
    silent = attempt(1, 1, 3, result="retry_scheduled", reason="no_answer", detail="No answer")
    lost = attempt(2, 4, 5, result="lease_expired", reason="worker_lost", detail="Lost")
    asked = attempt(
        3,
        6,
        7,
        result="succeeded",
        reason="completed",
        detail="The handler was asked, and had finished: Port 7 is up",
    )

    story = told(task(silent, lost, asked, state="succeeded", finishedAt=at(7)))

    assert story.sentences[2:5] == [
        (
            "Attempt 1 began at 12:00:01 on worker-1 and ended after 2.0 s with its outcome "
            "unknown: no answer: No answer."
        ),
        (
            "Attempt 2 began at 12:00:04 on worker-2, and its outcome is unknown: "
            "after 1.0 s without a sign of that worker it was taken for dead."
        ),
        (
            "Attempt 3 began at 12:00:06 on worker-3 and succeeded after 1.0 s. "
            "The handler was asked, and had finished: Port 7 is up."
        ),
    ]


def test_the_wait_for_an_older_task_of_the_device_names_that_task() -> None:
    """It is told apart from the wait for a worker."""
    older = task(state="succeeded", finishedAt=at(6), taskId=OLDER)
    whole = task(attempt(1, 7, None))

    story = told(whole, older)

    assert story.sentences[1] == (
        f"It waited 6.0 s for task {OLDER} of the same device to end, then 1.0 s for a worker."
    )


def test_an_older_task_that_had_ended_before_is_no_reason_to_wait() -> None:
    """Only what ended between acceptance and first attempt held the task up."""
    older = task(state="succeeded", finishedAt="2026-11-23T11:59:00+00:00", taskId=OLDER)

    story = told(task(attempt(1, 2, None)), older)

    assert story.sentences[1] == "It waited 2.0 s for a worker."


def test_a_task_that_waits_says_for_what() -> None:
    """The last sentence is where it stands now."""
    story = told(task(state="queued", waitingFor="broker"))

    assert story.sentences[-1] == "It is queued, waits for RabbitMQ, 5 min after it was accepted."


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ("handed_back", "the worker was stopped, and handed it back at no cost."),
        ("lease_expired", "without a sign of that worker it was taken for dead."),
    ],
)
def test_an_attempt_that_its_worker_did_not_finish_says_why(result: str, words: str) -> None:
    """A drain and a loss are different things to the reader."""
    story = told(task(attempt(1, 1, 3, result=result)))

    assert story.sentences[2].endswith(words)


@pytest.mark.parametrize(
    "reason",
    [
        reason
        for reason, meaning in REASONS.items()
        if meaning not in {Meaning.SUCCESS, Meaning.WITHDRAWN}
    ],
)
def test_every_way_to_fail_has_advice(reason: Reason) -> None:
    """An operator at night must not be left with a code."""
    story = told(task(state="failed", reason=reason.value, finishedAt=at(3), deadLetter=True))

    assert story.advice


def test_an_outcome_that_is_unknown_warns_that_the_device_may_be_active() -> None:
    """A replay without asking first might activate it twice."""
    story = told(task(state="failed", reason="no_answer", finishedAt=at(3)))

    assert story.advice is not None
    assert "may be activated" in story.advice


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://jaeger/trace/{trace_id}", f"http://jaeger/trace/{TRACE}"),
        ("", TRACE),
    ],
)
def test_the_trace_is_an_address_where_one_is_known(url: str, address: str) -> None:
    """Without an address the id can still be searched for."""
    assert told(task(), trace_url=url).trace == address


def test_a_trace_that_was_not_recorded_is_not_named() -> None:
    """The page would be empty."""
    left_out = task(traceSampled=False)

    assert told(left_out, trace_url="http://jaeger/trace/{trace_id}").trace is None


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    """What a handler said is not trusted."""
    bad = attempt(1, 1, 2, result="failed", reason="refused", detail="\x1b[31mred")

    story = told(task(bad, state="failed", reason="refused", finishedAt=at(2)))

    assert all(sentence.isprintable() for sentence in story.sentences)


def test_a_task_that_waits_for_its_key_has_advice() -> None:
    """It never ends by itself, so nobody is told later."""
    story = told(task(state="queued", reason="locked"))

    assert story.advice is not None
    assert "ACTIVATION_ENCRYPTION_KEYS_FILE" in story.advice
