"""What the worker can be told."""

from typing import Annotated

from pydantic import Field, HttpUrl, model_validator

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

    @model_validator(mode="after")
    def _lease_outlives_store_timeout(self) -> "WorkerSettings":
        if self.lease_s < 3 * self.store_timeout_s / 2:
            raise ValueError("lease_s must be at least 1.5 times store_timeout_s")
        return self
