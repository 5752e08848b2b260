"""What scenarios promise beyond the account that is kept of all of them."""

from collections.abc import Callable, Iterable

from activation_cli.verify.accountant import Account, Finding, Verdict

Promise = Callable[[Account], Iterable[Finding]]


def all_succeed(account: Account) -> Iterable[Finding]:
    """Every task succeeds in the end."""
    for task in account.tasks:
        if task["state"] in {"failed", "cancelled"}:
            yield Finding(Verdict.UNMET, "a task did not succeed", task)


def nothing_is_called_again(account: Account) -> Iterable[Finding]:
    """Every task is called once: the fault costs no attempt."""
    for task in account.tasks:
        calls = account.calls_of(task["taskId"])
        if len(calls) > 1:
            yield Finding(Verdict.UNMET, "a task was called again", (task, calls))


def one_is_given_up(account: Account) -> Iterable[Finding]:
    """One task becomes a dead letter, and all others succeed."""
    dead = [task for task in account.tasks if task["deadLetter"]]
    failed = [task for task in account.tasks if task["state"] != "succeeded"]
    if len(dead) != 1 or failed != dead:
        yield Finding(Verdict.UNMET, f"{len(dead)} given up, {len(failed)} not succeeded", failed)


def something_is_called_again(account: Account) -> Iterable[Finding]:
    """The fault strikes: at least one task needs a second attempt."""
    if account.calls and all(task["attempt"] <= 1 for task in account.tasks):
        yield Finding(Verdict.UNMET, "the fault struck nothing", "no task has a second attempt")


def answers_are_missed(account: Account) -> Iterable[Finding]:
    """The fault strikes: at least one POST stays without an answer."""
    if all(post.status is not None for post in account.posts):
        yield Finding(Verdict.UNMET, "the fault struck nothing", "every POST was answered")
