"""Tasks: the state table row by row, what a queued task waits for, and reading a history."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation.domain.outcome import Reason
from activation.domain.task import (
    ENDED,
    FOLLOWS,
    SERIAL_NUMBER_MAX,
    UNFINISHED,
    Attempt,
    Event,
    EventName,
    State,
    Task,
    TaskId,
    Waiting,
    attempts,
    is_serial_number,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("state", "next_states"),
    [
        (State.QUEUED, {State.RUNNING, State.CANCELLED}),
        (State.RUNNING, {State.QUEUED, State.SUCCEEDED, State.FAILED, State.CANCELLED}),
        (State.SUCCEEDED, set()),
        (State.FAILED, {State.QUEUED}),
        (State.CANCELLED, set()),
    ],
)
def test_state_table_allows_these_steps_and_no_others(
    state: State, next_states: set[State]
) -> None:
    """A new arrow in the life of a task has to be drawn here, too."""
    assert FOLLOWS[state] == next_states


def test_state_table_has_a_row_for_each_state() -> None:
    """A state without a row would be an error in the middle of a transaction."""
    assert set(FOLLOWS) == set(State)


def test_each_state_is_either_unfinished_or_ended() -> None:
    """Queued and running tasks hold their device's line; all others have left it."""
    assert {State.QUEUED, State.RUNNING} == UNFINISHED
    assert set(State) - UNFINISHED == ENDED


@pytest.mark.parametrize("serial", ["ABC123", "abcdef", "000000", "x" * SERIAL_NUMBER_MAX])
def test_serial_number_is_letters_and_digits(serial: str) -> None:
    """Six of them at least."""
    assert is_serial_number(serial)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ABC12",
        "ABC-123",
        "ABC 123",
        "ABC123\n",
        "ÄBC123",
        "ABC12\u0663",  # a digit, but no ASCII
        "x" * (SERIAL_NUMBER_MAX + 1),
    ],
)
def test_other_texts_are_no_serial_numbers(text: str) -> None:
    """Too short, too long, other characters, or a line break at the end."""
    assert not is_serial_number(text)


@given(st.text(alphabet="aZ09-\n ٣é", max_size=9) | st.text())
def test_serial_number_is_six_or_more_plain_letters_and_digits(text: str) -> None:
    """Said in another way than by the expression itself."""
    plain = text.isascii() and text.isalnum()

    assert is_serial_number(text) == (plain and 6 <= len(text) <= SERIAL_NUMBER_MAX)


@pytest.mark.parametrize(
    ("fields", "waiting"),
    [
        ({"first_in_line": False, "unpublished": True}, Waiting.FOR_DEVICE),
        ({"not_before": LATER, "unpublished": True}, Waiting.FOR_RETRY),
        ({"not_before": NOW, "unpublished": True}, Waiting.FOR_BROKER),
        ({"unpublished": True}, Waiting.FOR_BROKER),
        ({}, Waiting.FOR_WORKER),
    ],
)
def test_queued_task_says_what_it_waits_for(fields: dict[str, object], waiting: Waiting) -> None:
    """The first thing that must happen is the one that is named."""
    assert _task(State.QUEUED, **fields).waiting_for(NOW) is waiting


@pytest.mark.parametrize("state", sorted(set(State) - {State.QUEUED}))
def test_task_that_is_not_queued_waits_for_nothing(state: State) -> None:
    """Neither while it runs nor after its end."""
    assert _task(state, unpublished=True, not_before=LATER).waiting_for(NOW) is None


def test_attempts_are_read_from_a_history() -> None:
    """Each begins with its start and ends with the first event that can end it."""
    history = [
        Event(_at(0), EventName.ACCEPTED, 0),
        Event(_at(1), EventName.STARTED, 1, "worker-a"),
        Event(_at(2), EventName.RETRY_SCHEDULED, 1, None, Reason.UNAVAILABLE, "503", _at(3)),
        Event(_at(3), EventName.STARTED, 2, "worker-b"),
        Event(_at(4), EventName.SUCCEEDED, 2, None, Reason.COMPLETED, "Completed"),
    ]

    assert attempts(history) == [
        Attempt(
            number=1,
            worker="worker-a",
            started_at=_at(1),
            ended_at=_at(2),
            result=EventName.RETRY_SCHEDULED,
            reason=Reason.UNAVAILABLE,
            message="503",
        ),
        Attempt(
            number=2,
            worker="worker-b",
            started_at=_at(3),
            ended_at=_at(4),
            result=EventName.SUCCEEDED,
            reason=Reason.COMPLETED,
            message="Completed",
        ),
    ]


def test_running_attempt_has_no_end() -> None:
    """A request to cancel does not end it."""
    history = [
        Event(_at(0), EventName.ACCEPTED, 0),
        Event(_at(1), EventName.STARTED, 1, "worker-a"),
        Event(_at(2), EventName.CANCEL_REQUESTED, 1),
    ]

    assert attempts(history) == [Attempt(1, "worker-a", _at(1))]


@pytest.mark.parametrize(
    "name",
    [
        EventName.RETRY_SCHEDULED,
        EventName.HANDED_BACK,
        EventName.LEASE_EXPIRED,
        EventName.SUCCEEDED,
        EventName.FAILED,
        EventName.CANCELLED,
    ],
)
def test_attempt_is_ended_by_every_step_out_of_running(name: EventName) -> None:
    """None of them leaves an attempt open."""
    history = [Event(_at(1), EventName.STARTED, 1, "worker-a"), Event(_at(2), name, 1)]

    [attempt] = attempts(history)

    assert (attempt.result, attempt.ended_at) == (name, _at(2))


def test_cancellation_after_a_failed_attempt_does_not_rewrite_it() -> None:
    """The event carries the latest attempt's number, but that attempt was over."""
    history = [
        Event(_at(1), EventName.STARTED, 1, "worker-a"),
        Event(_at(2), EventName.RETRY_SCHEDULED, 1, reason=Reason.UNREACHABLE),
        Event(_at(3), EventName.CANCELLED, 1, reason=Reason.CANCELLED),
    ]

    [attempt] = attempts(history)

    assert (attempt.result, attempt.ended_at) == (EventName.RETRY_SCHEDULED, _at(2))


@pytest.mark.parametrize("name", [EventName.CANCELLED, EventName.ACCEPTED])
def test_task_that_never_started_has_no_attempts(name: EventName) -> None:
    """Cancelled while it waited, or still waiting."""
    assert attempts([Event(_at(0), name, 0)]) == []


def _at(second: float) -> datetime:
    return NOW + timedelta(seconds=second)


def _task(state: State, **fields: object) -> Task:
    given = {
        "id": TaskId(UUID(int=1)),
        "equipment": "ABC123",
        "state": state,
        "timeout_s": 60,
        "parameters": "{}",
        "accepted_at": NOW,
    }
    return Task(**(given | fields))  # type: ignore[arg-type]  # each test gives what it is about
