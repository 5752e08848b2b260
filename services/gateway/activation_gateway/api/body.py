"""Reading a request's body as JSON (RFC 8259), whatever was sent."""

import asyncio
import codecs
import json
import re
from collections import Counter, deque
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, NoReturn

from starlette.requests import ClientDisconnect, Request

from activation_gateway.api.problems import Fault, ProblemError, invalid

LARGEST_BODY_BYTES: Final = 64 * 1024
DEEPEST_NESTING: Final = 64

_LARGEST_DRAIN_BYTES: Final = 1024 * 1024
_PATIENCE_S: Final = 30.0  # for the whole body to arrive
_CLOSE: Final = {"Connection": "close"}
_JSON: Final = re.compile(r"application/(?:json|[^\s;/]+\+json)\s*(?:;.*)?", re.IGNORECASE)

_TOO_DEEP: Final = f"it is nested deeper than {DEEPEST_NESTING} levels"

Path = tuple[str | int, ...]


async def read_json(request: Request) -> Any:
    """Return the body of a request.

    Raises:
        ProblemError: 400 not readable as JSON, 408 too slow, 413 too large, 415 not JSON, 422 a
            name twice in one object.
    """
    content_type = request.headers.get("content-type")
    if content_type is not None and not _JSON.fullmatch(content_type):
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body must be application/json, not {content_type}",
        )
    body = await _receive(request)
    if not body:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The body is empty")
    if content_type is None:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "The header Content-Type: application/json is missing",
        )
    return parse_json(body)


async def _receive(request: Request) -> bytes:
    """Receive a body that is not too large.

    What is somewhat too large is received and thrown away, so that the client reads the answer and
    keeps its connection; what is far too large ends the connection.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > _LARGEST_DRAIN_BYTES:
        raise _too_large(_CLOSE)
    chunks: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(_PATIENCE_S):
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size <= LARGEST_BODY_BYTES:
                    chunks.append(chunk)
                elif size > _LARGEST_DRAIN_BYTES:
                    raise _too_large(_CLOSE)
    except TimeoutError:
        raise ProblemError(
            HTTPStatus.REQUEST_TIMEOUT,
            f"The body did not arrive within {_PATIENCE_S:g} s",
            headers=_CLOSE,
        ) from None
    if size > LARGEST_BODY_BYTES:
        raise _too_large()
    return b"".join(chunks)


def _too_large(headers: dict[str, str] | None = None) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body is larger than {LARGEST_BODY_BYTES} bytes",
        headers=headers,
    )


class _Ambiguous(dict[str, Any]):
    """An object that has members of the same name."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.repeated = [
            name for name, times in Counter(name for name, _ in pairs).items() if times > 1
        ]


def parse_json(body: bytes) -> Any:
    """Read JSON more strictly than Python does by itself.

    Raises:
        ProblemError: 400, or 422 for a name twice in one object.
    """
    ambiguous: list[_Ambiguous] = []

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            ambiguous.append(found := _Ambiguous(pairs))
        return found

    try:
        value = json.loads(_decode(body), object_pairs_hook=members, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise _unreadable(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise _unreadable(_TOO_DEEP) from None
    except ValueError:  # Python converts no integer of more than 4,300 digits
        raise _unreadable("a number has too many digits") from None
    # To count brackets is quick, and without many of them nothing is nested deeply.
    if body.count(b"{") + body.count(b"[") > DEEPEST_NESTING and _is_deep(value):
        raise _unreadable(_TOO_DEEP)
    if ambiguous:
        raise invalid(
            Fault("is given twice", pointer=pointer((*path, name)))
            for path, inner in walk(value)
            if isinstance(inner, _Ambiguous)
            for name in inner.repeated
        )
    return value


def _decode(body: bytes) -> str:
    if body.startswith(codecs.BOM_UTF8):
        raise _unreadable("it begins with a byte order mark")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(f"byte {error.start} is not UTF-8") from None


def _refuse(constant: str) -> NoReturn:
    raise _unreadable(f"{constant} is no JSON value")


def _unreadable(why: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"The body cannot be read as JSON: {why}")


def _is_deep(value: Any) -> bool:
    return any(len(path) > DEEPEST_NESTING for path, _ in walk(value))


def walk(value: Any) -> Iterator[tuple[Path, Any]]:
    """Yield a JSON value and all values inside it, each with its path, the outer ones first."""
    waiting: deque[tuple[Path, Any]] = deque([((), value)])
    while waiting:
        path, found = waiting.popleft()
        yield path, found
        if isinstance(found, dict):
            waiting.extend(((*path, name), inner) for name, inner in found.items())
        elif isinstance(found, list):
            waiting.extend(((*path, place), inner) for place, inner in enumerate(found))


def pointer(path: Path) -> str:
    """Write a path as a JSON pointer (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
