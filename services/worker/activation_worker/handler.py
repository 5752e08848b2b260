"""Calling the handler: one attempt, one answer, read with suspicion."""

import asyncio
import email.utils
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport
from opentelemetry.instrumentation.httpx import AsyncOpenTelemetryTransport

from activation.domain.outcome import Outcome, Reason, reason_for_status
from activation.domain.task import Claim
from activation.telemetry.masking import Masker
from activation.telemetry.tracing import current_traceparent, is_recording

_LARGEST_ANSWER: Final = 1024 * 1024
_LONGEST_MESSAGE: Final = 500
_CLOSE_S: Final = 5.0
_KEEP_ALIVE_S: Final = 4.0  # below the 5 s of common servers: a call must not meet a closing one
# The connection was there, and what came over it is no answer.
_UNREADABLE: Final = (
    httpx.DecodingError,
    aiohttp.ClientPayloadError,
    aiohttp.ClientResponseError,
)
# A proxy's page is no answer of the handler's, except where the status alone says "not now".
_NEEDS_NO_BODY: Final = frozenset({Reason.OVERLOADED, Reason.UNAVAILABLE})


class Handler(Protocol):
    """The system that really provisions."""

    async def activate(self, claim: Claim) -> Outcome:
        """Make one attempt; every way it can end is an outcome, not an exception."""
        ...


class HttpHandler:
    """The handler behind its HTTP API.

    Args:
        url: Its base URL.
        connections: Calls at once at most.
        connect_s: Limit for a TCP connection.
        grace_s: Added to the task's own timeout, so that work which uses all of it succeeds.
        masker: Removes secrets from what the handler says.
        transport: Carries the requests; by default aiohttp's connection pool.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        connect_s: float,
        grace_s: float,
        masker: Masker,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._grace_s = grace_s
        self._masker = masker
        self._url = url.rstrip("/") + "/api/v1/equipment/cpe/"
        # Used without httpx's client: its cookies, redirects and authentication are not wanted
        # here, and cost a third of a call's CPU.
        self._transport = _traced(
            transport
            or AiohttpTransport(
                limits=httpx.Limits(
                    max_connections=connections,
                    max_keepalive_connections=connections,
                    keepalive_expiry=_KEEP_ALIVE_S,
                )
            )
        )
        # The deadline of the whole call is `activate`'s; only connecting has its own.
        self._extensions = {"timeout": httpx.Timeout(None, connect=connect_s).as_dict()}

    async def activate(self, claim: Claim) -> Outcome:
        """Make one attempt; see `Handler.activate`."""
        try:
            async with asyncio.timeout(claim.timeout_s + self._grace_s):
                outcome = await self._call(claim)
        except TimeoutError:
            return Outcome(
                Reason.NO_ANSWER,
                f"No answer within {claim.timeout_s} s and a grace of {self._grace_s:g} s",
            )
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            return _failure(error)
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        async with asyncio.timeout(_CLOSE_S):
            await self._transport.aclose()

    async def _call(self, claim: Claim) -> Outcome:
        headers = {
            "accept": "application/json",
            "content-type": "application/json",
            "idempotency-key": str(claim.task_id),
            "x-attempt": str(claim.attempt),
        }
        traceparent = current_traceparent() or claim.traceparent
        if traceparent:
            headers["traceparent"] = traceparent
        request = httpx.Request(
            "POST",
            self._url + claim.equipment,
            content=f'{{"timeoutInSeconds":{claim.timeout_s},"parameters":{claim.parameters}}}',
            headers=headers,
            extensions=self._extensions,
        )
        response = await self._transport.handle_async_request(request)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        return self._outcome(response, body, claim)

    def _outcome(self, response: httpx.Response, body: bytes | None, claim: Claim) -> Outcome:
        status = response.status_code
        reason = reason_for_status(status)
        answer = _parse(body)
        if body is None:
            return Outcome(Reason.UNREADABLE, f"The answer {status} is larger than 1 MiB")
        if answer is None and reason not in _NEEDS_NO_BODY:
            return Outcome(Reason.UNREADABLE, f"The answer {status} is no JSON object")
        said = answer.get("message") if answer else None
        message = self._clean(said, claim) if isinstance(said, str) else _phrase(status)
        return Outcome(reason, message, retry_after_s=_retry_after_s(response.headers))

    def _clean(self, message: str, claim: Claim) -> str:
        text = self._masker.scrub(message, claim.parameters)
        if not text.isprintable():
            text = "".join(c if c.isprintable() else " " for c in text)
        return text[:_LONGEST_MESSAGE]


def _traced(transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    """Record a span for each call, where spans are recorded."""
    return AsyncOpenTelemetryTransport(transport) if is_recording() else transport


async def _read(response: httpx.Response) -> bytes | None:
    """Read a body; None if it is too large."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > _LARGEST_ANSWER:
            return None
        chunks.append(chunk)
    return b"".join(chunks)


def _failure(error: Exception) -> Outcome:
    """Say what became of a call without an answer.

    The transport calls nearly all of aiohttp's errors a `ConnectTimeout`: aiohttp's own is better.
    """
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    if isinstance(cause, _UNREADABLE):
        return Outcome(Reason.UNREADABLE, "The answer was broken off or is not HTTP")
    return Outcome(Reason.UNREACHABLE, f"The connection failed: {type(cause).__name__}")


def _parse(body: bytes | None) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(body or b"")
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"Status {status}"


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Read `Retry-After`, seconds or a date (RFC 9110 section 10.2.3); None if unreadable."""
    value = headers.get("retry-after")
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
