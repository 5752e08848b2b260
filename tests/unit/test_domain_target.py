"""The rule that protects the target: the breaker, its probes, Retry-After, and the operator."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation.domain.outcome import Outcome, Reason
from activation.domain.target import BreakerPolicy, RecentCalls, Standing, Target

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
POLICY = BreakerPolicy(calls=10, failure_share=0.8, window_s=60.0, base_s=5.0, cap_s=60.0)
LEASE = timedelta(seconds=30)

OK = Outcome(Reason.COMPLETED, "Completed")
DOWN = Outcome(Reason.UNAVAILABLE, "503 Service Unavailable")
TROUBLE = (
    Reason.OVERLOADED,
    Reason.UNAVAILABLE,
    Reason.UNREACHABLE,
    Reason.UNREADABLE,
    Reason.NO_ANSWER,
)
ANSWERS = (
    Reason.COMPLETED,
    Reason.UNKNOWN_EQUIPMENT,
    Reason.REFUSED,
    Reason.PROVISIONING_ERROR,
)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def asks_for(seconds: float, reason: Reason = Reason.OVERLOADED) -> Outcome:
    return Outcome(reason, "later", retry_after_s=seconds)


def opened(openings: int = 1) -> Target:
    """Return a target whose breaker has opened so often in a row, the last time now."""
    target = POLICY.after_call(Target(), DOWN, NOW, failing=True)
    for _ in range(openings - 1):
        assert target.held_until is not None
        probing = target.probe("worker-1", target.held_until, LEASE)
        target = POLICY.after_probe(probing, DOWN, NOW, worker="worker-1")
    return target


def last_of(reasons: list[Reason], seconds_apart: float = 1.0) -> bool:
    """Say whether the breaker is to open after the last of these calls."""
    recent = RecentCalls(POLICY)
    answers = [
        recent.add(Outcome(reason, ""), after(n * seconds_apart))
        for n, reason in enumerate(reasons)
    ]
    return answers[-1]


# when the breaker opens


@pytest.mark.parametrize("reason", TROUBLE)
def test_the_breaker_opens_when_nearly_all_of_the_latest_calls_failed(reason: Reason) -> None:
    """Eight of ten do; whichever way they failed."""
    assert last_of([Reason.COMPLETED] * 2 + [reason] * 8)


def test_a_few_failing_devices_among_others_do_not_open_it() -> None:
    """Seven of ten do not, however often that goes on."""
    assert not last_of(([Reason.COMPLETED] * 3 + [Reason.NO_ANSWER] * 7) * 5)


def test_a_single_failing_device_does_not_open_it() -> None:
    """Too few calls say nothing, if all of them failed."""
    assert not last_of([Reason.UNAVAILABLE] * 9)


def test_what_failed_long_ago_does_not_open_it() -> None:
    """Ten failures in a row, but the first is too old."""
    assert last_of([Reason.UNAVAILABLE] * 10, seconds_apart=6.6)
    assert not last_of([Reason.UNAVAILABLE] * 10, seconds_apart=6.7)


@pytest.mark.parametrize("reason", ANSWERS)
def test_an_answer_about_a_device_is_no_failure_of_the_target(reason: Reason) -> None:
    """A refusal, or a 500 of one device, shows that the target is there."""
    assert not last_of([Reason.UNAVAILABLE] * 7 + [reason] * 3 + [Reason.UNAVAILABLE])


def test_what_was_called_off_says_nothing() -> None:
    """A drained call is no failure, and no success that would hide one."""
    assert last_of([Reason.UNAVAILABLE] * 9 + [Reason.DRAINED] * 5 + [Reason.UNAVAILABLE])


def test_after_a_recovery_the_old_failures_do_not_count() -> None:
    """The next failure alone must not open it again."""
    recent = RecentCalls(POLICY)
    for _ in range(10):
        recent.add(DOWN, NOW)
    recent.forget()

    assert not recent.add(DOWN, NOW)


# what an open breaker does


def test_an_open_breaker_rests_and_then_lets_a_probe_pass() -> None:
    """It says why, and is half open as soon as the rest is over."""
    target = opened()

    assert target.standing(after(4.9)) is Standing.OPEN
    assert target.standing(after(5.0)) is Standing.HALF_OPEN
    assert target.why == "unavailable: 503 Service Unavailable"


@pytest.mark.parametrize(("openings", "rest_s"), [(1, 5), (2, 10), (4, 40), (5, 60), (50, 60)])
def test_each_failed_probe_doubles_the_rest_up_to_its_cap(openings: int, rest_s: int) -> None:
    assert opened(openings).held_until == after(rest_s)


def test_late_failures_do_not_prolong_the_rest() -> None:
    """Calls that were under way when it opened count for nothing."""
    target = opened()

    assert POLICY.after_call(target, DOWN, after(1), failing=True) == target


def test_one_worker_at_a_time_probes() -> None:
    """Another one may when the first has given no sign of life for its lease."""
    first = opened().probe("worker-1", after(5), LEASE)

    assert first.prober == "worker-1"
    assert first.probe("worker-2", after(34.9), LEASE) == first
    assert first.probe("worker-2", after(35), LEASE).prober == "worker-2"
    renewed = first.renew_probe("worker-1", after(30), LEASE)
    assert renewed.probe("worker-2", after(59.9), LEASE) == renewed


@pytest.mark.parametrize("target", [Target(), opened(), Target(paused_at=NOW, trips=1)])
def test_nobody_probes_unless_the_breaker_is_half_open(target: Target) -> None:
    assert target.probe("worker-1", NOW, LEASE) == target


@pytest.mark.parametrize("reason", ANSWERS)
def test_an_answered_probe_closes_the_breaker(reason: Reason) -> None:
    """Any answer will do: the target is back."""
    probing = opened(3).probe("worker-1", after(20), LEASE)

    closed = POLICY.after_probe(probing, Outcome(reason, ""), after(21), worker="worker-1")

    assert closed == Target()


def test_a_probe_that_told_nothing_makes_room_for_the_next() -> None:
    """The breaker stays half open, and the rest does not begin anew."""
    probing = opened().probe("worker-1", after(5), LEASE)
    drained = Outcome(Reason.DRAINED, "")

    ended = POLICY.after_probe(probing, drained, after(6), worker="worker-1")

    assert ended == opened()
    assert probing.end_probe("worker-2") == probing


def test_a_probe_whose_turn_was_over_decides_nothing() -> None:
    """Its successor does."""
    second = opened().probe("worker-1", after(5), LEASE).probe("worker-2", after(40), LEASE)

    assert POLICY.after_probe(second, OK, after(41), worker="worker-1") == second
    assert POLICY.after_probe(second, DOWN, after(41), worker="worker-1") == second


# Retry-After


@pytest.mark.parametrize("reason", [Reason.OVERLOADED, Reason.UNAVAILABLE])
def test_retry_after_holds_the_whole_target_back(reason: Reason) -> None:
    """One answer is enough; afterwards all calls pass again, without a probe."""
    target = POLICY.after_call(Target(), asks_for(30, reason), NOW, failing=False)

    assert target.standing(after(29.9)) is Standing.OPEN
    assert target.standing(after(30)) is Standing.CLOSED


@pytest.mark.parametrize("reason", [*ANSWERS, Reason.UNREADABLE])
def test_retry_after_of_other_answers_is_not_about_the_target(reason: Reason) -> None:
    assert POLICY.after_call(Target(), asks_for(30, reason), NOW, failing=False) == Target()


def test_retry_after_is_capped() -> None:
    """A target cannot ask for a rest of a day."""
    target = POLICY.after_call(Target(), asks_for(86_400), NOW, failing=False)

    assert target.held_until == after(POLICY.retry_after_cap_s)


def test_the_longest_wish_counts_and_little_more_is_not_written() -> None:
    """A storm of answers with the same wish changes the target once."""
    target = POLICY.after_call(Target(), asks_for(30), NOW, failing=False)

    assert POLICY.after_call(target, asks_for(10), NOW, failing=False) == target
    assert POLICY.after_call(target, asks_for(30), after(0.9), failing=False) == target
    longer = POLICY.after_call(target, asks_for(31), after(1), failing=False)
    assert longer.held_until == after(32)


def test_an_opening_breaker_rests_as_long_as_the_target_asks() -> None:
    """The longer of both rests holds."""
    assert POLICY.after_call(Target(), asks_for(90), NOW, failing=True).held_until == after(90)
    assert POLICY.after_call(Target(), asks_for(1), NOW, failing=True).held_until == after(5)


# operators


def test_a_pause_lasts_until_it_is_resumed() -> None:
    """Also while the breaker learns of calls that were under way."""
    paused = opened().pause(NOW)
    probing = Target(paused_at=NOW, trips=1, prober="worker-1", probe_until=after(30))

    assert paused.standing(after(86_400)) is Standing.PAUSED
    assert paused.pause(after(1)) == paused
    recovered = POLICY.after_probe(probing, OK, after(1), worker="worker-1")
    assert recovered == Target(paused_at=NOW)


@pytest.mark.parametrize(
    "target", [Target(paused_at=NOW), opened(4), Target(held_until=after(300)), Target()]
)
def test_resuming_lets_calls_pass_whatever_held_them_back(target: Target) -> None:
    assert target.resume().standing(NOW) is Standing.CLOSED


def test_without_a_breaker_nothing_holds_calls_back() -> None:
    """But an operator."""
    off = BreakerPolicy(enabled=False)

    assert off.after_call(Target(), asks_for(30), NOW, failing=True) == Target()


@given(
    reasons=st.lists(st.sampled_from(list(Reason)), max_size=60),
    asked_s=st.one_of(st.none(), st.floats(0, 1e9)),
)
def test_the_target_is_called_again_in_a_bounded_time(
    reasons: list[Reason], asked_s: float | None
) -> None:
    """Whatever the calls end with, nothing but a pause keeps them back for longer than the cap."""
    target, recent = Target(), RecentCalls(POLICY)
    for reason in reasons:
        outcome = Outcome(reason, "", asked_s)
        target = POLICY.after_call(target, outcome, NOW, failing=recent.add(outcome, NOW))

    longest_s = max(POLICY.cap_s, POLICY.retry_after_cap_s)
    assert target.standing(after(longest_s)) in {Standing.CLOSED, Standing.HALF_OPEN}
