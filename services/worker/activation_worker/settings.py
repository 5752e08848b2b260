"""What the worker can be told."""

from typing import Annotated

from pydantic import Field, HttpUrl, model_validator

from activation.domain.limit import LimitPolicy
from activation.domain.target import BreakerPolicy
from activation.settings import (
    BrokerSettings,
    Port,
    RetrySettings,
    Seconds,
    ServiceSettings,
    StoreSettings,
)


class WorkerSettings(ServiceSettings, StoreSettings, BrokerSettings, RetrySettings):
    """Read once, in `main()`."""

    admin_port: Port = 9001  # /metrics, /healthz, /readyz

    handler_url: HttpUrl  # of the provisioning system
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 50  # calls in flight, and the prefetch
    grace_s: Annotated[float, Field(ge=0)] = 5.0  # added to timeoutInSeconds for the deadline
    connect_s: Seconds = 5.0  # for a TCP connection to the handler
    ask_handler: bool = False  # what an unanswered call came to, before another; see `inquiry`

    lease_s: Annotated[float, Field(ge=1)] = (
        30.0  # after this long without a sign, others take over
    )
    drain_s: Annotated[float, Field(ge=0)] = 915.0  # below terminationGracePeriodSeconds (930)

    # The handler is left alone after so many calls of which such a share failed.
    breaker: bool = True  # False: nor is its Retry-After obeyed for more than the one task
    breaker_calls: Annotated[int, Field(ge=1, le=10_000)] = 20
    breaker_failure_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    breaker_window_s: Seconds = 300.0  # what ended longer ago does not count
    breaker_base_s: Seconds = 5.0  # the first rest; each failed probe doubles it
    breaker_cap_s: Seconds = 60.0  # the longest

    # After a 429 fewer calls are made at once, of all workers together; then more again.
    adaptive_limit: bool = True  # False: only an operator's limit holds
    limit_recovery_s: Seconds = (
        10.0  # until as many as were too many; four calls, if those are longer
    )

    def breaker_policy(self) -> BreakerPolicy:
        """Return the rule that these settings describe."""
        return BreakerPolicy(
            enabled=self.breaker,
            calls=self.breaker_calls,
            failure_share=self.breaker_failure_share,
            window_s=self.breaker_window_s,
            base_s=self.breaker_base_s,
            cap_s=self.breaker_cap_s,
            retry_after_cap_s=self.retry_cap_s,
        )

    def limit_policy(self) -> LimitPolicy:
        """Return the rule that these settings describe."""
        return LimitPolicy(enabled=self.adaptive_limit, recovery_s=self.limit_recovery_s)

    @model_validator(mode="after")
    def _lease_outlives_store_timeout(self) -> "WorkerSettings":
        if self.lease_s < 3 * self.store_timeout_s / 2:
            raise ValueError("lease_s must be at least 1.5 times store_timeout_s")
        return self
