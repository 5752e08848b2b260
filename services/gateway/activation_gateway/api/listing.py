"""Which tasks to list: the query parameters of `GET /api/v1/tasks`."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from activation.domain.task import State
from activation.ports import TaskQuery
from activation_gateway.api.address import SERIAL_NUMBER_PATTERN
from activation_gateway.api.answer import CAMEL_CASE, body
from activation_gateway.api.representation import TaskRepresentation

# Any number below 2**63 as eight bytes in base64url, without padding. Only what stands for such a
# number matches, so whatever matches is a cursor.
CURSOR_PATTERN: Final = "^[A-Za-f][A-Za-z0-9_-]{9}[AEIMQUYcgkosw048]$"

_RFC_3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def write_cursor(cursor: int) -> str:
    """Make a cursor opaque."""
    return base64.urlsafe_b64encode(cursor.to_bytes(8, "big")).decode("ascii").rstrip("=")


def read_cursor(text: str) -> int:
    """Read a cursor that matches `CURSOR_PATTERN`."""
    return int.from_bytes(base64.urlsafe_b64decode(f"{text}="), "big")


def _read_time(text: Any) -> datetime:
    """Take RFC 3339 alone, where pydantic would take a number of seconds as well."""
    if not _RFC_3339.fullmatch(text):
        raise ValueError("must be an RFC 3339 time such as 2026-01-31T12:00:00Z")
    time = datetime.fromisoformat(text.upper())  # raises, say, for the 30th of February
    try:
        return time.astimezone(UTC)
    except OverflowError:  # on the first or the last day that Python knows
        return time.replace(tzinfo=UTC)


def _read_flag(text: Any) -> bool:
    """Take the two words of JSON alone, where pydantic would take `yes`, `on` and `1` as well."""
    if text not in {"true", "false"}:
        raise ValueError("must be true or false")
    return bool(text == "true")


def _as(description: str, **schema: str) -> WithJsonSchema:
    """Document a parameter without the null that pydantic would offer: a query cannot say it."""
    return WithJsonSchema({"description": description, **schema})


class TaskFilter(BaseModel):
    """Which tasks to list; what is left out does not matter."""

    model_config = ConfigDict(**CAMEL_CASE, extra="forbid", frozen=True)

    state: Annotated[
        list[State], Field(description="In one of these states; may be repeated.")
    ] = []
    equipment: Annotated[
        str | None,
        Field(pattern=SERIAL_NUMBER_PATTERN),
        _as("Of this equipment.", type="string", pattern=SERIAL_NUMBER_PATTERN),
    ] = None
    accepted_from: Annotated[
        datetime | None,
        BeforeValidator(_read_time),
        _as("Accepted then or later.", type="string", format="date-time"),
    ] = None
    accepted_before: Annotated[
        datetime | None,
        BeforeValidator(_read_time),
        _as("Accepted before then.", type="string", format="date-time"),
    ] = None
    dead_letter: Annotated[
        bool | None,
        BeforeValidator(_read_flag),
        _as("Is, or is not, a dead letter.", type="boolean"),
    ] = None
    cursor: Annotated[
        str | None,
        Field(pattern=CURSOR_PATTERN),
        _as("From the page before this one.", type="string", pattern=CURSOR_PATTERN),
    ] = None
    limit: Annotated[int, Field(ge=1, le=500, description="How many tasks at most.")] = 50

    def query(self) -> TaskQuery:
        """Say it in the words of the store."""
        return TaskQuery(
            states=frozenset(self.state),
            equipment=self.equipment,
            accepted_from=self.accepted_from,
            accepted_before=self.accepted_before,
            dead_letter=self.dead_letter,
            cursor=None if self.cursor is None else read_cursor(self.cursor),
            limit=self.limit,
        )


@body
@dataclass(frozen=True, slots=True)
class TaskPage:
    """Tasks, newest first, and the cursor of the next page; null at the end."""

    tasks: Sequence[TaskRepresentation]
    cursor: str | None
