"""The parts of a local system: started in order, watched, and stopped in the reverse order."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from activation.errors import ActivationError, StartError
from activation_cli.local.ports import LOOPBACK, bind_error, free_port
from activation_cli.local.probes import http_ok
from activation_cli.local.process import Child
from activation_cli.local.rabbitmq import RabbitMQNode
from activation_cli.local.settings import LocalSettings

_READY_S: Final = 60.0
_LINES_OF_LOG: Final = 5

# A stop takes seconds: what the worker cannot finish it hands back, at the cost of no attempt.
_GATEWAY_SHUTDOWN_S: Final = 2
_WORKER_DRAIN_S: Final = 5
_STOP_S: Final = 10.0


class PartEndedError(ActivationError):
    """A part of the system ended by itself."""


class LocalSystem:
    """Broker, handler, gateway and worker, each a child process with a log of its own.

    Attributes:
        url: Where the gateway is.
        handler_url: Where the mock handler is.
        amqp_url: Where RabbitMQ is; it may hold a password.
        database_url: Where the tasks are; it may hold a password.
        logs: The folder of the logs.

    Raises:
        StartError: RabbitMQ is not installed.
    """

    def __init__(self, settings: LocalSettings) -> None:
        folder = settings.folder.resolve()
        self.logs = folder / "logs"
        self._port = settings.port
        handler_port, worker_port = free_port(), free_port()
        self.url = f"http://localhost:{settings.port}"
        self.handler_url = f"http://{LOOPBACK}:{handler_port}"
        self.database_url = settings.database_url or f"sqlite:///{folder}/activation.db"
        self._node = (
            None
            if settings.rabbitmq_url
            else RabbitMQNode(folder / "rabbitmq", log=self._log("rabbitmq"))
        )
        self.amqp_url = settings.rabbitmq_url or self._node.amqp_url

        servers = {"DATABASE_URL": self.database_url, "AMQP_URL": self.amqp_url}
        self._handler = self._service(
            "handler", HANDLER_PORT=handler_port, HANDLER_SECONDS=settings.handler_seconds
        )
        self._gateway = self._service(
            "gateway",
            PORT=settings.port,
            ADMIN_PORT=free_port(),
            SHUTDOWN_S=_GATEWAY_SHUTDOWN_S,
            **servers,
        )
        self._worker = self._service(
            "worker",
            ADMIN_PORT=worker_port,
            HANDLER_URL=self.handler_url,
            DRAIN_S=_WORKER_DRAIN_S,
            **servers,
        )
