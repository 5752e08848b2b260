"""RabbitMQ and PostgreSQL for tests: Debian's as our own children, or as containers.

Both kinds have the same switches, so that the same tests run on either.
"""

import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import asyncpg
import httpx
import pytest

from activation_cli.local.ports import free_port
from activation_cli.local.postgres import PostgresServer
from activation_cli.local.probes import http_ok, speaks_amqp, speaks_postgres
from activation_cli.local.rabbitmq import RabbitMQNode

KINDS = ("debian", "docker")

RABBITMQ_IMAGE = "rabbitmq:4.3-management"
POSTGRES_IMAGE = "postgres:18"

_START_LIMIT_S = 50  # below pytest's own limit of 60 s for a test, so that the reason shows


class Server(Protocol):
    """A server that a test may stop and start; its address and its data stay."""

    def start(self) -> None:
        """Start it and wait until it takes connections."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End it by SIGKILL."""

    def restart(self) -> None:
        """Stop and start it."""


class RabbitMQ(Server, Protocol):
    @property
    def amqp_url(self) -> str:
        """The default virtual host."""

    @property
    def management_url(self) -> str:
        """The HTTP API; only the session's server has it for sure."""

    @property
    def metrics_url(self) -> str:
        """Where Prometheus asks; only a server with `metrics` has it for sure."""


class Postgres(Server, Protocol):
    def stop(self, *, immediately: bool = False) -> None:
        """End it in order, or at once as a crash would: the next start recovers."""

    def url(self, database: str = "postgres") -> str:
        """The address of a database."""


_S = TypeVar("_S", bound=Server)


class _Container:
    """A container made on the first start and kept, with its data, until `remove`."""

    def __init__(self, image: str, *, ports: dict[int, int], env: dict[str, str]) -> None:
        self._image = image
        self._name = f"activation-test-{secrets.token_hex(4)}"
        self._options = [
            *("--name", self._name, "--hostname", "server"),
            *(f"--publish=127.0.0.1:{ours}:{theirs}" for ours, theirs in ports.items()),
            *(f"--env={name}={value}" for name, value in env.items()),
        ]
        self._made = False

    def start(self) -> None:
        if self._made:
            _docker("start", self._name)
        else:
            self._made = True
            _docker("run", "--detach", "--pull=never", *self._options, self._image)
        deadline = time.monotonic() + _START_LIMIT_S
        while not self._is_ready():
            if time.monotonic() > deadline or not self._runs():
                raise RuntimeError(f"{self._image} did not start: {self._said()}")
            time.sleep(0.1)

    def stop(self) -> None:
        _docker("stop", "--time=15", self._name)

    def kill(self) -> None:
        _docker("kill", self._name)

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        if self._made:
            _docker("rm", "--force", "--volumes", self._name)

    def _is_ready(self) -> bool:
        raise NotImplementedError

    def _runs(self) -> bool:
        return _docker("inspect", "--format={{.State.Running}}", self._name).strip() == "true"

    def _said(self) -> str:
        return _docker("logs", "--tail=5", self._name)


class RabbitMQContainer(_Container):
    def __init__(self) -> None:
        self._port, self._management_port, self._metrics_port = (
            free_port(),
            free_port(),
            free_port(),
        )
        super().__init__(
            RABBITMQ_IMAGE,
            ports={self._port: 5672, self._management_port: 15672, self._metrics_port: 15692},
            env={"RABBITMQ_DEFAULT_USER": "activation", "RABBITMQ_DEFAULT_PASS": "activation"},
        )

    @property
    def amqp_url(self) -> str:
        return f"amqp://activation:activation@127.0.0.1:{self._port}/"

    @property
    def management_url(self) -> str:
        return f"http://activation:activation@127.0.0.1:{self._management_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self._metrics_port}"

    def _is_ready(self) -> bool:
        return http_ok(f"http://127.0.0.1:{self._management_port}/") and speaks_amqp(self._port)


class PostgresContainer(_Container):
    def __init__(self) -> None:
        self._port = free_port()
        super().__init__(
            POSTGRES_IMAGE,
            ports={self._port: 5432},
            env={"POSTGRES_USER": "activation", "POSTGRES_PASSWORD": "activation"},
        )

    def stop(self, *, immediately: bool = False) -> None:
        if immediately:
            _docker("kill", "--signal=QUIT", self._name)
            _docker("wait", self._name)
        else:
            super().stop()

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://activation:activation@127.0.0.1:{self._port}/{database}"

    def _is_ready(self) -> bool:
        return speaks_postgres(self._port, "activation")


@contextmanager
def running_rabbitmq(
    kind: str, *, management: bool = False, metrics: bool = False
) -> Iterator[RabbitMQ]:
    """Start a RabbitMQ of the given kind, and leave nothing of it behind."""
    if kind == "docker":
        _need_image(RABBITMQ_IMAGE)
        with _ended(RabbitMQContainer(), RabbitMQContainer.remove) as container:
            yield container
        return
    with _folder() as folder:
        node = RabbitMQNode(folder, management=management, metrics=metrics)
        with _ended(node, RabbitMQNode.stop):
            yield node


@contextmanager
def running_postgres(kind: str) -> Iterator[Postgres]:
    """Start a PostgreSQL of the given kind, and leave nothing of it behind."""
    if kind == "docker":
        _need_image(POSTGRES_IMAGE)
        with _ended(PostgresContainer(), PostgresContainer.remove) as container:
            yield container
        return
    with _folder() as folder, _ended(PostgresServer(folder), PostgresServer.stop) as server:
        yield server


@contextmanager
def fresh_vhost(server: RabbitMQ) -> Iterator[str]:
    """Make a virtual host and return its AMQP address; it goes with all its queues.

    Over HTTP it takes 20 ms, with `rabbitmqctl` 2 s.
    """
    name = f"test-{secrets.token_hex(4)}"
    with httpx.Client(base_url=server.management_url, timeout=30, trust_env=False) as api:
        api.put(f"/api/vhosts/{name}").raise_for_status()
        yield f"{server.amqp_url}{name}"
        api.delete(f"/api/vhosts/{name}").raise_for_status()


@asynccontextmanager
async def fresh_database(server: Postgres) -> AsyncIterator[str]:
    """Make an empty database and return its address."""
    name = f"test_{secrets.token_hex(4)}"
    await _execute(server, f"create database {name}")
    yield server.url(name)
    await _execute(server, f"drop database {name} with (force)")


async def _execute(server: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(server.url(), timeout=30)
    try:
        await connection.execute(statement, timeout=30)
    finally:
        await connection.close(timeout=5)


@contextmanager
def _ended(server: _S, end: Callable[[_S], None]) -> Iterator[_S]:
    try:
        server.start()
        yield server
    finally:
        end(server)


@contextmanager
def _folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's user can reach too; pytest's own are private to root."""
    folder = Path(tempfile.mkdtemp(prefix="activation-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _need_image(image: str) -> None:
    """Skip the test where the image cannot be used."""
    if shutil.which("docker") is None:
        pytest.skip("docker is not installed")
    try:
        _docker("image", "inspect", image)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"docker cannot use {image}: {error.stdout.strip()}")


def _docker(*arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout
