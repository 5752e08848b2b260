"""The accountant: what was asked for, what the store says and what the handler saw must agree.

It knows nothing of the services' code; it compares three lists and names every row that is wrong.
The vocabulary is Jepsen's (jepsen.checker, `set-full` and `total-queue`), as far as it reaches.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from http import HTTPStatus
from itertools import pairwise
from typing import Any, Final

Row = dict[str, Any]

REQUEST: Final = "request"  # the parameter by which a task names the request that it belongs to

_UNFINISHED: Final = frozenset({"queued", "running"})
_ANSWERED: Final = frozenset({HTTPStatus.OK, HTTPStatus.ACCEPTED})
_UNCLEAR: Final = frozenset({None, HTTPStatus.SERVICE_UNAVAILABLE})
_STILL: Final = float("inf")
_ASKED: Final = "The handler was asked"  # so begins what an attempt without a call says


class Verdict(StrEnum):
    """What became of a request, a task or a call."""

    OK = "ok"  # accepted, and ended
    RECOVERED = "recovered"  # the POST was never accepted, but the task exists and ended
    REFUSED = "refused"  # a clear no, and no task
    UNANSWERED = "unanswered"  # no answer, and no task
    LOST = "lost"  # accepted, and unknown to the store or never ended
    DUPLICATED = "duplicated"  # done twice, or called twice as the same attempt
    UNEXPECTED = "unexpected"  # a task or a call that nobody asked for
    OUT_OF_ORDER = "out of order"  # tasks of a device overlap, or overtake each other
    CONTRADICTED = "contradicted"  # the store says other than what the handler answered
    UNMET = "unmet"  # something else that the scenario promises


VIOLATIONS: Final = tuple(Verdict)[list(Verdict).index(Verdict.LOST) :]


@dataclass(frozen=True, slots=True)
class Post:
    """A request for an activation, and what became of it.

    Attributes:
        key: Its `Idempotency-Key`, if it had one.
        sent_at: On the monotonic clock, as `answered_at`.
        status: None: the connection failed, and nobody knows whether the task was stored.
    """

    equipment: str
    key: str | None
    sent_at: float
    answered_at: float
    status: int | None
    task_id: str | None

    @property
    def accepted(self) -> bool:
        """Whether the answer promised a task."""
        return self.status in _ANSWERED


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation, and one row where it is.

    Attributes:
        what: Which kind of it, in words.
    """

    verdict: Verdict
    what: str
    row: object


