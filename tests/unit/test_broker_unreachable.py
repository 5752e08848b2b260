"""Whatever answers in RabbitMQ's place, or nobody: one error, in time, without the password."""

import asyncio
import logging
import socket

import pytest

from activation.broker import Queues, RabbitMQ
from activation.errors import BrokerUnavailableError

TIMEOUT_S = 0.3


async def refusal(port: int, host: str = "127.0.0.1") -> BrokerUnavailableError:
    url = f"amqp://activation:s3cret@{host}:{port}/"
    rabbitmq = RabbitMQ(url, name="under test", queues=Queues(), timeout_s=TIMEOUT_S)
    async with asyncio.timeout(5.0):
        with pytest.raises(BrokerUnavailableError) as refused:
            async with rabbitmq.open_session():
                pass
    return refused.value


def secretless(error: BaseException, caplog: pytest.LogCaptureFixture) -> bool:
    """Tell whether neither the error, nor its causes, nor the library's logs show the password."""
    shown = [caplog.text]
    cause: BaseException | None = error
    while cause is not None:
        shown += [str(cause), repr(cause)]
        cause = cause.__cause__
    return "s3cret" not in " ".join(shown)


async def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    """The connection is refused."""
    caplog.set_level(logging.DEBUG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))

        error = await refusal(taken.getsockname()[1])

    assert "refused" in str(error) or "Connect call failed" in str(error)
    assert secretless(error, caplog)


async def test_unknown_host(caplog: pytest.LogCaptureFixture) -> None:
    """The name may resolve later."""
    caplog.set_level(logging.DEBUG)

    error = await refusal(5672, host="rabbitmq.invalid")

    assert secretless(error, caplog)


@pytest.mark.parametrize(
    "greeting",
    [
        pytest.param(b"", id="silence"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="a web server"),
        pytest.param(b"AMQP\x00\x01\x00\x00", id="another AMQP"),
        pytest.param(b"\x01\x00\x00\x00\x00\x00\x04abcd\xce", id="a broken frame"),
        pytest.param(b"\x16\x03\x01\x00\xff" * 10, id="TLS"),
    ],
)
@pytest.mark.parametrize("closes", [True, False])
async def test_somebody_else_listens(
    caplog: pytest.LogCaptureFixture, greeting: bytes, *, closes: bool
) -> None:
    """A service of another kind is an outage too: addresses are mended while we wait."""
    caplog.set_level(logging.DEBUG)
    hung_up = asyncio.Event()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        if not closes:
            await reader.read(-1)
        writer.close()
        hung_up.set()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        error = await refusal(server.sockets[0].getsockname()[1])
        await asyncio.wait_for(hung_up.wait(), 5.0)

    assert str(error)
    assert secretless(error, caplog)


async def test_a_connection_that_ends_before_the_first_frame_is_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy takes it and closes it at once: aiormq then says `StopAsyncIteration`."""

    async def closed_at_once(*_: object, **__: object) -> None:
        raise StopAsyncIteration

    monkeypatch.setattr("aio_pika.connect", closed_at_once)

    error = await refusal(5672)

    assert str(error) == "no connection in time"
