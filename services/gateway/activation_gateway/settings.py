"""What the gateway can be told."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from activation.settings import (
    BrokerSettings,
    Port,
    RetrySettings,
    Seconds,
    ServiceSettings,
    StoreSettings,
)


class GatewaySettings(ServiceSettings, StoreSettings, BrokerSettings, RetrySettings):
    """Read once, in `main()`."""

    port: Port = 8000
    admin_port: Port = 9000  # /metrics, /healthz, /readyz
    shutdown_s: Seconds = 10.0  # for requests under way after SIGTERM

    # YAML, as `activation keys new` writes it; no request needs a key without it.
    api_keys_file: Path | None = None
    api_keys_poll_s: Seconds = 5.0  # how soon a change of the file holds

    accept_patience_s: Annotated[float, Field(ge=0)] = 4.0  # a store's restart goes unnoticed
    max_backlog: Annotated[int, Field(ge=0)] = 100_000  # queued tasks before 429; 0: no limit
    max_waiting_per_equipment: Annotated[int, Field(ge=0)] = 100  # the same for one device

    sweep_every_s: Seconds = 0.5  # how late a retry may start, at most
    publish_at_once: Annotated[int, Field(ge=1, le=10_000)] = 500  # confirms awaited together
    lost_message_after_s: Seconds = 60.0  # queue empty, task still not claimed: publish again

    reap_every_s: Seconds = 2.0
    # After a start or an outage of the store: above a third of the workers' lease_s, so that they
    # renew what ran out meanwhile before it is taken from them.
    reap_patience_s: Annotated[float, Field(ge=0)] = 30.0
    retention_s: Seconds = 30 * 86_400.0  # ended tasks are deleted after this; dead letters stay

    @model_validator(mode="after")
    def _retention_outlives_keys(self) -> "GatewaySettings":
        if self.retention_s <= self.key_lifetime_s:
            raise ValueError("retention_s must exceed key_lifetime_s: a key goes with its task")
        return self
