"""Free ports on the loopback interface."""

import secrets
import socket
from collections import deque
from typing import Final

LOOPBACK: Final = "127.0.0.1"

# Below Linux' range for outgoing connections (32768 and up): there, a client that keeps trying to
# reach a stopped server would sooner or later be given that very port and lock the server out.
_LOWEST: Final = 15_000
_HIGHEST: Final = 31_000
_TRIES: Final = 100

_given: Final = deque[int](maxlen=1000)  # whoever was given one may not listen on it yet


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, and that was not given before.

    Raises:
        OSError: None was found.
    """
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in _given and bind_error(port) is None:
            _given.append(port)
            return port
    raise OSError(f"no free port found between {_LOWEST} and {_HIGHEST}")


def bind_error(port: int) -> str | None:
    """Say why a server could not listen on the port now; None if it could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            return error.strerror
    return None
