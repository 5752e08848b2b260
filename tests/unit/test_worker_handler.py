"""The handler's client against real sockets that misbehave: every way to end is an outcome."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import UUID

import pytest

from activation.domain.outcome import Outcome, Reason
from activation.domain.task import Claim, TaskId
from activation.telemetry.masking import Masker
from activation_worker.handler import HttpHandler
from tests.support.misbehaving_server import (
    Behaviour,
    answer,
    send,
    send_and_reset,
    send_for_ever,
    serving,
    silence,
)

OK = {"code": 200, "message": "success"}
HTML = b"<html><body>Not here</body></html>"
TASK = TaskId(UUID("0190a1b2-0000-7000-8000-000000000001"))


def a_claim(*, parameters: str = "{}", timeout_s: int = 5, traceparent: str | None = None) -> Claim:
    return Claim(
        task_id=TASK,
        equipment="ABC123",
        attempt=3,
        counted=2,
        timeout_s=timeout_s,
        parameters=parameters,
        accepted_at=datetime(2026, 1, 1, tzinfo=UTC),
        waited_s=0.0,
        traceparent=traceparent,
    )


@asynccontextmanager
async def client_of(url: str, *, grace_s: float = 0.1) -> AsyncIterator[HttpHandler]:
    handler = HttpHandler(
        url, connections=10, connect_s=0.3, grace_s=grace_s, masker=Masker(["password", "token"])
    )
    yield handler
    await handler.close()


async def outcome_of(
    behaviour: Behaviour, *, parameters: str = "{}", timeout_s: int = 5
) -> Outcome:
    """Make one call against a server of this behaviour; no connection may stay open after it."""
    async with serving(behaviour) as server, client_of(server.url) as handler:
        return await handler.activate(a_claim(parameters=parameters, timeout_s=timeout_s))


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (200, Reason.COMPLETED),
        (404, Reason.UNKNOWN_EQUIPMENT),
        (400, Reason.REFUSED),
        (401, Reason.REFUSED),
        (403, Reason.REFUSED),
        (409, Reason.REFUSED),
        (422, Reason.REFUSED),
        (429, Reason.OVERLOADED),
        (500, Reason.PROVISIONING_ERROR),
        (502, Reason.UNAVAILABLE),
        (503, Reason.UNAVAILABLE),
        (504, Reason.UNAVAILABLE),
        (204, Reason.UNREADABLE),
        (302, Reason.UNREADABLE),
    ],
)
async def test_status_decides(status: int, reason: Reason) -> None:
    """An answer in good order means what its status says."""
    outcome = await outcome_of(answer(status, {"message": "in words"}, {"location": "/elsewhere"}))

    assert reason == outcome.reason


@pytest.mark.parametrize("status", [200, 404, 400, 500])
async def test_page_of_a_proxy_is_no_answer(status: int) -> None:
    """HTML 404 does not mean that the device is unknown, nor HTML 200 that it is activated."""
    outcome = await outcome_of(answer(status, HTML, {"content-type": "text/html"}))

    assert outcome.reason == Reason.UNREADABLE
    assert str(status) in outcome.message


@pytest.mark.parametrize(
    ("status", "reason"), [(429, Reason.OVERLOADED), (503, Reason.UNAVAILABLE)]
)
async def test_not_now_needs_no_body(status: int, reason: Reason) -> None:
    """A proxy that says "not now" is believed."""
    outcome = await outcome_of(answer(status, HTML, {"retry-after": "7"}))

    assert (reason, 7.0) == (outcome.reason, outcome.retry_after_s)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(send(b"", then_close=True), id="closed without a word"),
        pytest.param(send_and_reset(b""), id="reset without a word"),
        pytest.param(send(b"HTTP/1.1 200 OK\r\ncontent-le", then_close=True), id="half a head"),
        pytest.param(send_and_reset(b"HTTP/1.1 200 OK\r\n"), id="reset within the head"),
    ],
)
async def test_connection_that_ends_before_the_answer_is_unreachable(behaviour: Behaviour) -> None:
    """A connection that ends before the answer has begun counts as lost."""
    outcome = await outcome_of(behaviour)

    assert outcome.reason == Reason.UNREACHABLE


async def test_refused_connection_is_unreachable() -> None:
    """Nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with client_of(f"http://127.0.0.1:{taken.getsockname()[1]}") as handler:
            outcome = await handler.activate(a_claim())

    assert Outcome(Reason.UNREACHABLE, "The connection failed: ClientConnectorError") == outcome


