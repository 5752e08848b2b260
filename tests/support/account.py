"""The accountant: what was asked for, what the store says and what the handler saw must agree.

It knows nothing of the services' code; it compares three lists and names every row that is wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

Row = dict[str, Any]

_UNFINISHED = frozenset({"queued", "running"})
_ANSWERED = frozenset({200, 202})
_STILL = float("inf")


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
class Fault:
    """One kind of thing that must not be, and one row where it is."""

    kind: str
    row: object


@dataclass(frozen=True, slots=True)
class Account:
    """Three lists that must agree.

    Attributes:
        posts: In the order in which they were answered.
        tasks: As the API of the store lists them, in the order accepted.
        calls: The handler's ledger, in the order in which calls came.
    """

    posts: Sequence[Post]
    tasks: Sequence[Row]
    calls: Sequence[Row]

    def task(self, task_id: str) -> Row:
        """Return a task that must be in the store."""
        return next(task for task in self.tasks if task["taskId"] == task_id)

    def calls_of(self, task_id: str) -> list[Row]:
        """Return the calls of a task, oldest first."""
        return [call for call in self.calls if call["key"] == task_id]

    def faults(self) -> list[Fault]:
        """Return everything that is wrong; an empty list is a clean account."""
        return [
            *self._lost(),
            *self._unfinished(),
            *self._unexpected(),
            *self._two_tasks_for_one_key(),
            *self._accepted_out_of_order(),
            *self._activated_twice(),
            *self._attempt_called_twice(),
            *self._overlapping(),
            *self._called_out_of_order(),
            *self._disagreeing(),
        ]

    def _lost(self) -> Iterable[Fault]:
        """Find promises that the store does not know."""
        stored = {task["taskId"] for task in self.tasks}
        return [
            Fault("lost", post)
            for post in self.posts
            if post.accepted and post.task_id not in stored
        ]

    def _unfinished(self) -> Iterable[Fault]:
        return [Fault("unfinished", task) for task in self.tasks if task["state"] in _UNFINISHED]

    def _unexpected(self) -> Iterable[Fault]:
        """Find tasks and calls that nobody asked for; an unanswered POST may have made one task."""
        promised = {post.task_id for post in self.posts if post.accepted}
        unclear = Counter(
            post.equipment for post in self.posts if post.status is None or post.status == 503
        )
        for task in self.tasks:
            if task["taskId"] in promised:
                continue
            unclear[task["equipment"]] -= 1
            if unclear[task["equipment"]] < 0:
                yield Fault("unexpected task", task)
        stored = {task["taskId"]: task["equipment"] for task in self.tasks}
        for call in self.calls:
            if stored.get(call["key"]) != call["equipment"]:
                yield Fault("unexpected call", call)

    def _two_tasks_for_one_key(self) -> Iterable[Fault]:
        answers: defaultdict[str, set[str | None]] = defaultdict(set)
        for post in self.posts:
            if post.key is not None and post.accepted:
                answers[post.key].add(post.task_id)
        return [
            Fault("two tasks for one key", (key, tasks))
            for key, tasks in answers.items()
            if len(tasks) > 1
        ]

    def _accepted_out_of_order(self) -> Iterable[Fault]:
        """Find POSTs of a device, sent one after the other, whose tasks stand the other way."""
        place = {task["taskId"]: n for n, task in enumerate(self.tasks)}
        latest: dict[str, Post] = {}
        for post in sorted(self.posts, key=lambda post: post.sent_at):
            if not post.accepted or post.task_id not in place:
                continue
            before = latest.get(post.equipment)
            if before is None or before.task_id is None:
                latest[post.equipment] = post
            elif before.answered_at < post.sent_at:
                if place[before.task_id] > place[post.task_id]:
                    yield Fault("accepted out of order", (before, post))
                latest[post.equipment] = post

    def _activated_twice(self) -> Iterable[Fault]:
        times = Counter(call["key"] for call in self.calls if call["activated"])
        return [
            Fault("activated twice", self.calls_of(key))
            for key, count in times.items()
            if count > 1
        ]

    def _attempt_called_twice(self) -> Iterable[Fault]:
        """Find attempts that were called twice, or after a later one had been."""
        for key in {call["key"] for call in self.calls}:
            attempts = [call["attempt"] for call in self.calls_of(key)]
            if any(earlier >= later for earlier, later in pairwise(attempts)):
                yield Fault("attempt called twice", self.calls_of(key))

    def _overlapping(self) -> Iterable[Fault]:
        """Find calls of a device that began while a call of another of its tasks went on."""
        for calls in self._calls_by_device().values():
            for n, call in enumerate(calls):
                for other in calls[:n]:
                    ended_at = other["ended_at"] or _STILL
                    if other["key"] != call["key"] and ended_at > call["started_at"]:
                        yield Fault("overlapping", (other, call))

    def _called_out_of_order(self) -> Iterable[Fault]:
        place = {task["taskId"]: n for n, task in enumerate(self.tasks)}
        for calls in self._calls_by_device().values():
            known = [call for call in calls if call["key"] in place]
            for earlier, later in pairwise(known):
                if place[earlier["key"]] > place[later["key"]]:
                    yield Fault("called out of order", (earlier, later))

    def _disagreeing(self) -> Iterable[Fault]:
        """Find ends that the handler's answer to the last attempt does not bear out."""
        for task in self.tasks:
            calls = self.calls_of(task["taskId"])
            succeeded = task["state"] == "succeeded"
            if succeeded and not any(call["activated"] for call in calls):
                yield Fault("succeeded without an activation", (task, calls))
            answer = next((c["outcome"] for c in calls if c["attempt"] == task["attempt"]), None)
            if task["state"] not in _UNFINISHED and succeeded != (answer == "200"):
                yield Fault("store and handler disagree", (task, calls))

    def _calls_by_device(self) -> dict[str, list[Row]]:
        devices: defaultdict[str, list[Row]] = defaultdict(list)
        for call in self.calls:
            devices[call["equipment"]].append(call)
        return devices
