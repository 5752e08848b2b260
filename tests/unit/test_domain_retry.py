"""The retry rule: what becomes of a task after an attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation.domain.outcome import REASONS, Meaning, Outcome, Reason
from activation.domain.retry import RetryPolicy, Verdict
from activation.domain.task import State

TRIED_AGAIN = sorted(
    reason for reason, meaning in REASONS.items() if meaning in {Meaning.TRANSIENT, Meaning.UNKNOWN}
)
PERMANENT = sorted(reason for reason, meaning in REASONS.items() if meaning is Meaning.PERMANENT)

draws = st.floats(min_value=0.0, max_value=1.0, exclude_max=True)


def test_success_ends_the_task() -> None:
    """Nothing else is to be done."""
    assert _judge(Reason.COMPLETED) == Verdict(State.SUCCEEDED)


@pytest.mark.parametrize("reason", PERMANENT)
def test_permanent_failure_ends_the_task_at_once(reason: Reason) -> None:
    """It is no dead letter: its attempts were not used up."""
    assert _judge(reason) == Verdict(State.FAILED, dead_letter=False)


@pytest.mark.parametrize("reason", [Reason.DRAINED, Reason.CANCELLED])
@pytest.mark.parametrize("counted", [1, 5, 99])
def test_withdrawn_attempt_goes_back_at_once_and_does_not_count(
    reason: Reason, counted: int
) -> None:
    """Not even when all attempts are used up: it was not the handler's doing."""
    assert _judge(reason, counted=counted) == Verdict(State.QUEUED, retry_in_s=0.0, counted=False)


@pytest.mark.parametrize("reason", TRIED_AGAIN)
def test_failure_is_tried_again_while_attempts_are_left(reason: Reason) -> None:
    """The attempt counts, and the wait is drawn."""
    assert _judge(reason, counted=4, draw=0.5) == Verdict(State.QUEUED, retry_in_s=8.0)


@pytest.mark.parametrize("reason", TRIED_AGAIN)
@pytest.mark.parametrize("counted", [5, 6])
def test_last_attempt_makes_a_dead_letter(reason: Reason, counted: int) -> None:
    """An operator decides what becomes of it."""
    assert _judge(reason, counted=counted) == Verdict(State.FAILED, dead_letter=True)


def test_single_attempt_is_never_repeated() -> None:
    """Who allows one attempt gets one."""
    verdict = _judge(Reason.UNAVAILABLE, counted=1, policy=RetryPolicy(max_attempts=1))

    assert verdict == Verdict(State.FAILED, dead_letter=True)


def test_provisioning_error_can_be_made_transient() -> None:
    """For handlers whose 500 goes away by itself."""
    policy = RetryPolicy(retry_provisioning_errors=True)

    assert _judge(Reason.PROVISIONING_ERROR, policy=policy).state is State.QUEUED
    assert _judge(Reason.PROVISIONING_ERROR, counted=5, policy=policy).dead_letter


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.PROVISIONING_ERROR}))
def test_that_setting_changes_nothing_else(reason: Reason) -> None:
    """All other reasons mean what the table says."""
    assert RetryPolicy(retry_provisioning_errors=True).meaning(reason) is REASONS[reason]


@pytest.mark.parametrize(("counted", "bound_s"), [(1, 2.0), (2, 4.0), (3, 8.0), (4, 16.0)])
def test_waits_double_with_each_attempt(counted: int, bound_s: float) -> None:
    """The draw picks a point between nothing and the bound."""
    waits_s = [_judge(Reason.UNAVAILABLE, counted=counted, draw=d).retry_in_s for d in (0, 0.25)]

    assert waits_s == [0.0, bound_s / 4]


@given(counted=st.integers(min_value=1, max_value=10_000), draw=draws)
def test_jitter_stays_within_its_bounds(counted: int, draw: float) -> None:
    """Never negative, never above the cap, however many attempts a policy allows."""
    policy = RetryPolicy(max_attempts=10_001, base_s=2.0, cap_s=300.0)

    wait_s = _judge(Reason.UNAVAILABLE, counted=counted, draw=draw, policy=policy).retry_in_s

    assert 0.0 <= wait_s <= min(300.0, 2.0 * 2.0 ** min(counted - 1, 20))


@given(base_s=st.floats(0.0, 3600.0), cap_s=st.floats(0.0, 3600.0), draw=draws)
def test_cap_bounds_the_first_wait_too(base_s: float, cap_s: float, draw: float) -> None:
    """A cap below the base is obeyed."""
    policy = RetryPolicy(base_s=base_s, cap_s=cap_s)

    wait_s = _judge(Reason.NO_ANSWER, counted=1, draw=draw, policy=policy).retry_in_s

    assert 0.0 <= wait_s <= min(base_s, cap_s)


@pytest.mark.parametrize(("asked_s", "wait_s"), [(0.0, 0.0), (30.0, 30.0), (86_400.0, 300.0)])
def test_wish_of_the_handler_rules_up_to_the_cap(asked_s: float, wait_s: float) -> None:
    """`Retry-After` is taken as it is, without jitter; a day would look like a lost task."""
    outcome = Outcome(Reason.OVERLOADED, "busy", retry_after_s=asked_s)

    verdict = RetryPolicy().judge(outcome, counted=1, draw=0.5)

    assert verdict == Verdict(State.QUEUED, retry_in_s=wait_s)


def test_wish_of_the_handler_gives_no_further_attempt() -> None:
    """The last attempt is the last."""
    outcome = Outcome(Reason.OVERLOADED, "busy", retry_after_s=1.0)

    assert RetryPolicy().judge(outcome, counted=5, draw=0.0).dead_letter


def _judge(
    reason: Reason, *, counted: int = 1, draw: float = 0.0, policy: RetryPolicy | None = None
) -> Verdict:
    return (policy or RetryPolicy()).judge(Outcome(reason, "words"), counted=counted, draw=draw)
