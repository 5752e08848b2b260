"""Who may ask: API keys, where they are asked for. Otherwise no request comes through here."""

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from hmac import compare_digest
from http import HTTPStatus
from typing import Final

from starlette import types as asgi
from starlette.requests import Request

from activation.telemetry.logging import get_logger
from activation_gateway.api.problems import ProblemError
from activation_gateway.api_keys import ApiKey, hash_of
from activation_gateway.rate_limit import TokenBucket
from activation_gateway.scopes import NEEDED, Scope

KEY_MISSING: Final = "An API key is needed: send it as Authorization: Bearer <key>, or as X-API-Key"
KEY_LACKS: Final = "The API key {id} is not good for this: it needs the scope {scope}"
KEY_TOO_FAST: Final = "The API key {id} is used too often; ask again later"
_KEY_UNKNOWN: Final = "This API key is not known"
_KEY_EXPIRED: Final = "The API key {id} has expired"

_CHALLENGE: Final = 'Bearer realm="activation"'
_CALLER: Final = "activation.caller"
_ANONYMOUS: Final = "anonymous"

log = get_logger()


def caller_of(request: Request) -> str:
    """Return the id of the key that a request came with; `anonymous` where none is asked for."""
    return str(request.scope.get(_CALLER, _ANONYMOUS))


class Guard:
    """Lets requests in that have a key for what they ask.

    Args:
        keys: Returns the keys that hold now.
        now: Returns the time, for keys that expire.
        monotonic_s: Returns seconds on a clock that never goes back, for limits.
    """

    def __init__(
        self,
        keys: Callable[[], Sequence[ApiKey]],
        *,
        now: Callable[[], datetime],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._keys = keys
        self._now = now
        self._monotonic_s = monotonic_s
        self._buckets: dict[str, TokenBucket] = {}

    def protect(self, operation: asgi.ASGIApp, operation_id: str) -> asgi.ASGIApp:
        """Put the guard before an operation."""
        needed = NEEDED[operation_id]

        async def guarded(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
            scope[_CALLER] = self._admit(Request(scope), needed).id
            await operation(scope, receive, send)

        return guarded

    def _admit(self, request: Request, needed: Scope) -> ApiKey:
        """Return the key of a request.

        Raises:
            ProblemError: 401, 403 or 429.
        """
        key = self._authenticate(request)
        self._limit(key)
        if needed not in key.scopes:
            log.warning("access_denied", caller=key.id, path=request.url.path, needed=needed.value)
            challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{needed}"'
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                KEY_LACKS.format(id=key.id, scope=needed),
                headers={"WWW-Authenticate": challenge},
            )
        return key

    def _authenticate(self, request: Request) -> ApiKey:
        presented = _presented(request)
        if presented is None:
            # RFC 6750 section 3.1: who brings nothing is told of no error.
            raise _unauthorized(KEY_MISSING, _CHALLENGE)
        digest, found = hash_of(presented), None
        for key in self._keys():
            if compare_digest(key.sha256, digest):
                found = key
        if found is None:
            raise _invalid(request, _KEY_UNKNOWN)
        if found.expires is not None and found.expires <= self._now():
            raise _invalid(request, _KEY_EXPIRED.format(id=found.id))
        return found

    def _limit(self, key: ApiKey) -> None:
        if key.limit is None:
            return
        now_s = self._monotonic_s()
        bucket = self._buckets.get(key.id)
        if bucket is None or bucket.limit != key.limit:
            bucket = self._buckets[key.id] = TokenBucket(key.limit, now_s)
        wait_s = bucket.take(now_s)
        if wait_s:
            raise ProblemError(
                HTTPStatus.TOO_MANY_REQUESTS,
                KEY_TOO_FAST.format(id=key.id),
                headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
            )


def _presented(request: Request) -> str | None:
    """Return the key; X-API-Key is for those whose Authorization says something else."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("x-api-key")


def _invalid(request: Request, detail: str) -> ProblemError:
    log.warning("access_denied", path=request.url.path, reason=detail)
    challenge = f'{_CHALLENGE}, error="invalid_token", error_description="{detail}"'
    return _unauthorized(detail, challenge)


def _unauthorized(detail: str, challenge: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": challenge})
