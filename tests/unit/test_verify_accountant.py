"""The accountant: each verdict arises, and only when it must."""

from dataclasses import replace
from typing import Final

import pytest

from activation_cli.verify.accountant import REQUEST, Account, Post, Row, Verdict


def post(task_id: str, *, at: float, device: str = "DEVICE1") -> Post:
    return Post(device, f"key-{task_id}", at, at + 0.5, 200, task_id)


def task(task_id: str, *, device: str = "DEVICE1", request: str | None = None) -> Row:
    return {
        "taskId": task_id,
        "equipment": device,
        "state": "succeeded",
        "attempt": 1,
        "parameters": {} if request is None else {REQUEST: request},
    }


def call(task_id: str, *, at: float, device: str = "DEVICE1", attempt: int = 1) -> Row:
    return {
        "key": task_id,
        "equipment": device,
        "attempt": attempt,
        "started_at": at,
        "ended_at": at + 0.5,
        "outcome": "200",
        "activated": attempt == 1,
    }


CLEAN: Final = Account(
    posts=[post("a", at=1), post("b", at=2), post("c", at=2, device="DEVICE2")],
    tasks=[task("a"), task("b"), task("c", device="DEVICE2")],
    calls=[call("a", at=3), call("b", at=4), call("c", at=3, device="DEVICE2")],
)
POSTS, TASKS, CALLS = list(CLEAN.posts), list(CLEAN.tasks), list(CLEAN.calls or ())
NO_ANSWER: Final = Post("DEVICE2", "key-c", 2, 9, None, None)
NO_TASK: Final = {"tasks": TASKS[:2], "calls": CALLS[:2]}


def test_a_clean_account_has_no_findings() -> None:
    """What was asked for was done once, in order."""
    assert CLEAN.findings() == []
    assert set(CLEAN.verdicts().values()) == {Verdict.OK}


@pytest.mark.parametrize(
    ("verdict", "account"),
    [
        (Verdict.RECOVERED, replace(CLEAN, posts=[*POSTS[:2], NO_ANSWER])),
        (Verdict.RECOVERED, replace(CLEAN, posts=[*POSTS[:2], replace(NO_ANSWER, status=503)])),
        (Verdict.UNANSWERED, Account([*POSTS[:2], NO_ANSWER], **NO_TASK)),
        (Verdict.REFUSED, Account([*POSTS[:2], replace(NO_ANSWER, status=429)], **NO_TASK)),
        # Asked again with the same key, and accepted then.
        (Verdict.OK, replace(CLEAN, posts=[*POSTS[:2], NO_ANSWER, POSTS[2]])),
    ],
)
def test_what_is_no_violation_has_a_verdict_of_its_own(verdict: Verdict, account: Account) -> None:
    """A POST without a promise may have made a task, or none."""
    named = replace(account, tasks=[*account.tasks[:2], *_named(list(account.tasks[2:]))])

    assert named.findings() == []
    assert named.verdicts()["key-c"] is verdict


def _named(tasks: list[Row]) -> list[Row]:
    """Have a task name its request, as those of `verify` do."""
    return [{**one, "parameters": {REQUEST: f"key-{one['taskId']}"}} for one in tasks]


def test_a_task_that_names_no_request_may_come_from_an_unanswered_post() -> None:
    """Such a POST can have made one task, and not two."""
    one = replace(CLEAN, posts=[*POSTS[:2], NO_ANSWER])
    two = replace(one, tasks=[*TASKS, task("d", device="DEVICE2")])

    assert one.findings() == []
    assert next(found.what for found in two.findings()) == "unexpected task"


@pytest.mark.parametrize(
    ("verdict", "what", "account"),
    [
        (Verdict.LOST, "unknown to the store", replace(CLEAN, posts=[*POSTS, post("d", at=5)])),
        (
            Verdict.LOST,
            "unknown to the store",
            replace(CLEAN, posts=[*POSTS, replace(post("d", at=5), task_id=None)]),
        ),
        (
            Verdict.LOST,
            "unfinished",
            replace(CLEAN, tasks=[*TASKS[:2], TASKS[2] | {"state": "queued"}]),
        ),
        (Verdict.UNEXPECTED, "unexpected task", replace(CLEAN, posts=POSTS[:2])),
        (Verdict.UNEXPECTED, "unexpected call", replace(CLEAN, calls=[*CALLS, call("x", at=9)])),
        (
            Verdict.UNEXPECTED,
            "unexpected call",
            replace(CLEAN, calls=[*CALLS[:2], CALLS[2] | {"equipment": "DEVICE3"}]),
        ),
        (
            Verdict.DUPLICATED,
            "two tasks for one request",
            replace(CLEAN, posts=[*POSTS[:2], replace(POSTS[2], key="key-a")]),
        ),
        (
            Verdict.DUPLICATED,
            "two tasks for one request",
            replace(
                CLEAN,
                tasks=[*TASKS, task("d", device="DEVICE2", request="key-c")],
                calls=[*CALLS, call("d", at=9, device="DEVICE2")],
            ),
        ),
        (
            Verdict.DUPLICATED,
            "activated twice",
            replace(CLEAN, calls=[*CALLS, call("c", at=9, attempt=2) | {"activated": True}]),
        ),
        (
            Verdict.DUPLICATED,
            "attempt called twice",
            replace(CLEAN, calls=[*CALLS, call("c", at=9, device="DEVICE2")]),
        ),
        (
            Verdict.DUPLICATED,
            "attempt called twice",
            replace(CLEAN, calls=[call("a", at=2, attempt=2), *CALLS]),
        ),
        (
            Verdict.OUT_OF_ORDER,
            "accepted out of order",
            replace(CLEAN, tasks=[TASKS[1], TASKS[0], TASKS[2]]),
        ),
        (
            Verdict.OUT_OF_ORDER,
            "overlapping",
            replace(CLEAN, calls=[call("a", at=3), call("b", at=3.2), CALLS[2]]),
        ),
        (
            Verdict.OUT_OF_ORDER,
            "overlapping",
            replace(CLEAN, calls=[CALLS[0] | {"ended_at": None}, *CALLS[1:]]),
        ),
        (
            Verdict.OUT_OF_ORDER,
            "called out of order",
            replace(CLEAN, calls=[call("b", at=3), call("a", at=4), CALLS[2]]),
        ),
        (
            Verdict.CONTRADICTED,
            "succeeded without an activation",
            replace(CLEAN, calls=CALLS[:2]),
        ),
        (
            Verdict.CONTRADICTED,
            "store and handler disagree",
            replace(CLEAN, tasks=[*TASKS[:2], TASKS[2] | {"state": "failed"}]),
        ),
        (
            Verdict.CONTRADICTED,
            "store and handler disagree",
            replace(CLEAN, calls=[*CALLS[:2], CALLS[2] | {"outcome": "500"}]),
        ),
    ],
)
def test_each_violation_is_found(verdict: Verdict, what: str, account: Account) -> None:
    """One row is wrong, and the account says how."""
    assert (verdict, what) in {(found.verdict, found.what) for found in account.findings()}


