"""Hostile requests on the gateway's socket: a clear 4xx or a usual answer, no 5xx, no hang."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import pytest

from activation.http_protocol import BoundedProtocol
from tests.integration.test_gateway_schemathesis import served_gateway

LIMIT_S: Final = 10.0
LINE: Final = b"POST /api/v1/equipment/cpe/ABC123 HTTP/1.1\r\nHost: gateway\r\n"
JSON: Final = b"Content-Type: application/json\r\n"
VALID: Final = b'{"timeoutInSeconds": 60}'


def post(body: bytes = VALID, headers: bytes = b"") -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return LINE + JSON + headers + length + body


def get(target: bytes, version: bytes = b"1.1") -> bytes:
    return b"GET " + target + b" HTTP/" + version + b"\r\nHost: gateway\r\n\r\n"


REFUSED: Final = {
    "header with NUL": (400, post(headers=b"X-A: a\0b\r\n")),
    "key that is no ASCII": (400, post(headers=b"Idempotency-Key: \xff\xfe\r\n")),
    "media type that is no ASCII": (
        415,
        LINE + b"Content-Type: \xff\r\nContent-Length: 2\r\n\r\n{}",
    ),
    "two lengths": (400, post(headers=b"Content-Length: 3\r\n")),
    "negative length": (400, LINE + JSON + b"Content-Length: -2\r\n\r\n{}"),
    "absurd length": (400, LINE + JSON + b"Content-Length: 99999999999999999999999\r\n\r\n{}"),
    "length that announces too much": (413, LINE + JSON + b"Content-Length: 99999999\r\n\r\n{}"),
    "length that is too short": (400, LINE + JSON + b"Content-Length: 2\r\n\r\n{ }"),
    "length and chunks": (400, post(headers=b"Transfer-Encoding: chunked\r\n")),
    "unknown encoding": (400, LINE + JSON + b"Transfer-Encoding: gzip\r\n\r\n{}"),
    "broken chunk": (400, LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n"),
    "nested 100,000 times": (413, post(b"[" * 100_000)),
    "nested as far as a body goes": (400, post(b"[" * 30_000 + b"]" * 30_000)),
    "body with NUL": (400, post(b'{"parameters": {"a": "\0"}}')),
    "body that is not UTF-8": (400, post(b'{"parameters": {"a": "\xff\xfe"}}')),
    "name twice": (422, post(b'{"timeoutInSeconds": 1, "timeoutInSeconds": 2}')),
    "equipment with NUL": (
        404,
        b"POST /api/v1/equipment/cpe/ABC%00123 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    "query with NUL": (422, get(b"/api/v1/tasks?equipment=ABC%00123")),
    "query that is not UTF-8": (422, get(b"/api/v1/tasks?cursor=%ff%fe&limit=%ff")),
    "target that is not ASCII": (400, get(b"/api/v1/\xff\xfe")),
    "target of a megabyte": (431, get(b"/" + b"a" * 1_000_000)),
    "another server's target": (404, get(b"//elsewhere:99999999/a")),
    "upgrade, which ends HTTP": (400, post(headers=b"Connection: upgrade\r\nUpgrade: h2c\r\n")),
    "unknown version": (400, get(b"/api/v1/tasks", b"9.9")),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "TLS": (400, b"\x16\x03\x01\x00\xa5\x01\x00\x00"),
    "header of a megabyte": (431, LINE + b"X-A: " + b"a" * 1_000_000),
    "100,000 headers": (431, LINE + b"X-A: a\r\n" * 100_000),
}

IGNORED: Final = {
    "traceparent": b"traceparent: 00-\xff\xfe-zz\r\n",
    "1,000 traceparents": b"traceparent: 00-1-1-1\r\n" * 1_000,
    "tracestate and baggage": b"tracestate: \xff=,,,=\r\nbaggage: \xff=%ff;;;=\r\n",
    "preference": b'Prefer: wait=99999999999999999999; "\\\xff\r\n',
    "authorization": b"Authorization: Bearer \xff\xfe\r\nX-API-Key: \xff\r\n",
}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Where a gateway listens; it must be well afterwards."""
    async with served_gateway() as url:
        port = urlsplit(url).port
        assert port is not None
        yield port
        assert await status_of(port, post()) == 200


async def status_of(port: int, *pieces: bytes) -> int:
    """Send a request, as far as the gateway takes it, and return the status of the answer."""
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            sending = asyncio.create_task(_send(writer, pieces))
            line = await reader.readline()
            sending.cancel()
        finally:
            writer.close()
    return int(line.split()[1])


async def _send(writer: asyncio.StreamWriter, pieces: tuple[bytes, ...]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


@pytest.mark.parametrize(("status", "request_"), REFUSED.values(), ids=REFUSED)
async def test_what_makes_no_sense_is_refused(port: int, status: int, request_: bytes) -> None:
    """With the status that says what is wrong, and at once."""
    assert await status_of(port, request_) == status


@pytest.mark.parametrize("headers", IGNORED.values(), ids=IGNORED)
async def test_headers_of_no_use_do_no_harm(port: int, headers: bytes) -> None:
    """A request is taken although a proxy or a client writes nonsense beside it."""
    assert await status_of(port, b"\r\n", post(headers=headers)) == 200


async def test_body_without_an_end_is_413(port: int) -> None:
    """The gateway stops reading it, and closes."""
    chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
    begin = LINE + JSON + b"Transfer-Encoding: chunked\r\n\r\n"

    assert await status_of(port, begin, *[chunk] * 20) == 413


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"POST /api", LINE, post() + b"GET /api"])
async def test_head_that_does_not_come_ends_the_connection(
    port: int, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """Whoever holds connections open for nothing gets them closed."""
    monkeypatch.setattr(BoundedProtocol, "head_s", 0.2)
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        answer = await reader.read()
        writer.close()

    assert answer.startswith(b"HTTP/1.1 200" if begun.startswith(post()) else b"HTTP/1.1 408")


async def test_one_connection_serves_many_requests_of_the_largest_size(port: int) -> None:
    """The limits are for one head each: not for bodies, nor for all requests together."""
    body = b'{"parameters": {"a": "' + b"a" * 65_000 + b'"}}'
    async with asyncio.timeout(LIMIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(5):
            for piece in (LINE, JSON, b"Content-Length: %d\r\n\r\n" % len(body), body):
                writer.write(piece)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(len(b'{"code":200,"taskId":""}') + 36)
            assert head.startswith(b"HTTP/1.1 200")
        writer.close()
