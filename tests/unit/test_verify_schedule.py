"""Schedules: what a seed decides, and what it does not."""

from dataclasses import replace

import pytest

from activation.domain.task import is_serial_number
from activation_cli.verify.scenarios import SCENARIOS
from activation_cli.verify.scenarios.load import LOAD
from activation_cli.verify.schedule import Schedule, draw_schedule

ALL_AT_ONCE = SCENARIOS["all-at-once"]


def drawn(*, seed: int = 1, run: str = "RUN", duration_s: float = 24.0) -> Schedule:
    return draw_schedule(ALL_AT_ONCE, seed=seed, run=run, duration_s=duration_s, rate=20.0)


def test_the_same_seed_gives_the_same_schedule() -> None:
    """A failure can be repeated."""
    assert drawn() == drawn()


def test_another_seed_gives_another_schedule() -> None:
    """Requests and faults both depend on it."""
    one, other = drawn(seed=1), drawn(seed=2)

    assert [r.at_s for r in one.requests] != [r.at_s for r in other.requests]
    assert [f.at_s for f in one.faults] != [f.at_s for f in other.faults]
    assert {f.seed for f in one.faults}.isdisjoint(f.seed for f in other.faults)


def test_the_run_names_devices_and_keys_and_decides_nothing() -> None:
    """Two runs of a seed do the same at the same moments, with other devices."""
    one, other = drawn(run="RUN1X"), drawn(run="RUN2X")

    assert one.faults == other.faults
    assert [
        replace(r, key=r.key.replace("1X", "2X"), equipment=r.equipment.replace("1X", "2X"))
        for r in one.requests
    ] == list(other.requests)


def test_requests_are_sent_within_the_duration_at_about_the_rate() -> None:
    """24 s at 20 requests a second: 480, give or take four standard deviations."""
    schedule = drawn()

    assert 480 - 88 < len(schedule.requests) < 480 + 88
    assert all(0.0 <= request.at_s < 24.0 for request in schedule.requests)
    assert all(is_serial_number(request.equipment) for request in schedule.requests)
    assert len({request.key for request in schedule.requests}) == len(schedule.requests)


@pytest.mark.parametrize(("duration_s", "rounds"), [(1.0, 1), (12.0, 1), (24.0, 2), (60.0, 5)])
def test_faults_come_once_in_each_round(duration_s: float, rounds: int) -> None:
    """A longer run sees more of them, and each has chances of its own."""
    schedule = drawn(duration_s=duration_s)

    assert len(schedule.faults) == rounds * len(ALL_AT_ONCE.faults)
    assert len({fault.seed for fault in schedule.faults}) == len(schedule.faults)
    assert all(0.0 < fault.at_s < duration_s for fault in schedule.faults)


def test_some_clients_ask_once_and_most_ask_again() -> None:
    """Both kinds are needed: one recovers what was unanswered, the other repeats keys."""
    careful = [request.careful for request in drawn().requests]

    assert 0.7 < sum(careful) / len(careful) < 0.9


def test_every_scenario_says_what_it_does_and_what_must_hold() -> None:
    """The names are options; the sentences are the table of --list."""
    for name, scenario in SCENARIOS.items():
        assert name == scenario.name
        assert scenario.does
        assert scenario.holds
        assert scenario.faults or scenario in LOAD or name in {"calm", "long-calls", "handler-full"}
