"""Who may ask: API keys and tokens, if they are asked for. Otherwise no request comes here."""

import math
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette import types as asgi
from starlette.requests import Request

from activation.telemetry.logging import get_logger
from activation_gateway.api.problems import ProblemError
from activation_gateway.api_keys import PREFIX, ApiKeyCheck
from activation_gateway.credentials import Caller, CredentialsError, IssuerAwayError
from activation_gateway.oidc.tokens import TokenCheck
from activation_gateway.rate_limit import RateLimiter
from activation_gateway.scopes import NEEDED, Scope

MISSING: Final = "An {kind} is needed: send it as Authorization: Bearer <{kind}>, or as X-API-Key"
LACKS: Final = "The {credentials} is not good for this: it needs the scope {scope}"
TOO_FAST: Final = "The {credentials} is used too often; ask again later"

_CHALLENGE: Final = 'Bearer realm="activation"'
_CALLER: Final = "activation.caller"

log = get_logger()


def caller_of(request: Request) -> str | None:
    """Return the id of the caller of a request; None where nobody needs to say."""
    caller: str | None = request.scope.get(_CALLER)
    return caller


class Guard:
    """Lets requests in that come with an API key or a token for what they ask.

    Args:
        keys: Tells whose an API key is; None: none is taken.
        tokens: Tells whose a token is; None: none is taken.
        monotonic_s: Returns seconds on a clock that never goes back, for limits.
    """

    def __init__(
        self,
        *,
        keys: ApiKeyCheck | None = None,
        tokens: TokenCheck | None = None,
        monotonic_s: Callable[[], float],
    ) -> None:
        self.keys = keys
        self.tokens = tokens
        self._limiter = RateLimiter(monotonic_s)

    @property
    def kind(self) -> str:
        """What is asked for, as in "An API key is needed"."""
        kinds = {"API key": self.keys, "access token": self.tokens}
        return " or ".join(kind for kind, check in kinds.items() if check is not None)

    def protect(self, operation: asgi.ASGIApp, operation_id: str) -> asgi.ASGIApp:
        """Put the guard before an operation."""
        needed = NEEDED[operation_id]

        async def guarded(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            scope[_CALLER] = (await self._admit(Request(scope), needed)).id
            await operation(scope, receive, send)

        return guarded

    async def _admit(self, request: Request, needed: Scope) -> Caller:
        """Return the caller of a request.

        Raises:
            ProblemError: 401, 403, 429 or 503.
        """
        caller = await self._authenticate(request)
        self._limit(caller)
        if needed not in caller.scopes:
            log.warning(
                "access_denied", caller=caller.id, path=request.url.path, needed=needed.value
            )
            scope = f"{caller.scope_prefix}{needed}"
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                LACKS.format(credentials=caller.credentials, scope=scope),
                headers=_challenge(error="insufficient_scope", scope=scope),
            )
        return caller

    async def _authenticate(self, request: Request) -> Caller:
        presented = _presented(request)
        if presented is None:
            # RFC 6750 section 3.1: who brings nothing is told of no error.
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED, MISSING.format(kind=self.kind), headers=_challenge()
            )
        try:
            return await self._check(presented)
        except CredentialsError as error:
            log.warning("access_denied", path=request.url.path, reason=str(error))
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                str(error),
                headers=_challenge(error="invalid_token", error_description=str(error)),
            ) from None
        except IssuerAwayError as error:
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                str(error),
                headers={"Retry-After": str(error.retry_after_s)},
            ) from None

    async def _check(self, presented: str) -> Caller:
        """Tell a key from a token by how it begins, where both are taken."""
        if self.keys is not None and (self.tokens is None or presented.startswith(PREFIX)):
            return self.keys.check(presented)
        if self.tokens is not None:
            return await self.tokens.check(presented)
        raise CredentialsError("Neither keys nor tokens are taken")

    def _limit(self, caller: Caller) -> None:
        if caller.limit is None:
            return
        wait_s = self._limiter.take(caller.id, caller.limit)
        if wait_s:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                TOO_FAST.format(credentials=caller.credentials),
                headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
            )


def _presented(request: Request) -> str | None:
    """Return key or token; X-API-Key is for those whose Authorization says something else."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("x-api-key")


def _challenge(**attributes: str) -> dict[str, str]:
    """Return the header that says what is wrong (RFC 6750 section 3)."""
    said = "".join(f', {name}="{value}"' for name, value in attributes.items())
    return {"WWW-Authenticate": f"{_CHALLENGE}{said}"}
