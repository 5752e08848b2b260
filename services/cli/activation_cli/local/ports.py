"""Free ports on the loopback interface."""

import secrets
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"

# Below Linux' range for outgoing connections (32768 and up): there, a client that keeps trying to
# reach a stopped server would sooner or later be given that very port and lock the server out.
_LOWEST: Final = 15_000
_HIGHEST: Final = 31_000
_TRIES: Final = 100


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now.

    Raises:
        OSError: None was found.
    """
    for _ in range(_TRIES):
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if is_free(port):
            return port
    raise OSError(f"no free port found between {_LOWEST} and {_HIGHEST}")


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
