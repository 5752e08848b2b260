"""Servers for all tests: `rabbitmq` and `postgres_url` are shared, the `own_` ones are not."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from activation_cli.local import ports
from tests.support import servers

# Else Python 3.11 makes an event loop for the first test without one, and never closes it.
asyncio.set_event_loop(None)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--servers",
        choices=servers.KINDS,
        default="debian",
        help="RabbitMQ and PostgreSQL: Debian's packages, or the containers "
        f"{servers.RABBITMQ_IMAGE} and {servers.POSTGRES_IMAGE}",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "faults: breaks processes, sockets or servers on purpose")
    config.addinivalue_line("markers", "real_server: uses a server that it asks for as it runs")
    config.addinivalue_line("markers", "docker: needs docker, whichever servers are chosen")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With containers, leave out the tests that use none: they say nothing new."""
    if config.getoption("--servers") != "docker":
        return
    chosen = [item for item in items if _uses_docker(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def _uses_docker(item: pytest.Item) -> bool:
    uses_servers = isinstance(item, pytest.Function) and "server_kind" in item.fixturenames
    return uses_servers or any(map(item.get_closest_marker, ("docker", "real_server")))


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--servers"))


@pytest.fixture(scope="session")
def rabbitmq(server_kind: str) -> Iterator[servers.RabbitMQ]:
    """RabbitMQ with its management API, shared: never stop it."""
    with servers.running_rabbitmq(server_kind, management=True) as server:
        yield server


@pytest.fixture
def amqp_url(rabbitmq: servers.RabbitMQ) -> Iterator[str]:
    """A virtual host of the test's own."""
    with servers.fresh_vhost(rabbitmq) as url:
        yield url


@pytest.fixture
def own_rabbitmq(server_kind: str) -> Iterator[servers.RabbitMQ]:
    """A RabbitMQ that the test may stop, kill and restart."""
    with servers.running_rabbitmq(server_kind) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(server_kind: str) -> Iterator[servers.Postgres]:
    """PostgreSQL, shared: never stop it."""
    with servers.running_postgres(server_kind) as server:
        yield server


@pytest.fixture
async def postgres_url(postgres: servers.Postgres) -> AsyncIterator[str]:
    """An empty database of the test's own."""
    async with servers.fresh_database(postgres) as url:
        yield url


@pytest.fixture
def own_postgres(server_kind: str) -> Iterator[servers.Postgres]:
    """A PostgreSQL that the test may stop, kill and restart."""
    with servers.running_postgres(server_kind) as server:
        yield server


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    return ports.free_port()