async def test_unknown_host_is_unreachable() -> None:
    """A name that does not resolve may do so later."""
    async with client_of("http://handler.invalid") as handler:
        outcome = await handler.activate(a_claim())

    assert outcome.reason == Reason.UNREACHABLE


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
ZIPPED = {"content-encoding": "gzip"}


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(send(b"SSH-2.0-OpenSSH_9.2\r\n", then_close=True), id="another protocol"),
        pytest.param(send(b"\x00\xff\x16\x03\x01" * 50 + b"\r\n\r\n"), id="bytes"),
        pytest.param(send(b"HTTP/1.1 abc OK\r\n\r\n"), id="status is no number"),
        pytest.param(send(b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n"), id="broken header"),
        pytest.param(
            send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"), id="endless header"
        ),
        pytest.param(
            send(b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"code": 2', then_close=True),
            id="half a body",
        ),
        pytest.param(send_and_reset(CHUNKED + b"5\r\n{    \r\n"), id="reset within the body"),
        pytest.param(send(CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n"), id="broken chunk"),
        pytest.param(send(CHUNKED + b"5\r\n{}", then_close=True), id="half a chunk"),
        pytest.param(answer(200, b"", {}), id="empty"),
        pytest.param(answer(200, b'{"code": 200', {}), id="half a JSON"),
        pytest.param(answer(200, b"\xff\xfe{}", {}), id="not UTF-8"),
        pytest.param(answer(200, ["success"], {}), id="no object"),
        pytest.param(answer(200, b"no gzip at all", ZIPPED), id="wrong encoding"),
        pytest.param(answer(200, gzip.compress(b"{}")[:-12], ZIPPED), id="half a gzip"),
    ],
)
async def test_broken_answer_is_unreadable(behaviour: Behaviour) -> None:
    """What cannot be read is no success and no refusal: it is tried again."""
    outcome = await outcome_of(behaviour)

    assert outcome.reason == Reason.UNREADABLE


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(answer(200, b" " * 1_048_577), id="with its length"),
        pytest.param(send_for_ever(CHUNKED, b"4000\r\n" + b" " * 0x4000 + b"\r\n"), id="endless"),
        pytest.param(answer(200, gzip.compress(b" " * 50_000_000), ZIPPED), id="zipped"),
    ],
)
async def test_oversized_answer_is_cut_off(behaviour: Behaviour) -> None:
    """More than 1 MiB is not read to its end, and the connection is not used again."""
    outcome = await outcome_of(behaviour)

    assert Outcome(Reason.UNREADABLE, "The answer 200 is larger than 1 MiB") == outcome


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(silence, id="silence"),
        pytest.param(send_for_ever(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n", pause_s=0.02), id="head"),
        pytest.param(send_for_ever(CHUNKED, b"1\r\n \r\n", pause_s=0.02), id="body"),
    ],
)
async def test_deadline_holds_for_the_whole_call(behaviour: Behaviour) -> None:
    """However busy a slow answer looks: after timeout and grace it has not come."""
    outcome = await outcome_of(behaviour, timeout_s=0)

    assert outcome.reason == Reason.NO_ANSWER
    assert "0.1 s" in outcome.message


async def test_connection_that_is_never_made_has_its_own_limit() -> None:
    """A host that drops packets is unreachable after connect_s: the handler has not acted."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        async with client_of(f"http://127.0.0.1:{address[1]}") as handler:
            outcome = await handler.activate(a_claim())
        for filler in fillers:
            filler.close()

    assert Outcome(Reason.UNREACHABLE, "The connection failed: ConnectionTimeoutError") == outcome


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("9" * 400, float("inf")),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Wed, 32 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0.0),
        ("Wed, 21 Oct 2015 07:28:00", 0.0),
    ],
)
async def test_retry_after_is_read_with_suspicion(value: str, seconds: float | None) -> None:
    """Seconds and dates count (RFC 9110 section 10.2.3); anything else is as if not there."""
    outcome = await outcome_of(send(_unavailable(value)))

    assert (Reason.UNAVAILABLE, seconds) == (outcome.reason, outcome.retry_after_s)


def _unavailable(retry_after: str) -> bytes:
    wish = f"retry-after: {retry_after}\r\n".encode()
    return b"HTTP/1.1 503 Later\r\ncontent-length: 0\r\n" + wish + b"\r\n"


async def test_retry_after_may_be_a_date() -> None:
    """A date means the time until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    outcome = await outcome_of(send(_unavailable(date)))

    assert outcome.retry_after_s is not None
    assert 3590.0 <= outcome.retry_after_s <= 3600.0


async def test_request_carries_all_that_the_handler_needs() -> None:
    """Device, timeout and parameters; key and number of the attempt; the trace."""
    claim = a_claim(parameters='{"vlan": 7}', timeout_s=60, traceparent="00-aa-bb-01")
    async with serving(answer(200, OK)) as server, client_of(server.url + "/") as handler:
        outcome = await handler.activate(claim)

    [(head, body)] = server.requests
    assert Outcome(Reason.COMPLETED, "success") == outcome
    assert head.startswith("POST /api/v1/equipment/cpe/ABC123 HTTP/1.1\r\n")
    assert json.loads(body) == {"timeoutInSeconds": 60, "parameters": {"vlan": 7}}
    for line in (
        f"idempotency-key: {TASK}",
        "x-attempt: 3",
        "traceparent: 00-aa-bb-01",
        "content-type: application/json",
        "accept: application/json",
    ):
        assert line in head.lower()


async def test_secrets_that_the_handler_repeats_are_scrubbed() -> None:
    """The handler's words reach logs and clients; the secrets in them do not."""
    parameters = {
        "username": "alice",
        "password": "hunter22",
        "wifi": {"token": ["tok-1", "tok-12"], "vlan": 12345},
        "password2": 98765,
        "password3": 'qu"ote\n\\',
        "password4": "пароль",
    }
    echo = f"cannot use {json.dumps(parameters)} nor {parameters} for alice on 12345"

    outcome = await outcome_of(
        answer(500, {"message": echo}), parameters=json.dumps(parameters, ensure_ascii=False)
    )

    for secret in ("hunter22", "tok-1", "98765", "ote", "пароль", "\\u043f"):
        assert secret not in outcome.message
    assert "alice" in outcome.message
    assert "12345" in outcome.message


async def test_message_is_one_short_printable_line() -> None:
    """Control characters and novels do not get into logs and answers."""
    outcome = await outcome_of(answer(500, {"message": "line\nbreak\x00\x1b[31m" + "x" * 10_000}))

    assert len(outcome.message) == 500
    assert outcome.message.isprintable()


@pytest.mark.parametrize("body", [{}, {"message": None}, {"message": {"deep": 1}}])
async def test_answer_without_words_is_told_by_its_status(body: object) -> None:
    """There is always something to read."""
    outcome = await outcome_of(answer(500, body))

    assert Outcome(Reason.PROVISIONING_ERROR, "500 Internal Server Error") == outcome


async def test_cancelled_call_closes_its_connection() -> None:
    """Who is called off does not keep the handler busy."""
    async with serving(silence) as server, client_of(server.url) as handler:
        calling = asyncio.create_task(handler.activate(a_claim()))
        await server.until(lambda s: len(s.requests) == 1)
        calling.cancel()
        await server.until(lambda s: s.open == 0)
        await asyncio.wait([calling])

    assert calling.cancelled()


async def test_call_cancelled_within_the_body_closes_its_connection() -> None:
    """The same while the answer is being read."""
    under_way = asyncio.Event()

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED)
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)
            under_way.set()

    async with serving(drip) as server, client_of(server.url) as handler:
        calling = asyncio.create_task(handler.activate(a_claim()))
        await asyncio.wait_for(under_way.wait(), 5.0)
        calling.cancel()
        await server.until(lambda s: s.open == 0)
        await asyncio.wait([calling])

    assert calling.cancelled()


async def test_connections_are_used_again() -> None:
    """Calls one after the other share a connection, refusals included."""
    async with serving(answer(404, OK)) as server, client_of(server.url) as handler:
        for _ in range(20):
            await handler.activate(a_claim())

        assert (len(server.requests), server.connections) == (20, 1)


async def test_broken_calls_leak_no_connection() -> None:
    """After a hundred broken answers a good one still finds a connection."""
    broken = [send(CHUNKED + b"zz\r\n"), send_and_reset(b"HTTP/1.1 200 OK\r\n"), silence]
    turn = 0

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        await (broken[turn % 3] if turn <= 100 else answer(200, OK))(reader, writer)

    async with serving(behave) as server, client_of(server.url, grace_s=0.05) as handler:
        for _ in range(10):
            await asyncio.gather(*(handler.activate(a_claim(timeout_s=0)) for _ in range(10)))
        await server.until(lambda s: s.open == 0)
        outcome = await handler.activate(a_claim(timeout_s=5))

    assert outcome.reason == Reason.COMPLETED
