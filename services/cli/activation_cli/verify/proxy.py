"""A TCP proxy on the loopback interface that breaks connections as networks do."""

import asyncio
import socket
import struct
from asyncio import StreamReader, StreamWriter
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Final, Self

from activation_cli.local.ports import LOOPBACK

_CHUNK_BYTES: Final = 65_536
_CONNECT_S: Final = 5.0
_NO_LINGER: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 s: close sends RST (socket(7))


class Way(Enum):
    """In which direction bytes go."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


BOTH_WAYS: Final = frozenset(Way)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What happens to bytes and connections; by default they pass.

    Attributes:
        refuses: New connections are reset at once.
        swallows: In these directions nothing passes, not even the end of a connection (FIN). What
            was on its way goes on when this ends, as after a network partition.
        delay_s: Every chunk waits this long.
        bytes_per_s: The most that passes in each direction of a connection.
        cut_after: After so many bytes in a direction the connection is reset (RST), on both sides.
            They are counted anew for each behaviour.
    """

    refuses: bool = False
    swallows: frozenset[Way] = frozenset()
    delay_s: float = 0.0
    bytes_per_s: float | None = None
    cut_after: tuple[Way, int] | None = None

    def limit(self, way: Way) -> int | None:
        """Return after how many bytes in a direction a connection is cut."""
        return self.cut_after[1] if self.cut_after and self.cut_after[0] is way else None


PASS: Final = Behaviour()
BLACK_HOLE: Final = Behaviour(swallows=BOTH_WAYS)


class FaultProxy:
    """Stands before a server and passes everything on, until it is told to behave otherwise.

    Args:
        name: What it stands between.
        server_port: Of the server, on the loopback interface.
    """

    def __init__(self, name: str, server_port: int) -> None:
        self.name = name
        self.server_port = server_port
        self._listener: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._behaviour = PASS
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._carry, LOOPBACK, 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._listener is not None:
            self._listener.close()
            await self.cut()
            await self._listener.wait_closed()

    @property
    def port(self) -> int:
        """Where clients connect to."""
        if self._listener is None:
            raise RuntimeError(f"the proxy {self.name} was not started")
        return int(self._listener.sockets[0].getsockname()[1])

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    @property
    def behaviour(self) -> Behaviour:
        """How it behaves now."""
        return self._behaviour

    def behave(self, behaviour: Behaviour) -> None:
        """Treat what comes from now on in this way."""
        self._behaviour = behaviour
        for connection in self._connections:
            connection.passed.clear()
        self._changed.set()
        self._changed = asyncio.Event()

    async def cut(self) -> None:
        """Reset all connections, on both sides."""
        carrying = [connection.task for connection in self._connections]
        for task in carrying:
            task.cancel()
        if carrying:
            await asyncio.wait(carrying)

    async def until_passing(self, way: Way) -> Behaviour:
        """Wait until bytes pass in a direction, and return how."""
        while way in self._behaviour.swallows:
            await self._changed.wait()
        return self._behaviour

    async def _carry(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a connection is carried by a task")
        connection = _Connection(self, task)
        self._connections.add(connection)
        try:
            await connection.carry(reader, writer, self.server_port)
        except (OSError, TimeoutError, asyncio.CancelledError, _CutError):
            pass  # a side went away, or we cut it: either way both ends are reset below
        finally:
            connection.reset()
            self._connections.discard(connection)


class _CutError(Exception):
    """The bytes that may pass have passed."""


class _Connection:
    """A client's connection and ours to the server."""

    def __init__(self, proxy: FaultProxy, task: "asyncio.Task[None]") -> None:
        self._proxy = proxy
        self._ends: list[StreamWriter] = []
        self.task = task
        self.passed: Counter[Way] = Counter()

    async def carry(self, reader: StreamReader, writer: StreamWriter, port: int) -> None:
        """Pass bytes on in both directions until both have ended."""
        self._ends.append(writer)
        if self._proxy.behaviour.refuses:
            return
        await self._proxy.until_passing(Way.TO_SERVER)
        async with asyncio.timeout(_CONNECT_S):
            from_server, to_server = await asyncio.open_connection(LOOPBACK, port)
        self._ends.append(to_server)
        pumps = [
            asyncio.ensure_future(self._pump(reader, to_server, Way.TO_SERVER)),
            asyncio.ensure_future(self._pump(from_server, writer, Way.TO_CLIENT)),
        ]
        try:
            await asyncio.gather(*pumps)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.wait(pumps)
        for end in self._ends:
            end.close()
        self._ends.clear()

    def reset(self) -> None:
        """Leave with an RST where an orderly end was not reached."""
        for end in self._ends:
            with suppress(OSError):  # it may be gone
                connection = end.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            end.transport.abort()

    async def _pump(self, reader: StreamReader, writer: StreamWriter, way: Way) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            behaviour = await self._proxy.until_passing(way)
            await asyncio.sleep(behaviour.delay_s)
            limit = behaviour.limit(way)
            if limit is not None and self.passed[way] + len(chunk) > limit:
                writer.write(chunk[: limit - self.passed[way]])
                raise _CutError
            self.passed[way] += len(chunk)
            await self._write(writer, chunk, behaviour)
        await self._proxy.until_passing(way)
        writer.write_eof()

    async def _write(self, writer: StreamWriter, chunk: bytes, behaviour: Behaviour) -> None:
        if behaviour.bytes_per_s is None:
            writer.write(chunk)
            await writer.drain()
            return
        step = max(1, int(behaviour.bytes_per_s / 20))  # twenty steps a second look like a flow
        for start in range(0, len(chunk), step):
            part = chunk[start : start + step]
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(len(part) / behaviour.bytes_per_s)
