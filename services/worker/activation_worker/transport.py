"""HTTP to the handler: a request, and the reply read with suspicion."""

import ssl
from collections.abc import Mapping
from typing import Final, Protocol

import aiohttp
from yarl import URL

from activation.domain.outcome import Reason
from activation_worker.reply import Reply

_LARGEST_BODY: Final = 1024 * 1024
_KEEP_ALIVE_S: Final = 4.0  # below the 5 s of common servers: a call must not meet a closing one
# The connection was there, and what came over it is no answer.
_UNREADABLE: Final = (aiohttp.ClientPayloadError, aiohttp.ClientResponseError)


class NoReplyError(Exception):
    """No reply came, or none that can be read; the message says why.

    Attributes:
        reason: Which of the two.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Transport(Protocol):
    """Carries requests; a request that is cancelled leaves nothing behind."""

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """Send a request.

        Raises:
            NoReplyError: There is no answer.
        """
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class HttpTransport:
    """aiohttp's pool of connections. To be made inside the running loop.

    Servers of `https://` are checked by the system's authorities, or by those in `SSL_CERT_FILE`.

    Args:
        connections: Requests at once at most.
        connect_s: Limit for a TCP connection; the whole request has its caller's deadline.
    """

    def __init__(self, *, connections: int, connect_s: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections,
                keepalive_timeout=_KEEP_ALIVE_S,
                ssl=ssl.create_default_context(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
        )

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        """Send a request; see `Transport.send`."""
        try:
            async with self._session.request(
                method, URL(url, encoded=True), headers=headers, data=body, allow_redirects=False
            ) as response:
                return Reply(
                    response.status, await _body(response), response.headers.get("retry-after")
                )
        except _UNREADABLE as error:
            message = "answer was broken off or is not HTTP"
            raise NoReplyError(Reason.UNREADABLE, message) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"connection failed: {type(error).__name__}"
            raise NoReplyError(Reason.UNREACHABLE, message) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


async def _body(response: aiohttp.ClientResponse) -> bytes | None:
    """Read to the end, or to where it becomes too large: None."""
    body = bytearray()
    while chunk := await response.content.readany():
        body += chunk
        if len(body) > _LARGEST_BODY:
            return None
    return bytes(body)
