"""The handler's client against real sockets that misbehave: every way to end is an outcome."""

import asyncio
import gzip
import socket

import pytest

from activation.domain.outcome import Outcome, Reason
from tests.support.handler_calls import a_claim, client_of, outcome_of
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
    turn, mended = 0, asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        await (answer(200, OK) if mended.is_set() else broken[turn % 3])(reader, writer)

    async with serving(behave) as server, client_of(server.url, grace_s=0.05) as handler:
        for _ in range(10):
            await asyncio.gather(*(handler.activate(a_claim(timeout_s=0)) for _ in range(10)))
        await server.until(lambda s: s.open == 0)
        mended.set()
        outcome = await handler.activate(a_claim(timeout_s=5))

    assert outcome.reason == Reason.COMPLETED
