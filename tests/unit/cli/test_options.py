"""Durations and moments."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from activation_cli.options import duration_s, expiry, moment


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7_200), ("7d", 604_800), ("0", 0)],
)
def test_duration_has_a_unit_or_is_in_seconds(text: str, expected: float) -> None:
    """The units that people write."""
    assert expected == duration_s(text)


@pytest.mark.parametrize("text", ["", "h", "2 h", "-1s", "1h30m", "2w", "٣s", "1e3"])
def test_anything_else_is_no_duration(text: str) -> None:
    """The error shows what one looks like."""
    with pytest.raises(typer.BadParameter, match="such as 90s, 10m, 2h or 7d"):
        duration_s(text)


def test_moment_is_a_time_with_a_zone() -> None:
    """RFC 3339, with Z or an offset."""
    assert datetime(2025, 1, 31, 9, tzinfo=UTC) == moment("2025-01-31T09:00:00Z")
    assert datetime(2025, 1, 31, 9, tzinfo=UTC) == moment("2025-01-31T10:00:00+01:00")


def test_moment_may_be_a_duration_ago() -> None:
    """2h is two hours before now."""
    expected = datetime.now(UTC) - timedelta(hours=2)

    assert abs(expected - moment("2h")) < timedelta(seconds=5)


@pytest.mark.parametrize("text", ["yesterday", "2025-01-31", "2025-01-31T09:00:00", "", "9" * 30])
def test_anything_else_is_no_moment(text: str) -> None:
    """A time without a zone is refused rather than guessed."""
    with pytest.raises(typer.BadParameter, match="such as 2h nor a time such as"):
        moment(text)


def test_expiry_is_to_come() -> None:
    """From now on, where a moment is ago; whole seconds are enough."""
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)

    assert abs(expiry("1h") - in_an_hour) < timedelta(seconds=60)
    assert expiry("1h").microsecond == 0
    assert expiry("2999-01-31T09:00:00Z") == datetime(2999, 1, 31, 9, tzinfo=UTC)
    for over in ("0", "2020-01-31T09:00:00Z"):
        with pytest.raises(typer.BadParameter, match="is over"):
            expiry(over)
