"""What the gateway can be told."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from activation.settings import (
    BrokerSettings,
    Port,
    RetrySettings,
    Seconds,
    ServiceSettings,
    Settings,
    StoreSettings,
)
from activation_gateway.oidc.tokens import TokenRules
from activation_gateway.rate_limit import RateLimit


def _names_a_server(value: str) -> str:
    try:
        url = urlsplit(value)
        usable = url.scheme in {"http", "https"} and url.hostname and url.port != 0
    except ValueError:  # its text would be shown
        usable = False
    if not usable or "@" in url.netloc or url.fragment or not value.isascii() or " " in value:
        raise ValueError("write https://host/path, without user and fragment")
    return value


ServerUrl = Annotated[str, AfterValidator(_names_a_server)]  # as it is written: `iss` must equal it


class OidcSettings(Settings):
    """Whose access tokens are taken, beside API keys or without; nobody's without an issuer."""

    oidc_issuer: ServerUrl | None = None  # exactly as `iss` of its tokens
    oidc_audience: Annotated[str, Field(min_length=1)] | None = None  # in `aud` of tokens for us
    oidc_jwks_url: ServerUrl | None = None  # where its keys are, if it does not say so itself
    oidc_scope_claim: Annotated[str, Field(min_length=1)] = "scope"
    # Before submit, read and operate there; of the characters that RFC 6749 section 3.3 allows.
    oidc_scope_prefix: Annotated[str, Field(pattern=r"^[!#-\[\]-~]*$")] = "activation."
    # Requests that each gateway takes of each subject; as many as it likes if not given.
    oidc_rate_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    oidc_burst: Annotated[int, Field(ge=1)] | None = None  # about a second's worth if not given
    oidc_allow_http: bool = False  # True: somebody in between can make tokens; for trials alone

    @model_validator(mode="after")
    def _oidc_fits_together(self) -> Self:
        given = self.model_dump(include=set(OidcSettings.model_fields), exclude_defaults=True)
        if self.oidc_issuer is None and given:
            raise ValueError(f"{', '.join(sorted(given))} given without oidc_issuer")
        if self.oidc_issuer is not None and self.oidc_audience is None:
            raise ValueError("oidc_issuer needs oidc_audience: its tokens may be for others")
        if self.oidc_burst is not None and self.oidc_rate_per_second is None:
            raise ValueError("oidc_burst needs oidc_rate_per_second")
        for name in ("oidc_issuer", "oidc_jwks_url"):
            url = getattr(self, name)
            if url is not None and not (self.oidc_allow_http or _is_protected(url)):
                raise ValueError(f"{name} must begin with https://, or set oidc_allow_http")
        return self

    def token_rules(self) -> TokenRules | None:
        """Return which tokens are taken; None where none are."""
        if self.oidc_issuer is None or self.oidc_audience is None:
            return None
        limit = None
        if self.oidc_rate_per_second is not None:
            limit = RateLimit.of(self.oidc_rate_per_second, self.oidc_burst)
        return TokenRules(
            issuer=self.oidc_issuer,
            audience=self.oidc_audience,
            scope_claim=self.oidc_scope_claim,
            scope_prefix=self.oidc_scope_prefix,
            limit=limit,
        )


def _is_protected(url: str) -> bool:
    """Tell whether nobody can come between: by TLS, or because it does not leave the machine."""
    parts = urlsplit(url)
    try:
        return parts.scheme == "https" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return parts.hostname == "localhost"


class GatewaySettings(ServiceSettings, StoreSettings, BrokerSettings, RetrySettings, OidcSettings):
    """Read once, in `main()`."""

    port: Port = 8000
    admin_port: Port = 9000  # /metrics, /healthz, /readyz
    shutdown_s: Seconds = 10.0  # for requests under way after SIGTERM

    # YAML, as `activation keys new` writes it; where it is not given, no key is taken.
    api_keys_file: Path | None = None
    api_keys_poll_s: Seconds = 5.0  # how soon a change of the file holds

    accept_patience_s: Annotated[float, Field(ge=0)] = 4.0  # a store's restart goes unnoticed
    max_backlog: Annotated[int, Field(ge=0)] = 100_000  # queued tasks before 429; 0: no limit
    max_waiting_per_equipment: Annotated[int, Field(ge=0)] = 100  # the same for one device

    # Tasks of one caller (API key or subject) that may wait for workers: others come between. More
    # are accepted and wait in the store. At least what the fleet carries out at once; 0: no limit.
    caller_share: Annotated[int, Field(ge=0)] = 1000

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
