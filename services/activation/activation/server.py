"""Serving HTTP inside a service's own event loop, and stopping when told to."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from activation.errors import StartError
from activation.http_protocol import BoundedProtocol


class HttpServer(uvicorn.Server):
    """uvicorn, but the service owns the signals and a busy port is a clear error."""

    def __init__(
        self, app: Callable[..., Any], *, host: str, port: int, shutdown_s: float = 10.0
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                date_header=True,
                lifespan="off",
                http=BoundedProtocol,
                ws="none",  # no address is one
                backlog=4096,
                timeout_graceful_shutdown=max(1, round(shutdown_s)),
            )
        )

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Serve until the event is set, then finish the requests under way.

        Raises:
            StartError: The address cannot be had.
        """
        host, port = self.config.host, self.config.port
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = socket.create_server((host, port), family=family)
            # Inherited by connections; asyncio sets it only where the protocol is named.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise StartError(f"cannot listen on {host} port {port}: {error.strerror}") from error
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(self.serve([listener]), name="http")
            await stop.wait()
            self.should_exit = True
            await serving


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set. Call it inside the running loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
