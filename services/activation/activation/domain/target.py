"""Protection of the target, the system behind the handler's URL: when it is called, and when not.

A circuit breaker (M. Nygard, "Release It!", chapter 5): calls that keep failing open it, and after
a rest one call at a time probes whether the target is back. The target's own `Retry-After` (RFC
9110 section 10.2.3) holds all tasks back: the wish is about the target, not about a device. How
many calls it is given at once follows from what it bears; `limit` says when it had too many.
"""

import math
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from activation.domain.outcome import Outcome, Reason

# A 500 is an answer about one device: the target itself is well.
_TROUBLE: Final = frozenset(
    {
        Reason.OVERLOADED,
        Reason.UNAVAILABLE,
        Reason.UNREACHABLE,
        Reason.UNREADABLE,
        Reason.NO_ANSWER,
    }
)
_ASKS_FOR_REST: Final = frozenset({Reason.OVERLOADED, Reason.UNAVAILABLE})
_SMALLEST_EXTENSION: Final = timedelta(seconds=1)  # of a hold: less is not worth a write
_DECREASE: Final = 0.5  # of the calls that were too many
_FORGOTTEN_AFTER: Final = 10.0  # recoveries: the limit would be 365 times what was too many


class Standing(StrEnum):
    """Whether the target is called."""

    CLOSED = "closed"  # as in an electric circuit: calls pass
    OPEN = "open"  # no call until a moment
    HALF_OPEN = "half_open"  # one call at a time probes whether the target is back
    PAUSED = "paused"  # no call until an operator resumes


