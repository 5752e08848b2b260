"""What callers prove who they are with: an API key, or an access token of an issuer."""

from dataclasses import dataclass

from activation.errors import ActivationError
from activation_gateway.rate_limit import RateLimit
from activation_gateway.scopes import Scope


class CredentialsError(ActivationError):
    """They do not hold; the message says why, in plain ASCII, and quotes nothing of them."""


class IssuerAwayError(ActivationError):
    """The keys of the issuer are not known, so that no token can be judged now.

    Attributes:
        retry_after_s: When they may be.
    """

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("The keys of the issuer of tokens are not known now; ask again later")
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as its credentials say.

    Attributes:
        id: Names the caller in logs and limits; it is no secret.
        credentials: What it came with, by name: "API key crm".
        scopes: What they are good for.
        limit: How often they may be used; None for as often as one likes.
        scope_prefix: What stands before a scope where they were issued.
    """

    id: str
    credentials: str
    scopes: frozenset[Scope]
    limit: RateLimit | None
    scope_prefix: str = ""
