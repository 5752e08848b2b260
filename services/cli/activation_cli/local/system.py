"""The parts of a local system: started in order, watched, and stopped in the reverse order."""

from collections.abc import Callable
from typing import Final, Protocol

from activation.errors import ActivationError, StartError
from activation_cli.local.ports import LOOPBACK, bind_error, free_port
from activation_cli.local.process import Child
from activation_cli.local.rabbitmq import RabbitMQNode
from activation_cli.local.service import Service
from activation_cli.local.settings import LocalSettings

_LINES_OF_LOG: Final = 5

# A stop shall take seconds. What the worker cannot finish it hands back, at the cost of no attempt.
_GATEWAY_SHUTDOWN_S: Final = 2.0
_WORKER_DRAIN_S: Final = 5.0


class PartEndedError(ActivationError):
    """A part of the system ended by itself."""


class Part(Protocol):
    """A part of the system, in a process of its own."""

    @property
    def process(self) -> Child:
        """Its process."""
        ...

    def launch(self) -> None:
        """Start it and return at once."""
        ...

    def wait_ready(self) -> None:
        """Wait until the others can use it."""
        ...

    def stop(self) -> None:
        """End it in order."""
        ...


class LocalSystem:
    """Broker, handler, gateway and worker, each a child process with a log of its own.

    Attributes:
        url: Where the gateway is.
        handler_url: Where the mock handler is.
        metrics_urls: Where gateway and worker give their metrics.
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
        handler_port, gateway_admin, worker_admin = free_port(), free_port(), free_port()
        self.url = f"http://localhost:{settings.port}"
        self.handler_url = f"http://{LOOPBACK}:{handler_port}"
        self.metrics_urls = [
            f"http://{LOOPBACK}:{port}/metrics" for port in (gateway_admin, worker_admin)
        ]
        self.database_url = settings.database_url or f"sqlite:///{folder}/activation.db"

        broker: list[Part] = []
        if settings.rabbitmq_url:
            self.amqp_url = settings.rabbitmq_url
        else:
            node = RabbitMQNode(folder / "rabbitmq", log=self.logs / "rabbitmq.log")
            self.amqp_url = node.amqp_url
            broker.append(node)
        handler = self._service(
            "handler",
            handler_port,
            ACTIVATION_HANDLER_PORT=handler_port,
            HANDLER_SECONDS=settings.handler_seconds,
        )
        gateway = self._service(
            "gateway",
            settings.port,
            ACTIVATION_PORT=settings.port,
            ACTIVATION_ADMIN_PORT=gateway_admin,
            ACTIVATION_SHUTDOWN_S=_GATEWAY_SHUTDOWN_S,
        )
        worker = self._service(
            "worker",
            worker_admin,
            ACTIVATION_ADMIN_PORT=worker_admin,
            ACTIVATION_HANDLER_URL=self.handler_url,
            ACTIVATION_ASK_HANDLER=True,
            ACTIVATION_DRAIN_S=_WORKER_DRAIN_S,
        )
        self._stages: list[list[Part]] = [[*broker, handler], [gateway, worker]]
        self._ends: list[Part] = [gateway, worker, handler, *broker]

    def start(self, tell: Callable[[str], None]) -> None:
        """Start the parts, those of a stage side by side, and wait until all are ready.

        Args:
            tell: Is told what is being started.

        Raises:
            StartError: One cannot start, or the gateway's port cannot be had.
        """
        in_the_way = bind_error(self._port)
        if in_the_way is not None:
            raise StartError(f"port {self._port}: {in_the_way}; name another with PORT or --port")
        for stage in self._stages:
            tell(f"starting {' and '.join(part.process.name for part in stage)}")
            for part in stage:
                part.launch()
            for part in stage:
                part.wait_ready()

    def stop(self) -> None:
        """End the parts in the order that loses nothing: who gives work goes first."""
        for part in self._ends:
            part.stop()

    def check(self) -> None:
        """See whether all parts still run.

        Raises:
            PartEndedError: One does not; with the end of its log.
        """
        for part in self._ends:
            process = part.process
            if not process.running:
                said = "".join(f"\n  {line}" for line in process.last_lines(_LINES_OF_LOG))
                raise PartEndedError(
                    f"{process.name} {process.how_it_ended}; the end of {process.log}:{said}"
                )

    def _service(self, name: str, ready_port: int, **variables: object) -> Service:
        env = {key: str(value) for key, value in variables.items()} | {
            "ACTIVATION_HOST": LOOPBACK,
            "ACTIVATION_AMQP_URL": self.amqp_url,
            "ACTIVATION_DATABASE_URL": self.database_url,
        }
        ready_url = f"http://{LOOPBACK}:{ready_port}/readyz"
        return Service(name, log=self.logs / f"{name}.log", ready_url=ready_url, env=env)