@dataclass(frozen=True, slots=True)
class Target:
    """What all workers know about the target.

    Attributes:
        paused_at: Since when an operator keeps all calls back.
        held_until: No call before this moment.
        trips: How often in a row the breaker has opened; 0: it is closed.
        prober: Which worker probes.
        probe_until: When its probe is given up, unless it gives a sign of life.
        why: What made the target be held back, in words, without secrets.
        max_calls: How many calls at once an operator allows; None: that is not for them to say.
        overload_calls: How many were under way when the target last had too many.
        overload_at: When that was.
        recovered_at: When it is given as many again.
    """

    paused_at: datetime | None = None
    held_until: datetime | None = None
    trips: int = 0
    prober: str | None = None
    probe_until: datetime | None = None
    why: str | None = None
    max_calls: int | None = None
    overload_calls: int | None = None
    overload_at: datetime | None = None
    recovered_at: datetime | None = None

    def standing(self, now: datetime) -> Standing:
        """Say whether the target is called now."""
        if self.paused_at is not None:
            return Standing.PAUSED
        if self.held_until is not None and self.held_until > now:
            return Standing.OPEN
        return Standing.HALF_OPEN if self.trips else Standing.CLOSED

    def pause(self, now: datetime) -> "Target":
        """Keep all calls back until somebody resumes; a second pause changes nothing."""
        return self if self.paused_at is not None else replace(self, paused_at=now)

    def resume(self) -> "Target":
        """Let all calls pass at once, whatever held them back; an operator's limit stays."""
        return Target(max_calls=self.max_calls)

    def limit(self, now: datetime) -> int | None:
        """Say how many calls may be under way, of all workers together; None: any number."""
        limits = [n for n in (self.max_calls, self._learned_limit(now)) if n is not None]
        return min(limits, default=None)

    def bound(self, max_calls: int | None) -> "Target":
        """Allow so many calls at once, None: any number, and forget what was learned of it."""
        return replace(
            self, max_calls=max_calls, overload_calls=None, overload_at=None, recovered_at=None
        )

    def overload(self, calls: int, now: datetime, recovery: timedelta) -> "Target":
        """Learn that so many calls at once were too many."""
        return replace(self, overload_calls=calls, overload_at=now, recovered_at=now + recovery)

    def _learned_limit(self, now: datetime) -> int | None:
        """Follow a cubic function of the time since the overload, as CUBIC does (RFC 9438).

        From half of what was too many it rises fast, then slowly towards that number, which it
        reaches with the recovery, and then faster and faster beyond.
        """
        if self.overload_calls is None or self.overload_at is None or self.recovered_at is None:
            return None
        recoveries = (now - self.overload_at) / (self.recovered_at - self.overload_at)
        if recoveries >= _FORGOTTEN_AFTER:
            return None
        share = 1 - (1 - _DECREASE) * (1 - max(0.0, recoveries)) ** 3
        return max(1, math.floor(self.overload_calls * share))

    def probe(self, worker: str, now: datetime, lease: timedelta) -> "Target":
        """Let a worker probe, unless another one does or it is not the time."""
        taken = self.probe_until is not None and self.probe_until > now
        if taken or self.standing(now) is not Standing.HALF_OPEN:
            return self
        return replace(self, prober=worker, probe_until=now + lease)

    def renew_probe(self, worker: str, now: datetime, lease: timedelta) -> "Target":
        """Give a sign of life of a probe."""
        return replace(self, probe_until=now + lease) if self.prober == worker else self

    def end_probe(self, worker: str) -> "Target":
        """End a probe that has told nothing."""
        return replace(self, prober=None, probe_until=None) if self.prober == worker else self


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When the target is held back, and for how long.

    Devices that fail by themselves do not open the breaker as long as others succeed: nearly all of
    a worker's latest calls must have failed.

    Attributes:
        enabled: False: only an operator's pause keeps calls back.
        calls: How many of a worker's latest calls are looked at; fewer say nothing.
        failure_share: The share of them that must have failed.
        window_s: Calls that ended longer ago are not looked at.
        base_s: The rest after the first opening; it doubles with each failed probe.
        cap_s: Upper bound of every rest.
        retry_after_cap_s: Upper bound of a rest that the target asks for.
    """

    enabled: bool = True
    calls: int = 20
    failure_share: float = 0.8
    window_s: float = 300.0
    base_s: float = 5.0
    cap_s: float = 60.0
    retry_after_cap_s: float = 300.0

    def after_call(
        self, target: Target, outcome: Outcome, now: datetime, *, failing: bool
    ) -> Target:
        """Say what a usual call makes of the target; most calls change nothing.

        Args:
            target: As it is.
            outcome: What the call ended with.
            now: The time.
            failing: The latest calls of the worker have failed, by `RecentCalls`.
        """
        if not self.enabled or not tells_of_trouble(outcome):
            return target
        if failing and not target.trips:
            return self._open(target, outcome, now)
        until = self._asked_until(outcome, now)
        if until is None or _reaches(target, until - _SMALLEST_EXTENSION):
            return target
        return replace(target, held_until=until, why=_words(outcome))

    def after_probe(
        self, target: Target, outcome: Outcome, now: datetime, *, worker: str
    ) -> Target:
        """Say what the end of a worker's probe makes of the target."""
        if target.prober != worker:  # it took too long, and is another's turn now
            return self.after_call(target, outcome, now, failing=False)
        if tells_of_trouble(outcome):
            return self._open(target, outcome, now)
        if outcome.withdrawn:
            return target.end_probe(worker)
        return replace(target, held_until=None, trips=0, prober=None, probe_until=None, why=None)

    def _open(self, target: Target, outcome: Outcome, now: datetime) -> Target:
        exponent = min(target.trips, 32)  # beyond this the cap rules, and 2.0**n stays finite
        rest_s = min(self.cap_s, self.base_s * 2.0**exponent)
        asked = self._asked_until(outcome, now) or now
        return replace(
            target,
            held_until=max(asked, now + timedelta(seconds=rest_s)),
            trips=target.trips + 1,
            prober=None,
            probe_until=None,
            why=_words(outcome),
        )

    def _asked_until(self, outcome: Outcome, now: datetime) -> datetime | None:
        if not outcome.retry_after_s or outcome.reason not in _ASKS_FOR_REST:
            return None
        return now + timedelta(seconds=min(outcome.retry_after_s, self.retry_after_cap_s))


class RecentCalls:
    """The latest calls of one worker.

    Args:
        policy: How many of them count, and how many may fail.
    """

    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._window = timedelta(seconds=policy.window_s)
        self._ends: deque[tuple[datetime, bool]] = deque(maxlen=policy.calls)

    def add(self, outcome: Outcome, now: datetime) -> bool:
        """Note how a call ended; True: it failed, and so did too many before it."""
        if outcome.withdrawn:
            return False
        failed = tells_of_trouble(outcome)
        self._ends.append((now, failed))
        if not failed or len(self._ends) < self._policy.calls:
            return False
        earliest = now - self._window
        failures = sum(failed for _, failed in self._ends)
        return self._ends[0][0] >= earliest and (
            failures >= self._policy.failure_share * self._policy.calls
        )

    @property
    def failed_share(self) -> float:
        """The share that failed; 0 while there are too few to say."""
        if len(self._ends) < self._policy.calls:
            return 0.0
        return sum(failed for _, failed in self._ends) / len(self._ends)

    def forget(self) -> None:
        """Begin anew: the target is back, and what was before says nothing about it."""
        self._ends.clear()


def tells_of_trouble(outcome: Outcome) -> bool:
    """Whether the target, and not one device, may be in trouble."""
    return outcome.reason in _TROUBLE


def _reaches(target: Target, moment: datetime) -> bool:
    return target.held_until is not None and target.held_until >= moment


def _words(outcome: Outcome) -> str:
    return f"{outcome.reason}: {outcome.message}"
