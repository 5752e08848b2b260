"""Questions that a server answers only once it is ready; none waits longer than a second."""

import socket
import urllib.error
import urllib.request
from typing import Final

from activation_cli.local.ports import LOOPBACK

_TIMEOUT_S: Final = 1.0
_HTTP_OK: Final = 200

# Without the proxies that the environment may name: the servers are on this machine.
_opener: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http_ok(url: str) -> bool:
    """Tell whether a GET is answered with 200."""
    try:
        with _opener.open(url, timeout=_TIMEOUT_S) as answer:
            return bool(answer.status == _HTTP_OK)
    except OSError:  # refused, reset, timed out, or another status
        return False


def speaks_amqp(port: int) -> bool:
    """Tell whether a broker answers our protocol header with its first frame, a METHOD.

    AMQP 0-9-1, sections 4.2.2 and 4.2.3. RabbitMQ opens its listeners as the last step of its
    start, but a listener alone may also be a port that is only being forwarded.
    """
    return _answers(port, b"AMQP\x00\x00\x09\x01", b"\x01")


def speaks_postgres(port: int, user: str) -> bool:
    """Tell whether PostgreSQL lets the user in without a password.

    PostgreSQL, "Message Formats": StartupMessage and Terminate in one packet, answered with an
    Authentication message (`R`), or while the server is still recovering with an error (`E`).
    """
    body = b"\x00\x03\x00\x00" + f"user\0{user}\0database\0postgres\0\0".encode()
    startup = (len(body) + 4).to_bytes(4, "big") + body
    return _answers(port, startup + b"X\x00\x00\x00\x04", b"R")


def _answers(port: int, greeting: bytes, expected: bytes) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT_S) as connection:
            connection.sendall(greeting)
            first = connection.recv(1)
    except OSError:
        return False
    return first == expected
