"""The rule that says how many calls the target is given at once."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation.domain.limit import LimitPolicy
from activation.domain.outcome import Outcome, Reason
from activation.domain.target import BreakerPolicy, RecentCalls, Target

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
POLICY = LimitPolicy(recovery_s=100.0)
OVERLOADED = Outcome(Reason.OVERLOADED, "429 Too Many Requests")


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def overloaded(calls: int) -> Target:
    """Return a target that had so many calls, too many, a moment ago."""
    return POLICY.after_overload(Target(), calls, NOW, began=after(-1.0), call_s=0.1)


def recent(reasons: list[Reason]) -> RecentCalls:
    """Return what a worker remembers of these calls."""
    calls = RecentCalls(BreakerPolicy(calls=10))
    for reason in reasons:
        calls.add(Outcome(reason, ""), NOW)
    return calls


# how the limit falls and rises


def test_a_target_that_never_had_too_many_calls_has_no_limit() -> None:
    """The workers' own concurrency is all there is."""
    assert Target().limit(NOW) is None


def test_the_limit_falls_at_once_and_rises_to_where_it_was_and_beyond() -> None:
    """Half; nearly all of it after half the time; as many as were too many; then more and more."""
    target = overloaded(100)

    limits = [target.limit(after(s)) for s in (0.0, 10.0, 50.0, 99.0, 100.0, 200.0, 500.0)]

    assert limits == [50, 63, 93, 99, 100, 150, 3300]


def test_an_overload_is_forgotten_after_ten_recoveries() -> None:
    """Nobody waits any more for what was true long ago."""
    assert overloaded(1).limit(after(999.0)) is not None
    assert overloaded(1).limit(after(1000.0)) is None


@given(calls=st.integers(0, 10_000), seconds=st.floats(-10.0, 999.0))
def test_the_limit_is_never_less_than_one_and_below_what_was_too_many_until_recovered(
    calls: int, seconds: float
) -> None:
    """Whatever the clock of the store does."""
    limit = overloaded(calls).limit(after(seconds))

    assert limit is not None
    assert limit >= 1
    assert limit < calls or calls <= 1 or seconds >= 100.0


@given(calls=st.integers(1, 10_000), s=st.floats(0.0, 998.0), later_s=st.floats(0.0, 998.0))
def test_the_limit_only_rises_while_all_is_quiet(calls: int, s: float, later_s: float) -> None:
    """So that what waits for room gets it in the end."""
    first, second = sorted((s, later_s))
    limits = [overloaded(calls).limit(after(at)) or 0 for at in (first, second)]

    assert limits[0] <= limits[1]


def test_slow_calls_take_the_limit_longer_to_recover() -> None:
    """Four of them, one after the other: else most calls would be refused on trial."""
    target = POLICY.after_overload(Target(), 5, NOW, began=NOW, call_s=60.0)

    assert target.recovered_at == after(240.0)
    assert [target.limit(after(s)) for s in (0.0, 239.0, 240.0)] == [2, 4, 5]


# what tells of too many calls


def test_one_429_is_enough() -> None:
    """It says so itself."""
    assert POLICY.too_many(OVERLOADED, recent([Reason.OVERLOADED]))


@pytest.mark.parametrize("reason", [Reason.UNAVAILABLE, Reason.UNREACHABLE])
def test_what_may_be_an_outage_must_happen_to_half_of_the_calls(reason: Reason) -> None:
    """A few that fail are no news about the number of calls."""
    outcome = Outcome(reason, "")

    assert POLICY.too_many(outcome, recent([Reason.COMPLETED] * 5 + [reason] * 5))
    assert not POLICY.too_many(outcome, recent([Reason.COMPLETED] * 6 + [reason] * 4))
    assert not POLICY.too_many(outcome, recent([reason] * 9))


@pytest.mark.parametrize("reason", [Reason.COMPLETED, Reason.PROVISIONING_ERROR, Reason.NO_ANSWER])
def test_other_ends_say_nothing_about_the_number_of_calls(reason: Reason) -> None:
    """However many end so."""
    assert not POLICY.too_many(Outcome(reason, ""), recent([reason] * 10))


def test_calls_that_began_before_the_limit_fell_tell_nothing_new() -> None:
    """One overload halves the limit once, however many calls were refused."""
    target = overloaded(100)

    assert POLICY.is_old_news(target, OVERLOADED, NOW)
    assert POLICY.after_overload(target, 90, after(1.0), began=NOW, call_s=0.1) == target
    assert not POLICY.is_old_news(target, OVERLOADED, after(0.5))
    again = POLICY.after_overload(target, 50, after(1.0), began=after(0.5), call_s=0.1)
    assert again.limit(after(1.0)) == 25


def test_turned_off_nothing_is_learned() -> None:
    """And 429s are the breaker's again."""
    off = LimitPolicy(enabled=False)

    assert not off.too_many(OVERLOADED, recent([Reason.OVERLOADED] * 10))
    assert not off.is_old_news(overloaded(100), OVERLOADED, after(-1.0))


# the operator


def test_an_operator_s_limit_is_an_upper_bound() -> None:
    """What the target bears may be less, and for a while it is."""
    target = replace(overloaded(20), max_calls=15)

    assert Target(max_calls=15).limit(NOW) == 15
    assert [target.limit(after(s)) for s in (0.0, 100.0, 2000.0)] == [10, 15, 15]


def test_a_new_limit_of_an_operator_forgets_what_was_learned() -> None:
    """They know better; the breaker and a pause are not touched by it."""
    held = replace(overloaded(20), trips=2, paused_at=NOW)

    assert held.bound(30) == Target(max_calls=30, trips=2, paused_at=NOW)
    assert held.bound(30).bound(None) == Target(trips=2, paused_at=NOW)


def test_to_resume_forgets_what_was_learned_and_keeps_the_operator_s_limit() -> None:
    """All that held calls back by itself is gone."""
    assert replace(overloaded(20), max_calls=15).resume() == Target(max_calls=15)


def test_a_probe_that_succeeds_leaves_the_limit_alone() -> None:
    """Else all workers would rush at a target that has just come back."""
    target = replace(overloaded(20), trips=1).probe("worker-1", NOW, timedelta(seconds=30))

    closed = BreakerPolicy().after_probe(
        target, Outcome(Reason.COMPLETED, ""), after(1.0), worker="worker-1"
    )

    assert closed == overloaded(20)
