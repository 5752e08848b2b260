"""What comes back from the handler, read with suspicion."""

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the handler, or of whatever stands before it.

    Attributes:
        body: None if it is larger than 1 MiB.
        retry_after: The header as it came.
    """

    status: int
    body: bytes | None
    retry_after: str | None = None

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
        value = self.retry_after
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
