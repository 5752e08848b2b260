"""Limits: each of very many has a bucket of its own, in memory that has an end."""

from activation_gateway import rate_limit
from activation_gateway.rate_limit import RateLimit, RateLimiter


def test_who_asked_longest_ago_is_forgotten_first() -> None:
    """Subjects of tokens are without number; who keeps asking is not let off by the others."""
    limiter = RateLimiter(lambda: 0.0)
    limit = RateLimit(0.001, 1)
    most = rate_limit._MOST_BUCKETS
    for name in ("first", "busy"):
        assert limiter.take(name, limit) == 0.0

    for number in range(most):
        limiter.take(str(number), limit)
        assert limiter.take("busy", limit) > 0.0

    assert len(limiter._buckets) == most
    assert limiter.take("first", limit) == 0.0
