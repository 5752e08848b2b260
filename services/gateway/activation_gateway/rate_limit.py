"""Token buckets: how often somebody may ask."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

_MOST_BUCKETS: Final = 10_000  # subjects of tokens are without number


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often.

    Attributes:
        per_second: In the long run.
        burst: At once, after a pause that is long enough.
    """

    per_second: float
    burst: int

    @classmethod
    def of(cls, per_second: float, burst: int | None) -> Self:
        """Return a limit; the burst is about a second's worth if not given."""
        return cls(per_second, burst or max(1, round(per_second)))


class TokenBucket:
    """Holds a token for each request that may come now; time fills it.

    Args:
        limit: How fast it fills, and how full it gets.
        now_s: Seconds on a clock that never goes back. The bucket begins full.
    """

    def __init__(self, limit: RateLimit, now_s: float) -> None:
        self.limit = limit
        self._tokens = float(limit.burst)
        self._filled_at_s = now_s

    def take(self, now_s: float) -> float:
        """Take a token. Returns the seconds until there is one: 0 if it was taken."""
        filled = (now_s - self._filled_at_s) * self.limit.per_second
        self._tokens = min(self.limit.burst, self._tokens + filled)
        self._filled_at_s = now_s
        if self._tokens < 1:
            return (1 - self._tokens) / self.limit.per_second
        self._tokens -= 1
        return 0.0


class RateLimiter:
    """Holds a bucket for each of those who asked last.

    Args:
        monotonic_s: Returns seconds on a clock that never goes back.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()  # who asked last is last

    def take(self, name: str, limit: RateLimit) -> float:
        """Let somebody ask once. Returns the seconds until they may: 0 if it is now."""
        now_s = self._monotonic_s()
        bucket = self._buckets.pop(name, None)
        if bucket is None or bucket.limit != limit:
            bucket = TokenBucket(limit, now_s)
        self._buckets[name] = bucket
        if len(self._buckets) > _MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket.take(now_s)
