"""The probe that Docker's health checks run."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from activation import healthcheck


@contextmanager
def service(status: int, body: bytes) -> Iterator[int]:
    """A service that answers `/readyz` so; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        answering = threading.Thread(target=server.handle_request, daemon=True)
        answering.start()
        yield server.server_port
        answering.join(timeout=5)


def test_ready_service_is_healthy() -> None:
    """200 from `/readyz` means that nothing is wrong."""
    with service(200, b"{}") as port:
        fault = healthcheck.fault_at(port)

    assert fault is None


def test_unready_service_is_unhealthy_and_its_faults_are_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command leaves with what `/readyz` says is missing."""
    with service(503, b'{"faults": {"store": "down"}}') as port:
        monkeypatch.setattr("sys.argv", ["healthcheck", str(port)])

        with pytest.raises(SystemExit) as left:
            healthcheck.main()

    assert left.value.code == '{"faults": {"store": "down"}}'


def test_silent_port_is_unhealthy() -> None:
    """A service that does not listen yet is not healthy, and that is no traceback."""
    with socket.socket() as bound_but_deaf:
        bound_but_deaf.bind(("127.0.0.1", 0))

        fault = healthcheck.fault_at(bound_but_deaf.getsockname()[1])

    assert fault is not None
    assert fault.startswith("no answer: ")