def test_an_attempt_that_asked_needs_an_earlier_call_that_activated() -> None:
    """The second attempt made no call; what the first came to is in the ledger, or is not."""
    asked = TASKS[2] | {"attempt": 2, "detail": "The handler was asked, and had finished: success"}
    cut_off = CALLS[2] | {"outcome": None}
    told = replace(CLEAN, tasks=[*TASKS[:2], asked], calls=[*CALLS[:2], cut_off])
    invented = replace(told, calls=[*CALLS[:2], cut_off | {"activated": False}])
    silent = replace(told, tasks=[*TASKS[:2], asked | {"detail": "success"}])

    assert told.findings() == []
    assert {found.what for found in invented.findings()} == {"succeeded without an activation"}
    assert {found.what for found in silent.findings()} == {"store and handler disagree"}


@pytest.mark.parametrize(
    ("verdict", "account"),
    [
        (Verdict.LOST, replace(CLEAN, tasks=[*TASKS[:2], TASKS[2] | {"state": "running"}])),
        (
            Verdict.DUPLICATED,
            replace(CLEAN, calls=[*CALLS, call("c", at=9, attempt=2) | {"activated": True}]),
        ),
    ],
)
def test_a_violation_is_the_verdict_of_its_request_alone(
    verdict: Verdict, account: Account
) -> None:
    """The other requests keep theirs."""
    assert account.verdicts() == {"key-a": Verdict.OK, "key-b": Verdict.OK, "key-c": verdict}


def test_tasks_of_requests_that_were_under_way_together_may_stand_in_any_order() -> None:
    """Only a POST that was answered before the next one was sent fixes an order."""
    together = [POSTS[0], replace(POSTS[1], sent_at=1.2), POSTS[2]]
    account = replace(
        CLEAN,
        posts=together,
        tasks=[TASKS[1], TASKS[0], TASKS[2]],
        calls=[call("b", at=3), call("a", at=4), CALLS[2]],
    )

    assert account.findings() == []


def test_a_request_that_is_repeated_does_not_take_a_new_place() -> None:
    """The first POST, not the one that was answered, made the task."""
    unanswered = replace(POSTS[0], status=None, task_id=None, answered_at=9.0)
    account = replace(CLEAN, posts=[unanswered, *POSTS[1:], replace(POSTS[0], sent_at=8.0)])

    assert account.findings() == []


def test_a_repeated_call_of_a_later_attempt_is_no_duplicate() -> None:
    """The handler recognises the key, and activates nothing again."""
    again = call("c", at=9, device="DEVICE2", attempt=2)
    account = replace(CLEAN, tasks=[*TASKS[:2], TASKS[2] | {"attempt": 2}], calls=[*CALLS, again])

    assert account.findings() == []


def test_a_call_that_hangs_after_its_work_does_not_overlap_with_what_follows() -> None:
    """A later attempt was told of success: the device's next task may begin."""
    hanging = CALLS[0] | {"ended_at": 20.0, "outcome": "left"}
    again = call("a", at=3.6, attempt=2)
    tasks = [TASKS[0] | {"attempt": 2}, *TASKS[1:]]
    account = replace(CLEAN, tasks=tasks, calls=[hanging, again, call("b", at=4.2), CALLS[2]])
    too_early = replace(account, calls=[hanging, again, call("b", at=3.9), CALLS[2]])

    assert account.findings() == []
    assert {found.what for found in too_early.findings()} == {"overlapping"}


def test_without_a_ledger_only_the_store_is_judged() -> None:
    """Nothing is said about calls, and losses are still found."""
    account = replace(CLEAN, calls=None)
    lost = replace(account, posts=[*POSTS, post("d", at=5)])

    assert account.findings() == []
    assert [found.verdict for found in lost.findings()] == [Verdict.LOST]
