"""The TCP fault proxy, between a client and an echo server on loopback."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from activation_cli.verify.proxy import BLACK_HOLE, PASS, Behaviour, FaultProxy, Way
from tests.support.service import eventually

LIMIT_S = 5.0
SHORT_S = 0.2  # long enough for bytes that pass to have passed


@dataclass
class Echo:
    """An echo server behind a proxy."""

    proxy: FaultProxy
    received: bytes = b""
    resets: int = 0

    async def connect(self) -> tuple[StreamReader, StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.proxy.port)

    async def is_idle(self) -> bool:
        return self.proxy.connections == 0

    async def was_reset(self) -> bool:
        return self.resets > 0


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                seen.received += chunk
                writer.write(chunk)
                await writer.drain()
        except ConnectionResetError:
            seen.resets += 1
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, FaultProxy("test", server.sockets[0].getsockname()[1]) as proxy:
        seen = Echo(proxy)
        yield seen


async def exchange(reader: StreamReader, writer: StreamWriter, content: bytes) -> bytes:
    async with asyncio.timeout(LIMIT_S):
        writer.write(content)
        await writer.drain()
        return await reader.readexactly(len(content))


async def until_reset(reader: StreamReader) -> bytes:
    """Return what came before the connection was reset."""
    content = b""
    async with asyncio.timeout(LIMIT_S):
        try:
            while chunk := await reader.read(65_536):
                content += chunk
        except ConnectionResetError:
            return content
    raise AssertionError("the connection ended in order")


async def test_bytes_pass_both_ways_until_both_sides_end(echo: Echo) -> None:
    """A megabyte comes back as it went, and the end (FIN) passes too."""
    reader, writer = await echo.connect()
    content = bytes(range(256)) * 4096

    async with asyncio.timeout(LIMIT_S):
        writer.write(content)
        writer.write_eof()
        answer = await reader.read()
    await eventually(echo.is_idle, limit_s=LIMIT_S, what="the end of both connections")

    assert answer == content
    assert echo.resets == 0
    writer.close()


async def test_a_cut_resets_both_sides(echo: Echo) -> None:
    """An RST, as when a node fails, and not an orderly end."""
    reader, writer = await echo.connect()
    await exchange(reader, writer, b"hello")

    await echo.proxy.cut()

    assert await until_reset(reader) == b""
    await eventually(echo.was_reset, limit_s=LIMIT_S, what="a reset at the server")
    writer.close()


async def test_after_a_cut_new_connections_pass(echo: Echo) -> None:
    """A cut is a moment, and no state."""
    await echo.proxy.cut()
    reader, writer = await echo.connect()

    assert await exchange(reader, writer, b"again") == b"again"
    writer.close()


async def test_a_black_hole_swallows_all_without_an_end_and_gives_it_back(echo: Echo) -> None:
    """As a network partition: nothing passes, nobody is told, and TCP goes on afterwards."""
    reader, writer = await echo.connect()
    await exchange(reader, writer, b"before")

    echo.proxy.behave(BLACK_HOLE)
    writer.write(b"during")
    writer.write_eof()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), SHORT_S)
    swallowed = echo.received
    echo.proxy.behave(PASS)

    async with asyncio.timeout(LIMIT_S):
        assert await reader.read() == b"during"
    assert swallowed == b"before"
    writer.close()


async def test_a_black_hole_takes_new_connections_too(echo: Echo) -> None:
    """They are accepted, and then there is silence."""
    echo.proxy.behave(BLACK_HOLE)
    reader, writer = await echo.connect()
    writer.write(b"hello")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), SHORT_S)
    writer.close()


async def test_one_direction_alone_can_be_swallowed(echo: Echo) -> None:
    """The server acts, and its answer does not come."""
    echo.proxy.behave(Behaviour(swallows=frozenset({Way.TO_CLIENT})))
    reader, writer = await echo.connect()
    writer.write(b"act")

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), SHORT_S)

    assert echo.received == b"act"
    writer.close()


async def test_a_delay_holds_each_way_up(echo: Echo) -> None:
    """An exchange takes both delays."""
    echo.proxy.behave(Behaviour(delay_s=0.1))
    reader, writer = await echo.connect()
    loop = asyncio.get_running_loop()

    begun_at = loop.time()
    await exchange(reader, writer, b"slowly")

    assert loop.time() - begun_at >= 0.2
    writer.close()


async def test_a_rate_limits_the_flow(echo: Echo) -> None:
    """20 kB at 50 kB a second take 0.4 s, less the last step."""
    echo.proxy.behave(Behaviour(bytes_per_s=50_000))
    reader, writer = await echo.connect()
    loop = asyncio.get_running_loop()

    begun_at = loop.time()
    content = await exchange(reader, writer, bytes(20_000))

    assert len(content) == 20_000
    assert loop.time() - begun_at >= 0.3
    writer.close()


async def test_a_connection_is_cut_after_so_many_bytes(echo: Echo) -> None:
    """The answer breaks off in its middle, and all of the request has arrived."""
    echo.proxy.behave(Behaviour(cut_after=(Way.TO_CLIENT, 4)))
    reader, writer = await echo.connect()
    writer.write(b"0123456789")

    begun = await until_reset(reader)

    assert b"0123".startswith(begun)
    assert echo.received == b"0123456789"
    writer.close()


async def test_bytes_before_a_cut_count_from_the_moment_it_is_ordered(echo: Echo) -> None:
    """What a long connection has carried so far does not matter."""
    reader, writer = await echo.connect()
    await exchange(reader, writer, b"0123456789")

    echo.proxy.behave(Behaviour(cut_after=(Way.TO_CLIENT, 4)))

    assert await exchange(reader, writer, b"abcd") == b"abcd"
    writer.write(b"e")
    assert await until_reset(reader) == b""
    writer.close()


async def test_refused_connections_are_reset_and_open_ones_go_on(echo: Echo) -> None:
    """As a listener whose backlog is full."""
    reader, writer = await echo.connect()
    await exchange(reader, writer, b"before")

    echo.proxy.behave(Behaviour(refuses=True))
    new_reader, new_writer = await echo.connect()

    assert await until_reset(new_reader) == b""
    assert await exchange(reader, writer, b"still") == b"still"
    writer.close()
    new_writer.close()


async def test_a_server_that_is_away_is_a_reset(echo: Echo, free_port: int) -> None:
    """The proxy is there, and must not seem to be the server."""
    async with FaultProxy("nowhere", free_port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)

        assert await until_reset(reader) == b""
        writer.close()
