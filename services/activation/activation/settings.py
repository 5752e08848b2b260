"""What can be set, once for all services: environment variables with the prefix `ACTIVATION_`.

Each service composes its own class of these parts and reads it once, in `main()`; nothing below
`main()` looks at the environment.
"""

import socket
import sys
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from activation.domain.retry import RetryPolicy
from activation.errors import first_cause

EXIT_CONFIGURATION = 78  # EX_CONFIG of sysexits.h: a restart alone will not help

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """The parts below, and what is composed of them, are read in the same way."""

    model_config = SettingsConfigDict(env_prefix="ACTIVATION_", frozen=True, extra="ignore")


class ServiceSettings(Settings):
    """What every service can be told."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"  # auto: readable on a terminal only

    # Parameters with one of these words in their name are masked wherever they would show.
    # In the environment they are separated by commas.
    secret_words: Annotated[frozenset[str], NoDecode] = frozenset(
        {"password", "passwd", "passphrase", "secret", "token", "key", "community", "psk"}
    )

    host: str = "0.0.0.0"
    instance: str = Field(default_factory=socket.gethostname)  # who holds a lease: the pod's name

    # Between failing readiness and closing the listener, so that load balancers notice.
    drain_delay_s: Annotated[float, Field(ge=0)] = 0.0

    @field_validator("secret_words", mode="before")
    @classmethod
    def _split_words(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return frozenset(word.strip() for word in value.split(",") if word.strip())


class StoreSettings(Settings):
    """Where tasks live."""

    database_url: SecretStr  # postgresql://user:password@host/name or sqlite:////path/file.db
    store_timeout_s: Seconds = 5.0  # for one transaction, waiting for a connection included
    store_pool_size: Annotated[int, Field(ge=1, le=100)] = 8
    migrate_at_start: bool = True  # False: wait until `activation-migrate` has run
    publish_lease_s: Seconds = 10.0  # a relay's time to publish before others may try
    # YAML, as `activation keys encryption` writes it: the first key encrypts the parameters of new
    # tasks, all decrypt. Without it parameters are stored as they are.
    encryption_keys_file: Path | None = None
    encryption_keys_poll_s: Seconds = 5.0  # how soon a change of the file holds
    key_lifetime_s: Seconds = 86_400.0  # how long an Idempotency-Key is remembered


class BrokerSettings(Settings):
    """Where messages go."""

    amqp_url: SecretStr  # amqp://user:password@host/vhost, or amqps://, with ?cafile=FILE
    task_queue: str = "activation.tasks"
    dead_queue: str = "activation.dead"
    broker_timeout_s: Seconds = 10.0  # for a connection, a declaration or a confirm

    @field_validator("amqp_url")
    @classmethod
    def _names_a_broker(cls, value: SecretStr) -> SecretStr:
        try:
            url = urlsplit(value.get_secret_value())
            usable = url.scheme in {"amqp", "amqps"} and url.hostname and url.port != 0
        except ValueError:  # its text may quote a part of the password
            usable = False
        if not usable:
            raise ValueError("write amqp://user:password@host/vhost, the password percent-encoded")
        return value


class RetrySettings(Settings):
    """The retry rule; the same for gateway and worker."""

    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    retry_base_s: Annotated[float, Field(ge=0)] = 2.0
    retry_cap_s: Seconds = 300.0
    retry_provisioning_errors: bool = False

    def retry_policy(self) -> RetryPolicy:
        """Return the rule that these settings describe."""
        return RetryPolicy(
            max_attempts=self.max_attempts,
            base_s=self.retry_base_s,
            cap_s=self.retry_cap_s,
            retry_provisioning_errors=self.retry_provisioning_errors,
        )


_Settings = TypeVar("_Settings", bound=BaseSettings)


def read_settings(kind: type[_Settings]) -> _Settings:
    """Read the environment, or end the process with one clear line for each wrong value.

    The values themselves are not printed: they may hold passwords.
    """
    try:
        return kind()
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", ""))
        for fault in error.errors():
            name = f"{prefix}{fault['loc'][0]}".upper() if fault["loc"] else "settings"
            print(f"{name}: {fault['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201  # before logging is set up
        raise SystemExit(EXIT_CONFIGURATION) from None


def refuse_start(error: BaseException) -> NoReturn:
    """End the process because it cannot start, with one line that says why."""
    print(f"cannot start: {first_cause(error)}", file=sys.stderr)  # noqa: T201  # for the person who started it
    raise SystemExit(EXIT_CONFIGURATION)
