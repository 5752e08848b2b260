"""The composition root of the mock handler."""

import asyncio

from activation.server import HttpServer
from activation.service import run_service
from activation.telemetry.logging import get_logger
from activation_handler.app import create_app
from activation_handler.ledger import Ledger, steady_clock
from activation_handler.playbook import Playbook
from activation_handler.provisioning import Provisioning
from activation_handler.settings import HandlerSettings
from activation_handler.wire import WireProtocol

log = get_logger()


def main() -> None:
    """Serve until SIGTERM."""
    run_service("handler", HandlerSettings, _open)


async def _open(settings: HandlerSettings, stop: asyncio.Event) -> None:
    playbook = Playbook(usual_s=settings.handler_seconds)
    provisioning = Provisioning(playbook, room=settings.handler_room)
    app = create_app(provisioning, playbook, Ledger(now=steady_clock()), log)
    # What is not answered soon is cut off: callers must bear that from a real system, too.
    server = HttpServer(app, host=settings.host, port=settings.handler_port, shutdown_s=1.0)
    server.config.http = WireProtocol
    # Longer than clients pool a connection: a call sent while we close one would be lost.
    server.config.timeout_keep_alive = 75
    log.info("serving", port=settings.handler_port, handler_seconds=settings.handler_seconds)
    await server.serve_until(stop)
