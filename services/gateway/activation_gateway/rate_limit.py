"""Token buckets: how often somebody may ask."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often.

    Attributes:
        per_second: In the long run.
        burst: At once, after a pause that is long enough.
    """

    per_second: float
    burst: int


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
