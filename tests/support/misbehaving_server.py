"""HTTP servers on loopback that misbehave in the ways that real ones do."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Server:
    """A running server.

    Attributes:
        requests: The heads and bodies that came in.
        connections: How many connections were made in all.
        open: How many are open now.
    """

    url: str = ""
    requests: list[tuple[str, bytes]] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def until(self, holds: Callable[["Server"], bool]) -> None:
        """Wait until something holds, for 5 s at most."""
        async with asyncio.timeout(5.0), self.changed:
            await self.changed.wait_for(lambda: holds(self))

    async def note(self, *, opened: int) -> None:
        self.connections += max(opened, 0)
        self.open += opened
        async with self.changed:
            self.changed.notify_all()


@asynccontextmanager
async def serving(behave: Behaviour, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Serve: each connection reads requests, and each request is met with the behaviour."""
    server = Server()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await server.note(opened=1)
        try:
            while await _read_request(reader, server):
                await behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            await server.note(opened=-1)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    host, port = listening.sockets[0].getsockname()[:2]
    server.url = f"http{'s' if tls else ''}://{host}:{port}"
    try:
        yield server
    finally:
        listening.close()
        await server.until(lambda s: s.open == 0)


async def _read_request(reader: asyncio.StreamReader, server: Server) -> bool:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return False
    length = next(
        int(line.partition(":")[2])
        for line in head.splitlines()
        if line.lower().startswith("content-length:")
    )
    server.requests.append((head, await reader.readexactly(length)))
    async with server.changed:
        server.changed.notify_all()
    return True


def answer(status: int, body: object = None, headers: dict[str, str] | None = None) -> Behaviour:
    """Answer in good order; a body that is no string or bytes goes out as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return send("\r\n".join(lines).encode() + b"\r\n\r\n" + content)


def send(content: bytes, *, then_close: bool = False) -> Behaviour:
    """Send bytes as they are."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        if then_close:
            writer.close()
            await writer.wait_closed()

    return behave


def send_and_reset(content: bytes) -> Behaviour:
    """Send bytes and reset the connection: an RST, and not a FIN."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)
        await writer.drain()
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behave


def send_for_ever(head: bytes, chunk: bytes, *, pause_s: float = 0.0) -> Behaviour:
    """Send a head, and then a chunk again and again."""

    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return behave


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the other side hangs up."""
    await reader.read()
