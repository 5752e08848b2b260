"""API keys: who may ask for what. Their file holds hashes, never a key.

A key is 256 random bits, which nobody can guess from a hash however fast it is. bcrypt and argon2
make up for passwords that people choose, and would cost every request what they cost a guess.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from hmac import compare_digest
from typing import Annotated, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    model_validator,
)
from pydantic.alias_generators import to_camel

from activation.key_file import read_entries
from activation_gateway.credentials import Caller, CredentialsError
from activation_gateway.rate_limit import RateLimit
from activation_gateway.scopes import Scope

PREFIX: Final = "act_"  # by which a person, or a scanner for lost secrets, knows a key
_KEY_BYTES: Final = 32


def _refuse_number(expires: object) -> object:
    """Take a time alone, where pydantic would take a number of seconds as well."""
    if isinstance(expires, int | float):
        raise ValueError("must be a time such as 2027-01-31T00:00:00Z")  # noqa: TRY004  # pydantic's way
    return expires


class ApiKey(BaseModel):
    """An entry of the file.

    Attributes:
        id: Names the key in logs; it is no secret.
        sha256: The key's hash, in hexadecimal digits.
        scopes: What the key is good for.
        expires: When it ceases to be; None for never.
        rate_per_second: Requests that each gateway takes of it; None for no limit.
        burst: Requests at once, after a pause; about a second's worth if not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)]
    expires: Annotated[AwareDatetime | None, BeforeValidator(_refuse_number)] = None
    rate_per_second: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    burst: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _burst_is_of_a_rate(self) -> "ApiKey":
        if self.burst is not None and self.rate_per_second is None:
            raise ValueError("burst needs ratePerSecond")
        return self

    @property
    def limit(self) -> RateLimit | None:
        """How often it may be used; None for as often as one likes."""
        if self.rate_per_second is None:
            return None
        return RateLimit.of(self.rate_per_second, self.burst)

    def line(self) -> str:
        """Write it as a line of the file: JSON is YAML."""
        entry = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return f"- {json.dumps(entry)}"


_ENTRIES: Final = TypeAdapter(list[ApiKey])


def new_key() -> str:
    """Draw a key."""
    return f"{PREFIX}{secrets.token_urlsafe(_KEY_BYTES)}"


def hash_of(key: str) -> str:
    """Return a key's hash, as it stands in the file."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(content: bytes) -> Sequence[ApiKey]:
    """Read a file of keys: a list, in YAML or JSON. An empty list lets nobody in.

    Raises:
        KeyFileError: It is none.
    """
    return read_entries(content, _ENTRIES, unique=("id", "sha256"))


class ApiKeyCheck:
    """Tells whose a key is.

    Args:
        keys: Returns the keys that hold now.
        now: Returns the time, for keys that expire.
    """

    def __init__(
        self, keys: Callable[[], Sequence[ApiKey]], *, now: Callable[[], datetime]
    ) -> None:
        self._keys = keys
        self._now = now

    def check(self, presented: str) -> Caller:
        """Return the caller that a key stands for.

        Raises:
            CredentialsError: It is not known, or has expired.
        """
        digest, found = hash_of(presented), None
        for key in self._keys():
            if compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise CredentialsError("This API key is not known")
        if found.expires is not None and found.expires <= self._now():
            raise CredentialsError(f"The API key {found.id} has expired")
        return Caller(found.id, f"API key {found.id}", found.scopes, found.limit)
