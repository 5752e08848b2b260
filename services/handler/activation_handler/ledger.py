"""The ledger: every call that reached the handler, and what it finds to object to.

It lives in memory and keeps the latest `LIMIT` calls, and as many questions. It holds the names of
parameters, never their values.
"""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Final

LIMIT: Final = 200_000  # calls; with the memory of its key each takes about 0.7 kB


@dataclass(slots=True)
class Call:
    """One call of the handler.

    Attributes:
        sequence: Counts the calls from 1, in the order in which they came.
        key: The `Idempotency-Key`: the task's id.
        attempt: The `X-Attempt` header, if it is a number.
        parameters: The names of the parameters.
        started_at: Seconds since 1970 (Unix time).
        ended_at: The same; None while the call is in progress.
        outcome: The status that was answered; the name of the fault that was played; `left` if the
            caller had gone before; `stopped` if the handler had to stop first.
        activated: This call switched the device on.
        repeated: It was answered by, or together with, an earlier call of the same key.
    """

    sequence: int
    equipment: str
    key: str | None
    attempt: int | None
    parameters: tuple[str, ...]
    started_at: float
    ended_at: float | None = None
    outcome: str | None = None
    activated: bool = False
    repeated: bool = False

    def in_progress_at(self, moment: float) -> bool:
        """Whether a call that began before the moment had not ended then."""
        return self.ended_at is None or self.ended_at > moment


@dataclass(frozen=True, slots=True)
class Question:
    """Somebody asked what became of a call.

    Attributes:
        key: The call's `Idempotency-Key`.
        asked_at: Seconds since 1970 (Unix time).
        status: What was answered: 200 activated, 202 in progress, 404 neither.
    """

    equipment: str
    key: str
    asked_at: float
    status: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The ledger in numbers.

    Attributes:
        calls: How many calls the ledger holds.
        questions: How many questions.
        forgotten: How many it dropped because it was full.
        activations: How often a device was switched on.
        activated_more_than_once: Keys that switched a device on twice; there must be none.
        overlapping: For each device how many of its calls began while a call with another key, or
            with none, was in progress.
        in_progress: Calls that have not ended.
        max_in_progress: The most that were in progress at one moment.
    """

    calls: int
    questions: int
    forgotten: int
    activations: int
    activated_more_than_once: list[str]
    overlapping: dict[str, int]
    in_progress: int
    max_in_progress: int


def steady_clock() -> Callable[[], float]:
    """Return a clock of Unix time that never steps back, so that intervals can be compared."""
    offset_s = time.time() - time.monotonic()
    return lambda: offset_s + time.monotonic()


class Ledger:
    """Records calls.

    Args:
        now: Returns Unix time in seconds and never steps back.
    """

    def __init__(self, *, now: Callable[[], float], limit: int = LIMIT) -> None:
        self._now = now
        self._calls: deque[Call] = deque(maxlen=limit)
        self._questions: deque[Question] = deque(maxlen=limit)
        self._sequence = 0
        self._cleared_at = 0  # the sequence number of the last call that was cleared on purpose

    def begin(
        self, equipment: str, key: str | None, attempt: int | None, parameters: Iterable[str]
    ) -> Call:
        """Record that a call came in."""
        self._sequence += 1
        call = Call(self._sequence, equipment, key, attempt, tuple(parameters), self._now())
        self._calls.append(call)
        return call

    def end(self, call: Call, outcome: str) -> None:
        """Record what the caller was answered, or what was done to it."""
        call.outcome = outcome
        call.ended_at = self._now()

    def note(self, equipment: str, key: str, status: int) -> None:
        """Record a question and its answer."""
        self._questions.append(Question(equipment, key, self._now(), status))

    def calls(self, *, equipment: str | None = None, key: str | None = None) -> list[Call]:
        """Return the calls, oldest first, of one device or key if one is given."""
        return [
            call
            for call in self._calls
            if equipment in (None, call.equipment) and key in (None, call.key)
        ]

    def questions(self, *, equipment: str | None = None, key: str | None = None) -> list[Question]:
        """Return the questions, oldest first, about one device or key if one is given."""
        return [
            question
            for question in self._questions
            if equipment in (None, question.equipment) and key in (None, question.key)
        ]

    def clear(self) -> None:
        """Forget all calls and questions; the sequence goes on."""
        self._calls.clear()
        self._questions.clear()
        self._cleared_at = self._sequence

    def summary(self) -> Summary:
        """Sum up what the ledger holds."""
        activations = Counter(call.key for call in self._calls if call.activated)
        return Summary(
            calls=len(self._calls),
            questions=len(self._questions),
            forgotten=self._sequence - self._cleared_at - len(self._calls),
            activations=activations.total(),
            activated_more_than_once=[
                key for key, times in activations.items() if key is not None and times > 1
            ],
            overlapping=_overlapping(self._calls),
            in_progress=sum(call.ended_at is None for call in self._calls),
            max_in_progress=_max_in_progress(self._calls),
        )


def _overlapping(calls: Iterable[Call]) -> dict[str, int]:
    overlaps: Counter[str] = Counter()
    latest: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        still = [one for one in latest[call.equipment] if one.in_progress_at(call.started_at)]
        if any(one.key is None or one.key != call.key for one in still):
            overlaps[call.equipment] += 1
        latest[call.equipment] = [*still, call]
    return dict(overlaps)


def _max_in_progress(calls: Iterable[Call]) -> int:
    most = 0
    ends: list[float] = []
    for call in calls:
        while ends and ends[0] <= call.started_at:
            heappop(ends)
        heappush(ends, inf if call.ended_at is None else call.ended_at)
        most = max(most, len(ends))
    return most