@dataclass(frozen=True)
class Account:
    """Three lists that must agree.

    Attributes:
        posts: In the order in which they were answered.
        tasks: As the API of the store lists them, those of a device in the order accepted.
        calls: The handler's ledger, in the order in which calls came; None if it cannot be read,
            and then nothing is said about what the handler saw.
    """

    posts: Sequence[Post]
    tasks: Sequence[Row]
    calls: Sequence[Row] | None

    @property
    def known_calls(self) -> Sequence[Row]:
        """The calls; none if the ledger cannot be read."""
        return self.calls or ()

    def task(self, task_id: str) -> Row:
        """Return a task that must be in the store."""
        return self._task_by_id[task_id]

    def calls_of(self, task_id: str) -> list[Row]:
        """Return the calls of a task, oldest first."""
        return self._calls_by_key.get(task_id, [])

    def findings(self) -> list[Finding]:
        """Return everything that is wrong; an empty list is a clean account."""
        return [
            *self._lost(),
            *self._unfinished(),
            *self._unexpected_tasks(),
            *self._two_tasks(),
            *self._accepted_out_of_order(),
            *([] if self.calls is None else self._findings_of_the_ledger(self.calls)),
        ]

    def verdicts(self) -> dict[str, Verdict]:
        """Say for every request with a key what became of it."""
        found = self.findings()
        lost = {_named(finding.row) for finding in found if finding.verdict is Verdict.LOST}
        return {
            str(key): self._verdict(posts, self._tasks_by_request.get(key, []), lost)
            for key, posts in self._posts_by_key.items()
        }

    def first_posts(self) -> list[Post]:
        """Return the first POST of every request with a key."""
        return [posts[0] for posts in self._posts_by_key.values()]

    def request_of(self, task: Row) -> str | None:
        """Return the key of the request that a task belongs to."""
        named = (task.get("parameters") or {}).get(REQUEST)
        return self._key_by_task.get(task["taskId"]) or (None if named is None else str(named))

    def _verdict(self, posts: Sequence[Post], tasks: Sequence[Row], lost: set[str]) -> Verdict:
        accepted = [post for post in posts if post.accepted]
        if any(str(post.task_id) in lost for post in accepted):
            return Verdict.LOST
        if len(tasks) > 1 or any(self._activations[task["taskId"]] > 1 for task in tasks):
            return Verdict.DUPLICATED
        if accepted:
            return Verdict.OK
        if tasks:
            return Verdict.LOST if tasks[0]["state"] in _UNFINISHED else Verdict.RECOVERED
        unclear = any(post.status in _UNCLEAR for post in posts)
        return Verdict.UNANSWERED if unclear else Verdict.REFUSED

    def _findings_of_the_ledger(self, calls: Sequence[Row]) -> Iterator[Finding]:
        yield from self._unexpected_calls(calls)
        yield from self._activated_twice()
        yield from self._attempt_called_twice()
        yield from self._overlapping()
        yield from self._called_out_of_order()
        yield from self._contradicted()

    def _lost(self) -> Iterable[Finding]:
        """Find promises that the store does not know."""
        return [
            Finding(Verdict.LOST, "unknown to the store", post)
            for post in self.posts
            if post.accepted and post.task_id not in self._task_by_id
        ]

    def _unfinished(self) -> Iterable[Finding]:
        return [
            Finding(Verdict.LOST, "unfinished", task)
            for task in self.tasks
            if task["state"] in _UNFINISHED
        ]

    def _unexpected_tasks(self) -> Iterable[Finding]:
        """Find tasks that nobody asked for.

        A task is expected that was promised, or that names a request. One that does neither may
        come from a POST without a clear answer, and each such POST can have made one.
        """
        unclear = Counter(post.equipment for post in self.posts if post.status in _UNCLEAR)
        for task in self.tasks:
            if self.request_of(task) in self._posts_by_key or task["taskId"] in self._promised:
                continue
            unclear[task["equipment"]] -= 1
            if unclear[task["equipment"]] < 0:
                yield Finding(Verdict.UNEXPECTED, "unexpected task", task)

    def _unexpected_calls(self, calls: Sequence[Row]) -> Iterable[Finding]:
        for call in calls:
            task = self._task_by_id.get(call["key"])
            if task is None or task["equipment"] != call["equipment"]:
                yield Finding(Verdict.UNEXPECTED, "unexpected call", call)

    def _two_tasks(self) -> Iterable[Finding]:
        for key, posts in self._posts_by_key.items():
            tasks = {post.task_id for post in posts if post.accepted}
            tasks |= {task["taskId"] for task in self._tasks_by_request.get(key, [])}
            if len(tasks) > 1:
                yield Finding(Verdict.DUPLICATED, "two tasks for one request", (key, tasks))

    def _accepted_out_of_order(self) -> Iterable[Finding]:
        """Find POSTs of a device, sent one after the other, whose tasks stand the other way."""
        latest: dict[str, Post] = {}
        for post in sorted(self.posts, key=lambda post: post.sent_at):
            if not post.accepted or post.task_id not in self._place or self._is_repeat(post):
                continue
            before = latest.get(post.equipment)
            if before is None or before.task_id is None:
                latest[post.equipment] = post
            elif before.answered_at < post.sent_at:
                if self._place[before.task_id] > self._place[post.task_id]:
                    yield Finding(Verdict.OUT_OF_ORDER, "accepted out of order", (before, post))
                latest[post.equipment] = post

    def _is_repeat(self, post: Post) -> bool:
        """Tell whether an earlier POST of the request may have made the task."""
        return post.key is not None and self._posts_by_key[post.key][0] is not post

    def _activated_twice(self) -> Iterable[Finding]:
        return [
            Finding(Verdict.DUPLICATED, "activated twice", self.calls_of(key))
            for key, count in self._activations.items()
            if count > 1
        ]

    def _attempt_called_twice(self) -> Iterable[Finding]:
        """Find attempts that were called twice, or after a later one had been."""
        for calls in self._calls_by_key.values():
            if any(earlier["attempt"] >= later["attempt"] for earlier, later in pairwise(calls)):
                yield Finding(Verdict.DUPLICATED, "attempt called twice", calls)

    def _overlapping(self) -> Iterable[Finding]:
        """Find calls of a device that began while the work for another of its tasks went on."""
        for calls in self._calls_by_device.values():
            for n, call in enumerate(calls):
                for other in calls[:n]:
                    if other["key"] != call["key"] and self._over_at(other) > call["started_at"]:
                        yield Finding(Verdict.OUT_OF_ORDER, "overlapping", (other, call))

    def _over_at(self, call: Row) -> float:
        """Return when the work of a call was over.

        A call may go on although nobody waits for it any more. Its work is over at the latest when
        a call with the same key is told of success.
        """
        told = [
            other["ended_at"]
            for other in self.calls_of(call["key"])
            if other["outcome"] == "200" and (other["ended_at"] or 0) >= call["started_at"]
        ]
        return float(min([call["ended_at"] or _STILL, *told]))

    def _called_out_of_order(self) -> Iterable[Finding]:
        for calls in self._calls_by_device.values():
            known = [call for call in calls if call["key"] in self._place]
            for earlier, later in pairwise(known):
                if self._place[earlier["key"]] > self._place[later["key"]]:
                    yield Finding(Verdict.OUT_OF_ORDER, "called out of order", (earlier, later))

    def _contradicted(self) -> Iterable[Finding]:
        """Find ends that the handler's answer to the last attempt does not bear out."""
        for task in self.tasks:
            calls = self.calls_of(task["taskId"])
            succeeded = task["state"] == "succeeded"
            if succeeded and not any(call["activated"] for call in calls):
                what = "succeeded without an activation"
                yield Finding(Verdict.CONTRADICTED, what, (task, calls))
            answer = next((c["outcome"] for c in calls if c["attempt"] == task["attempt"]), None)
            if answer is None and succeeded and str(task.get("detail")).startswith(_ASKED):
                continue  # by an earlier call, and that one has activated the device
            if task["state"] not in _UNFINISHED and succeeded != (answer == "200"):
                what = "store and handler disagree"
                yield Finding(Verdict.CONTRADICTED, what, (task, calls))

    @cached_property
    def _task_by_id(self) -> Mapping[str, Row]:
        return {task["taskId"]: task for task in self.tasks}

    @cached_property
    def _place(self) -> Mapping[str | None, int]:
        return {task["taskId"]: n for n, task in enumerate(self.tasks)}

    @cached_property
    def _promised(self) -> frozenset[str | None]:
        return frozenset(post.task_id for post in self.posts if post.accepted)

    @cached_property
    def _key_by_task(self) -> Mapping[str | None, str]:
        return {post.task_id: post.key for post in self.posts if post.accepted and post.key}

    @cached_property
    def _posts_by_key(self) -> Mapping[str | None, Sequence[Post]]:
        by_key: defaultdict[str | None, list[Post]] = defaultdict(list)
        for post in sorted(self.posts, key=lambda post: post.sent_at):
            if post.key is not None:
                by_key[post.key].append(post)
        return dict(by_key)

    @cached_property
    def _tasks_by_request(self) -> Mapping[str | None, Sequence[Row]]:
        by_request: defaultdict[str | None, list[Row]] = defaultdict(list)
        for task in self.tasks:
            by_request[self.request_of(task)].append(task)
        return dict(by_request)

    @cached_property
    def _calls_by_key(self) -> Mapping[str, list[Row]]:
        return _grouped(self.known_calls, "key")

    @cached_property
    def _calls_by_device(self) -> Mapping[str, list[Row]]:
        return _grouped(self.known_calls, "equipment")

    @cached_property
    def _activations(self) -> Counter[str]:
        return Counter(call["key"] for call in self.known_calls if call["activated"])


def _grouped(rows: Iterable[Row], by: str) -> dict[str, list[Row]]:
    groups: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row[by]].append(row)
    return dict(groups)


def _named(row: object) -> str:
    """Return the task that a finding of a loss is about."""
    return str(row.task_id) if isinstance(row, Post) else str(row["taskId"])  # type: ignore[index]
