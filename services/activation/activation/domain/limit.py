"""When the target has too many calls at once, by its own word, and what is learned of that.

The limit falls at once and rises by itself, as in congestion control: additive increase and
multiplicative decrease (RFC 5681) need the count of every call; a function of time alone (CUBIC,
RFC 9438) needs one write for each overload, so that all workers can share it: `Target.limit`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from activation.domain.outcome import Outcome, Reason
from activation.domain.target import RecentCalls, Target

# By themselves they may as well be an outage of a part, or of one device.
_AMBIGUOUS: Final = frozenset({Reason.UNAVAILABLE, Reason.UNREACHABLE})
_MANY: Final = 0.5  # of the latest calls
_CALLS_TO_RECOVER: Final = 4  # one after the other: few of them are spent on trying for more


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """How the number of calls at once follows from what the target bears.

    A 429 tells that there were too many. So does a 503, or a failed connection, when half of a
    worker's latest calls failed: fewer are no news about the number of calls, and when nearly all
    fail, the breaker opens.

    Attributes:
        enabled: False: only an operator's limit holds.
        recovery_s: How long it takes until as many calls as were too many are tried again, unless
            calls are so slow that four of them take longer.
    """

    enabled: bool = True
    recovery_s: float = 10.0

    def is_old_news(self, target: Target, outcome: Outcome, began: datetime) -> bool:
        """Whether it is a 429 to a call that began before the limit last fell."""
        return (
            self.enabled
            and outcome.reason is Reason.OVERLOADED
            and target.overload_at is not None
            and began <= target.overload_at
        )

    def too_many(self, outcome: Outcome, recent: RecentCalls) -> bool:
        """Whether the end of a call tells that there were too many, its own among the recent."""
        if not self.enabled:
            return False
        if outcome.reason in _AMBIGUOUS:
            return recent.failed_share >= _MANY
        return outcome.reason is Reason.OVERLOADED

    def after_overload(
        self, target: Target, calls: int, now: datetime, *, began: datetime, call_s: float
    ) -> Target:
        """Say what too many calls make of the target.

        Args:
            target: As it is.
            calls: How many were under way, of all workers.
            now: The time.
            began: When the call began that told it; what began before the limit last fell tells
                nothing new.
            call_s: How long a call takes that succeeds.
        """
        if target.overload_at is not None and began <= target.overload_at:
            return target
        recovery_s = max(self.recovery_s, _CALLS_TO_RECOVER * call_s)
        return target.overload(max(1, calls), now, timedelta(seconds=recovery_s))
