"""The connection under a call, for faults that HTTP has no words for."""

import socket
import struct
from typing import TYPE_CHECKING, Final

from starlette.types import Receive, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from asyncio import Transport

_NO_LINGER: Final = struct.pack("ii", 1, 0)  # struct linger: on, 0 s: close sends RST (socket(7))


class WireProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, except that each request can reach its connection."""

    def on_message_begin(self) -> None:
        """Put the transport into the request's state, where ASGI lets a server add its own."""
        super().on_message_begin()
        self.scope["state"]["transport"] = self.transport


class Wire:
    """The connection of one request.

    After `reset` or `close` uvicorn takes the client for gone, and keeps quiet about the answer
    that was never given.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._transport: Transport = scope["state"]["transport"]
        self._receive = receive

    @staticmethod
    def is_under(scope: Scope) -> bool:
        """Whether the server is one that lets a request reach its connection."""
        return "transport" in scope.get("state", {})

    @property
    def is_open(self) -> bool:
        """Whether the client is still there, as far as we know."""
        return not self._transport.is_closing()

    async def until_gone(self) -> None:
        """Wait until the client has gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def write(self, data: bytes) -> None:
        """Send bytes as they are, past HTTP; they leave before a later close or reset."""
        self._transport.write(data)

    async def close(self) -> None:
        """End the connection in order (FIN)."""
        self._transport.close()
        await self.until_gone()

    async def reset(self) -> None:
        """End the connection with a TCP reset (RST)."""
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()
        await self.until_gone()
