"""What scenarios promise beyond the account that is kept of all of them."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from itertools import pairwise
from typing import Final

from activation_cli.verify.accountant import Account, Finding, Row, Verdict

FIRST_REST_S: Final = 4.0  # of the breaker, in the scenarios that promise one

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


def few_are_refused_in_the_end(account: Account) -> Iterable[Finding]:
    """Some calls are refused with 429, and of the later half of all calls hardly any."""
    refused = [call["outcome"] == "429" for call in account.calls or ()]
    later = refused[len(refused) // 2 :]
    if account.calls is not None and not any(refused):
        yield Finding(Verdict.UNMET, "the fault struck nothing", "no call was refused")
    if sum(later) > len(later) / 10:
        said = f"{sum(later)} of the last {len(later)}"
        yield Finding(Verdict.UNMET, "too many calls were refused to the end", said)


def it_is_left_in_peace(account: Account) -> Iterable[Finding]:
    """Calls are refused with 503, and then nobody calls for nearly as long as the first rest."""
    calls = account.calls or ()
    if account.calls is not None and all(call["outcome"] != "503" for call in calls):
        yield Finding(Verdict.UNMET, "the fault struck nothing", "no call was answered 503")
    begun = sorted(call["started_at"] for call in calls)
    longest_s = max((later - earlier for earlier, later in pairwise(begun)), default=0.0)
    if account.calls is not None and longest_s < FIRST_REST_S - 1.0:
        said = f"the longest time without a call was {longest_s:.1f} s"
        yield Finding(Verdict.UNMET, "it was called all the time", said)


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


def only_the_longest_line_waits(account: Account) -> Iterable[Finding]:
    """Tasks of other devices do not wait for the tasks of the one that has most."""
    lines: defaultdict[str, list[float]] = defaultdict(list)
    for task in account.tasks:
        if task["finishedAt"] is not None:
            lines[task["equipment"]].append(_took_s(task))
    longest = max(lines.values(), key=len, default=[])
    others = [took_s for line in lines.values() if line is not longest for took_s in line]
    if others and max(others) > max(longest) / 2:
        said = f"others took up to {max(others):.1f} s, it took {max(longest):.1f} s"
        yield Finding(Verdict.UNMET, "other devices waited for the longest line", said)


def _took_s(task: Row) -> float:
    accepted, finished = (
        datetime.fromisoformat(task[name]) for name in ("acceptedAt", "finishedAt")
    )
    return (finished - accepted).total_seconds()


def answers_are_missed(account: Account) -> Iterable[Finding]:
    """The fault strikes: at least one POST stays without an answer."""
    if all(post.status is not None for post in account.posts):
        yield Finding(Verdict.UNMET, "the fault struck nothing", "every POST was answered")


def refused_with_503(account: Account) -> Iterable[Finding]:
    """The fault strikes: POSTs are answered 503, and no other way says no."""
    statuses = {post.status for post in account.posts if not post.accepted}
    if HTTPStatus.SERVICE_UNAVAILABLE not in statuses:
        yield Finding(Verdict.UNMET, "the fault struck nothing", "no POST was answered 503")
    for status in sorted(statuses - {None, HTTPStatus.SERVICE_UNAVAILABLE}, key=str):
        yield Finding(Verdict.UNMET, "refused in another way than by 503", status)


def attempts_do_not_overlap(account: Account) -> Iterable[Finding]:
    """No attempt begins while an earlier one of the same task goes on: no lease is stolen."""
    for task in account.tasks:
        for earlier, later in pairwise(account.calls_of(task["taskId"])):
            if earlier["ended_at"] is None or later["started_at"] < earlier["ended_at"]:
                yield Finding(Verdict.UNMET, "attempts overlap", (earlier, later))
