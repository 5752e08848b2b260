"""What comes back from the handler, read with suspicion."""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Self

import aiohttp
import httpx
import orjson

_LARGEST_BODY: Final = 1024 * 1024

CONNECTION_ERRORS: Final = (httpx.HTTPError, aiohttp.ClientError, OSError)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the handler, or of whatever stands before it.

    Attributes:
        body: None if it is larger than 1 MiB.
    """

    status: int
    headers: httpx.Headers
    body: bytes | None

    @classmethod
    async def read(cls, response: httpx.Response) -> Self:
        """Read a response to its end, or to where it becomes too large."""
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > _LARGEST_BODY:
                return cls(response.status_code, response.headers, None)
            chunks.append(chunk)
        return cls(response.status_code, response.headers, b"".join(chunks))

    @property
    def members(self) -> dict[str, Any] | None:
        """The JSON object that the body is; None if it is something else."""
        try:
            answer = orjson.loads(self.body or b"")
        except orjson.JSONDecodeError:
            return None
        return answer if isinstance(answer, dict) else None

    @property
    def retry_after_s(self) -> float | None:
        """`Retry-After`, seconds or a date (RFC 9110 section 10.2.3); None if unreadable."""
        value = self.headers.get("retry-after")
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


def phrase(status: int) -> str:
    """Say a status code in words."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"Status {status}"


def connection_error(error: Exception) -> Exception:
    """Return what really happened to a connection.

    The transport calls nearly all of aiohttp's errors a `ConnectTimeout`: aiohttp's own is better.
    """
    return error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
