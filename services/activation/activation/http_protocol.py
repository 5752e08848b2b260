"""HTTP/1.1 as uvicorn speaks it, with limits for what comes before a body."""

import asyncio
from http import HTTPStatus
from typing import ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle


class BoundedProtocol(HttpToolsProtocol):
    """Refuses heads of requests that are endless, or do not arrive.

    The parser keeps what it has of a head until it is whole, and uvicorn limits neither how much
    that is nor how long it takes. Bodies are limited by who reads them.

    Attributes:
        largest_head_bytes: Request line and headers; beyond it 431 (RFC 6585 section 5). What
            arrives with the rest of its request in one piece is taken, as it is not kept.
        head_s: For a head to arrive; then 408 (RFC 9110 section 15.5.9).
    """

    largest_head_bytes: ClassVar[int] = 64 * 1024
    head_s: ClassVar[float] = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first head."""
        super().connection_made(transport)
        self._heads = 0  # that are whole
        self._in_head = True
        self._head_bytes = 0
        self._late: asyncio.TimerHandle | None = None
        self._limit_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._head_is_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and measure what is a part of a head alone."""
        begun, heads = self._in_head, self._heads
        super().data_received(data)
        if begun and heads == self._heads and not self.transport.is_closing():
            self._head_bytes += len(data)
            self._limit_time()
            if self._head_bytes > self.largest_head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Go on to the body."""
        self._heads += 1
        self._head_is_there()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Go on to the next request, whose time begins with its first byte."""
        self._in_head = True
        super().on_message_complete()

    def _limit_time(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(self.head_s, self._give_up)

    def _head_is_there(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self._answers():  # else uvicorn's limit for idle connections begins after the answer
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        if not self._answers():
            head = f"HTTP/1.1 {status:d} {status.phrase}\r\nconnection: close\r\ncontent-length: 0"
            self.transport.write(f"{head}\r\n\r\n".encode())
        self.transport.close()

    def _answers(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None until the first request
        return cycle is not None and not cycle.response_complete
