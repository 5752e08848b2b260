"""Access tokens: who the caller is, by a JSON Web Token of the issuer (RFC 7519, RFC 9068).

As the best practice (RFC 8725) has it: the algorithm is one of a list and fits the key, the key is
one that the issuer publishes (what a token says of keys but their id is not read), and issuer,
audience and type are checked.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import jwt
from jwt.exceptions import InvalidSubjectError
from jwt.types import Options

from activation_gateway.credentials import Caller, CredentialsError
from activation_gateway.oidc.jwks import ALGORITHMS
from activation_gateway.rate_limit import RateLimit
from activation_gateway.scopes import Scope

LONGEST: Final = 16_384  # characters; those with many groups and roles have some thousands
LONGEST_SUBJECT: Final = 255  # OpenID Connect Core section 2
LEEWAY_S: Final = 30.0  # for clocks that differ; RFC 7519 section 4.1.4: a few minutes at most

# RFC 9068 section 4 wants the first or second; many issuers say JWT, or nothing. An ID token, which
# does so too, is for another audience, and good for nothing: it has no scope.
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt", "jwt"})
_OPTIONS: Final[Options] = {
    "require": ["exp", "iat", "iss", "aud", "sub"],
    "verify_exp": False,  # these by our clock: see `_check_times`
    "verify_nbf": False,
    "verify_iat": False,
}
_YEAR_10000_S: Final = 253_402_300_800  # JSON of Python has Infinity, and integers of any size
_READABLE: Final = "/:@|+=,"  # beside letters, digits and _.-~: in the subjects of known issuers

_UNREADABLE: Final = "it cannot be read"
_FAULTS: Final[Mapping[type[Exception], str]] = {
    jwt.InvalidSignatureError: "its signature is wrong",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidAudienceError: "it is for another audience",
    InvalidSubjectError: "its sub is no text",
}


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens are taken.

    Attributes:
        issuer: Whose, exactly as its tokens write it (`iss`).
        audience: For whom (`aud`).
        scope_claim: What they are good for: words in one text (RFC 8693 section 4.2), or a list.
        scope_prefix: What stands before `submit`, `read` and `operate` there.
        limit: How often each subject may ask; None for as often as one likes.
    """

    issuer: str
    audience: str
    scope_claim: str
    scope_prefix: str
    limit: RateLimit | None


class TokenCheck:
    """Tells who the bearer of a token is.

    Args:
        rules: Which tokens are taken.
        find_key: Returns the issuer's key of an id and for an algorithm, None if it has none.
        now: Returns the time.
    """

    def __init__(
        self,
        rules: TokenRules,
        find_key: Callable[[str | None, str], Awaitable[jwt.PyJWK | None]],
        *,
        now: Callable[[], datetime],
    ) -> None:
        self.rules = rules
        self._find_key = find_key
        self._now = now

    async def check(self, token: str) -> Caller:
        """Return the subject of a token.

        Raises:
            CredentialsError: It does not hold.
            IssuerAwayError: The keys of the issuer are not known.
        """
        if len(token) > LONGEST:
            raise _invalid(f"it has more than {LONGEST} characters")
        key_id, algorithm = _read_header(token)
        key = await self._find_key(key_id, algorithm)
        if key is None:
            raise _invalid("its key id is not known")
        claims = self._verify(token, key)
        self._check_times(claims)
        return self._caller(claims)

    def _verify(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        try:
            return jwt.decode(
                token,
                key,
                [key.algorithm_name],
                issuer=self.rules.issuer,
                audience=self.rules.audience,
                options=_OPTIONS,
            )
        except jwt.MissingRequiredClaimError as error:
            raise _invalid(f"it has no {error.claim}") from None
        except jwt.PyJWTError as error:
            raise _invalid(_FAULTS.get(type(error), _UNREADABLE)) from None

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now_s = self._now().timestamp()
        if _time(claims, "exp") + LEEWAY_S <= now_s:
            raise _invalid("it has expired")
        for name in ("iat", "nbf"):
            if name in claims and _time(claims, name) - LEEWAY_S > now_s:
                raise _invalid(f"its {name} is in the future")

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        subject = claims["sub"]
        if not 0 < len(subject) <= LONGEST_SUBJECT:
            raise _invalid(f"its sub has not 1 to {LONGEST_SUBJECT} characters")
        # It may hold anything: percent-encoded, no two subjects look the same, and none like a key.
        shown = quote(subject, safe=_READABLE, errors="surrogatepass")
        name = f"{self.rules.issuer}#{shown}"
        return Caller(
            id=name,
            credentials=f"access token of {name}",
            scopes=self._scopes(claims.get(self.rules.scope_claim)),
            limit=self.rules.limit,
            scope_prefix=self.rules.scope_prefix,
        )

    def _scopes(self, granted: object) -> frozenset[Scope]:
        words = granted.split(" ") if isinstance(granted, str) else granted
        if not isinstance(words, list):
            return frozenset()
        return frozenset(scope for scope in Scope if f"{self.rules.scope_prefix}{scope}" in words)


def _read_header(token: str) -> tuple[str | None, str]:
    """Return the id of the key and the algorithm, of which nothing is proven yet."""
    try:
        header = jwt.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _invalid(_UNREADABLE) from None
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _invalid("its algorithm is not one of those allowed")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise _invalid("it is of another type")
    return header.get("kid"), algorithm


def _time(claims: Mapping[str, Any], name: str) -> float:
    """Return a time in seconds (NumericDate, RFC 7519 section 2)."""
    value = claims[name]
    if type(value) not in {int, float} or not 0 <= value < _YEAR_10000_S:
        raise _invalid(f"its {name} is no time")
    return float(value)


def _invalid(why: str) -> CredentialsError:
    return CredentialsError(f"The access token is not good: {why}")
