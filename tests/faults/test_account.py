"""The accountant finds what it is there to find: a fault test can fail."""

from dataclasses import replace

import pytest

from tests.support.account import Account, Post, Row


def post(task_id: str, *, at: float, device: str = "DEVICE1") -> Post:
    return Post(device, f"key-{task_id}", at, at + 0.5, 200, task_id)


def task(task_id: str, *, device: str = "DEVICE1") -> Row:
    return {"taskId": task_id, "equipment": device, "state": "succeeded", "attempt": 1}


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


CLEAN = Account(
    posts=[post("a", at=1), post("b", at=2), post("c", at=2, device="DEVICE2")],
    tasks=[task("a"), task("b"), task("c", device="DEVICE2")],
    calls=[call("a", at=3), call("b", at=4), call("c", at=3, device="DEVICE2")],
)
NO_ANSWER = Post("DEVICE2", "key-c", 2, 9, None, None)


def test_a_clean_account_has_no_faults() -> None:
    """What was asked for was done once, in order."""
    assert CLEAN.faults() == []


def test_a_task_of_an_unanswered_post_is_expected() -> None:
    """A gateway that is killed after its commit leaves a task, and no answer."""
    account = replace(CLEAN, posts=[*CLEAN.posts[:2], NO_ANSWER])

    assert account.faults() == []


@pytest.mark.parametrize(
    ("kind", "account"),
    [
        ("lost", replace(CLEAN, posts=[*CLEAN.posts, post("d", at=5)])),
        (
            "unfinished",
            replace(CLEAN, tasks=[*CLEAN.tasks[:2], CLEAN.tasks[2] | {"state": "queued"}]),
        ),
        ("unexpected task", replace(CLEAN, posts=CLEAN.posts[:2])),
        ("unexpected call", replace(CLEAN, calls=[*CLEAN.calls, call("x", at=9)])),
        (
            "two tasks for one key",
            replace(CLEAN, posts=[*CLEAN.posts[:2], replace(CLEAN.posts[2], key="key-a")]),
        ),
        (
            "accepted out of order",
            replace(CLEAN, tasks=[CLEAN.tasks[1], CLEAN.tasks[0], CLEAN.tasks[2]]),
        ),
        (
            "activated twice",
            replace(CLEAN, calls=[*CLEAN.calls, call("c", at=9, device="DEVICE2")]),
        ),
        (
            "attempt called twice",
            replace(
                CLEAN,
                calls=[*CLEAN.calls, call("c", at=9, device="DEVICE2") | {"activated": False}],
            ),
        ),
        (
            "overlapping",
            replace(CLEAN, calls=[call("a", at=3), call("b", at=3.2), CLEAN.calls[2]]),
        ),
        (
            "called out of order",
            replace(CLEAN, calls=[call("b", at=3), call("a", at=4), CLEAN.calls[2]]),
        ),
        ("succeeded without an activation", replace(CLEAN, calls=CLEAN.calls[:2])),
        (
            "store and handler disagree",
            replace(CLEAN, tasks=[*CLEAN.tasks[:2], CLEAN.tasks[2] | {"state": "failed"}]),
        ),
    ],
)
def test_each_fault_is_found(kind: str, account: Account) -> None:
    """One row is wrong, and the account says how."""
    assert kind in {fault.kind for fault in account.faults()}
