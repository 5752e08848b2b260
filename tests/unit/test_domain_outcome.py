"""Outcomes: what the handler's answers and our own failures mean."""

import pytest

from activation.domain.outcome import REASONS, Meaning, Reason, reason_for_status


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        (Reason.COMPLETED, Meaning.SUCCESS),
        (Reason.UNKNOWN_EQUIPMENT, Meaning.PERMANENT),
        (Reason.REFUSED, Meaning.PERMANENT),
        (Reason.PROVISIONING_ERROR, Meaning.PERMANENT),
        (Reason.OVERLOADED, Meaning.TRANSIENT),
        (Reason.UNAVAILABLE, Meaning.TRANSIENT),
        (Reason.UNREACHABLE, Meaning.TRANSIENT),
        (Reason.UNREADABLE, Meaning.TRANSIENT),
        (Reason.NO_ANSWER, Meaning.UNKNOWN),
        (Reason.WORKER_LOST, Meaning.UNKNOWN),
        (Reason.DRAINED, Meaning.WITHDRAWN),
        (Reason.LOCKED, Meaning.TRANSIENT),
        (Reason.CANCELLED, Meaning.WITHDRAWN),
    ],
)
def test_each_reason_has_this_meaning(reason: Reason, meaning: Meaning) -> None:
    """What is tried again is decided here, and nowhere else."""
    assert REASONS[reason] is meaning


def test_every_reason_has_a_meaning() -> None:
    """A reason without a row would lose the result that carries it."""
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.COMPLETED),
        (404, Reason.UNKNOWN_EQUIPMENT),
        (400, Reason.REFUSED),
        (401, Reason.REFUSED),
        (403, Reason.REFUSED),
        (409, Reason.REFUSED),
        (422, Reason.REFUSED),
        (418, Reason.REFUSED),
        (429, Reason.OVERLOADED),
        (500, Reason.PROVISIONING_ERROR),
        (501, Reason.UNAVAILABLE),
        (502, Reason.UNAVAILABLE),
        (503, Reason.UNAVAILABLE),
        (504, Reason.UNAVAILABLE),
        (599, Reason.UNAVAILABLE),
    ],
)
def test_status_of_the_handler_has_this_reason(status: int, reason: Reason) -> None:
    """The rows of the design's table, and their neighbours."""
    assert reason_for_status(status) is reason


@pytest.mark.parametrize("status", [100, 201, 202, 204, 301, 302, 304, 399])
def test_status_that_is_neither_success_nor_error_is_unreadable(status: int) -> None:
    """A 204 or a redirect does not say that the device was activated."""
    assert reason_for_status(status) is Reason.UNREADABLE
