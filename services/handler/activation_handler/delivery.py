"""How a caller is answered, or not: each step of a script, played on its connection."""

from functools import lru_cache
from typing import Final, assert_never

import orjson
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from activation_handler.playbook import SUCCESS
from activation_handler.script import (
    Answer,
    Garbage,
    Half,
    Hang,
    Huge,
    Reset,
    Step,
    WrongType,
)
from activation_handler.wire import Wire

_JSON: Final = "application/json"
_CHUNK: Final = b" " * 65_536  # white space: JSON so far, so that only the size is wrong


async def deliver(step: Step, scope: Scope, receive: Receive, send: Send) -> str:
    """Answer the caller.

    Returns:
        The outcome for the ledger: the status, the name of the fault, or `left`.
    """
    if Wire.is_under(scope) and not Wire(scope, receive).is_open:
        return "left"
    match step:
        case Answer():
            await answer(step)(scope, receive, send)
            return str(step.status)
        case WrongType():
            await HTMLResponse("<!doctype html><title>Welcome</title>")(scope, receive, send)
        case Garbage(instead_of="json"):
            garbage = Response(b'{"code": 200, "mess\xff\x00', media_type=_JSON)
            await garbage(scope, receive, send)
        case Garbage():
            await _send_raw(Wire(scope, receive), b"\x16\x03\x01\x02\x00garbage\r\n\r\n")
        case Half():
            await _send_raw(Wire(scope, receive), _half_an_answer())
        case Reset():
            await _reset(Wire(scope, receive), step)
        case Huge():
            await _flood(Wire(scope, receive), step, send)
        case Hang():
            await Wire(scope, receive).until_gone()
        case _:
            assert_never(step)
    return step.do


@lru_cache(maxsize=64)  # a benchmark asks for the same few answers thousands of times a second
def answer(step: Answer) -> Response:
    """Make the HTTP answer of a step."""
    response = json_response({"code": step.status, "message": step.text}, step.status)
    if step.retry_after is not None:
        response.headers["retry-after"] = str(step.retry_after)
    return response


def json_response(content: object, status: int = 200) -> Response:
    """Make an answer of anything that orjson can write, dataclasses included."""
    return Response(orjson.dumps(content), status, media_type=_JSON)


def _half_an_answer() -> bytes:
    body = answer(SUCCESS).body
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {_JSON}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + bytes(body[: len(body) // 2])


async def _send_raw(wire: Wire, data: bytes) -> None:
    wire.write(data)
    await wire.close()


async def _reset(wire: Wire, step: Reset) -> None:
    if step.at == "middle":
        wire.write(_half_an_answer())
    await wire.reset()


async def _flood(wire: Wire, step: Huge, send: Send) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    sent_bytes = 0
    while wire.is_open and (step.body_bytes is None or sent_bytes < step.body_bytes):
        await send({"type": "http.response.body", "body": _CHUNK, "more_body": True})
        sent_bytes += len(_CHUNK)
    await send({"type": "http.response.body"})
