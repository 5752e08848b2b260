"""The promises of single scenarios: each can be broken."""

from datetime import UTC, datetime, timedelta

import pytest

from activation_cli.verify import promises
from activation_cli.verify.accountant import Account, Post, Row
from activation_cli.verify.promises import Promise


def task(
    task_id: str,
    *,
    device: str = "DEVICE1",
    state: str = "succeeded",
    attempt: int = 1,
    took_s: float = 1.0,
) -> Row:
    dead = state == "failed"
    accepted_at = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "taskId": task_id,
        "equipment": device,
        "acceptedAt": accepted_at.isoformat(),
        "finishedAt": (accepted_at + timedelta(seconds=took_s)).isoformat(),
        "state": state,
        "attempt": attempt,
        "deadLetter": dead,
    }


def account(*tasks: Row, calls_each: int = 1, status: int | None = 200) -> Account:
    post = Post("DEVICE1", "key", 0.0, 1.0, status, "a")
    calls = [{"key": one["taskId"], "equipment": "DEVICE1"} for one in tasks] * calls_each
    return Account([post], tasks, calls)


def called(*outcomes: str) -> Account:
    return Account([], [], [{"key": "a", "outcome": outcome} for outcome in outcomes])


def timed_calls(*calls: tuple[float, float | None]) -> Account:
    """An account whose one task was called at these times."""
    rows = [
        {"key": "a", "equipment": "DEVICE1", "started_at": b, "ended_at": e, "outcome": "200"}
        for b, e in calls
    ]
    return Account([], [task("a")], rows)


def answered_503(*begun: float) -> Account:
    """An account of calls that began at these times."""
    return Account([], [], [{"key": "a", "outcome": "503", "started_at": at} for at in begun])


FINE_CALL = timed_calls((1, None))
FINE = account(task("a"), task("b"))


@pytest.mark.parametrize(
    ("promise", "kept", "broken"),
    [
        (promises.all_succeed, FINE, account(task("a", state="failed"))),
        (promises.all_succeed, FINE, account(task("a", state="cancelled"))),
        (promises.nothing_is_called_again, FINE, account(task("a"), calls_each=2)),
        (promises.one_is_given_up, account(task("a", state="failed"), task("b")), FINE),
        (
            promises.one_is_given_up,
            account(task("a", state="failed"), task("b")),
            account(task("a", state="failed"), task("b", state="failed")),
        ),
        (promises.something_is_called_again, account(task("a", attempt=2)), FINE),
        (promises.few_are_refused_in_the_end, called("429", *["200"] * 9), called(*["200"] * 9)),
        (
            promises.few_are_refused_in_the_end,
            called("429", *["200"] * 9),
            called("429", *["200"] * 8, "429"),
        ),
        (promises.it_is_left_in_peace, answered_503(1.0, 1.5, 5.0), answered_503(1.0, 2.0, 3.0)),
        (promises.it_is_left_in_peace, answered_503(1.0, 5.0), timed_calls((1.0, 2.0), (5.0, 6.0))),
        (promises.refused_with_503, account(task("a"), status=503), FINE),
        (
            promises.refused_with_503,
            account(task("a"), status=503),
            account(task("a"), status=500),
        ),
        (
            promises.attempts_do_not_overlap,
            timed_calls((1, 2), (2, 3)),
            timed_calls((1, 2), (1, 3)),
        ),
        (promises.attempts_do_not_overlap, FINE_CALL, timed_calls((1, None), (2, 3))),
        (promises.answers_are_missed, account(task("a"), status=None), FINE),
        (
            promises.only_the_longest_line_waits,
            account(
                task("a", took_s=1), task("b", took_s=9), task("c", device="DEVICE2", took_s=2)
            ),
            account(
                task("a", took_s=1), task("b", took_s=9), task("c", device="DEVICE2", took_s=8)
            ),
        ),
    ],
)
def test_a_promise_is_kept_or_broken(promise: Promise, kept: Account, broken: Account) -> None:
    """A check that never fails would promise nothing."""
    assert list(promise(kept)) == []
    assert list(promise(broken))
