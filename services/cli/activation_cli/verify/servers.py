"""RabbitMQ and PostgreSQL for all systems of a run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from activation_cli.local.postgres import PostgresServer
from activation_cli.local.rabbitmq import RabbitMQNode

_DATABASE_S: Final = 30.0


class Servers:
    """RabbitMQ and PostgreSQL, each started when it is first needed, and kept for all systems."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker: RabbitMQNode | None = None
        self._database: PostgresServer | None = None

    async def start(self) -> None:
        """Start what every system needs; errors as in `RabbitMQNode.start`."""
        await self.broker()

    async def broker(self) -> RabbitMQNode:
        """Return RabbitMQ; errors as in `RabbitMQNode.start`."""
        if self._broker is None:
            self._broker = RabbitMQNode(self._folder / "rabbitmq")
            await asyncio.to_thread(self._broker.start)
        return self._broker

    async def database(self, name: str) -> tuple[PostgresServer, str]:
        """Return PostgreSQL and a new database in it; errors as in `PostgresServer.start`."""
        if self._database is None:
            self._database = PostgresServer(self._folder / "postgres")
            await asyncio.to_thread(self._database.start)
        await execute(self._database.url(), f'create database "{name}"')
        return self._database, self._database.url(name)

    def stop(self) -> None:
        """End what was started."""
        for server in (self._broker, self._database):
            if server is not None:
                server.stop()


@asynccontextmanager
async def connected(database_url: str) -> AsyncIterator[Any]:
    """Hold a connection to PostgreSQL; what is asked of it has a deadline."""
    connection = await asyncpg.connect(
        database_url, timeout=_DATABASE_S, command_timeout=_DATABASE_S
    )
    try:
        yield connection
    finally:
        connection.terminate()


async def execute(database_url: str, statement: str) -> None:
    """Have PostgreSQL carry out a statement."""
    async with connected(database_url) as connection:
        await connection.execute(statement)
