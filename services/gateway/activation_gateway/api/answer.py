"""JSON answers: dataclasses written in camelCase, and in ASCII.

ASCII because a client may send, and is shown again, strings that UTF-8 cannot hold: lone surrogates
are valid JSON (RFC 8259 section 8.2).
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import ConfigDict, TypeAdapter, with_config
from pydantic.alias_generators import to_camel
from starlette.responses import Response

NOT_STORED: Final = {"Cache-Control": "no-store"}  # a task may change at any moment

CAMEL_CASE: Final = ConfigDict(
    alias_generator=to_camel, field_title_generator=lambda name, _: name.replace("_", " ")
)

BODIES: Final[dict[type, TypeAdapter[Any]]] = {}
"""Every kind of body, and how it is written."""

_Kind = TypeVar("_Kind", bound=type)


def body(kind: _Kind) -> _Kind:
    """Make a dataclass a kind of body: documented, and written in camelCase."""
    with_config(CAMEL_CASE)(kind)
    BODIES[kind] = TypeAdapter(kind)
    return kind


def answer(
    content: Any,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    *,
    media_type: str = "application/json",
    leave_out_none: bool = False,
) -> Response:
    """Answer with a body."""
    text = to_json(content, leave_out_none=leave_out_none)
    return Response(text, status, headers, media_type)


def to_json(content: Any, *, leave_out_none: bool = False) -> str:
    """Write a body."""
    members = BODIES[type(content)].dump_python(content, by_alias=True, exclude_none=leave_out_none)
    return json.dumps(members, default=_as_text, separators=(",", ":"))


def _as_text(value: object) -> str:
    match value:
        case UUID():
            return str(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            raise TypeError(f"{type(value).__name__} has no form in JSON")
