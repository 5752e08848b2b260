"""A virtual host of a real RabbitMQ, as an operator and as a stranger reach it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq import spec
from aiormq.exceptions import ChannelNotFoundEntity

from activation.broker import Delivery, Queues, RabbitMQ

TASKS: Final = Queues().tasks
DEAD: Final = Queues().dead
LIMIT_S: Final = 10.0


class Vhost:
    """What tests do to a broker behind the back of the code under test.

    Args:
        url: The AMQP address of the virtual host.
        management_url: Of the server.
    """

    def __init__(self, url: str, management_url: str) -> None:
        self.url = url
        self.name = urlsplit(url).path[1:]
        self._api = httpx.AsyncClient(base_url=management_url, timeout=LIMIT_S, trust_env=False)

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self.url, timeout=LIMIT_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._connection.close()
        await self._api.aclose()

    def rabbitmq(self, *, timeout_s: float = 5.0, name: str = "under test") -> RabbitMQ:
        """Return the server as the services see it."""
        return RabbitMQ(self.url, name=name, queues=Queues(), timeout_s=timeout_s)

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[AbstractChannel]:
        """Open a channel of the stranger's own."""
        async with self._connection.channel() as channel:
            yield channel

    async def put(self, body: bytes, *, properties: spec.Basic.Properties | None = None) -> None:
        """Publish a body as a stranger would."""
        async with self.channel() as channel:
            bare = await channel.get_underlay_channel()
            await bare.basic_publish(
                body, routing_key=TASKS, properties=properties, timeout=LIMIT_S
            )

    async def take(self, queue: str = TASKS) -> AbstractIncomingMessage:
        """Take a message that must be there out of a queue."""
        async with self.channel() as channel:
            taken = await (await channel.get_queue(queue)).get(timeout=LIMIT_S, no_ack=True)
            assert taken is not None
            return taken

    async def waiting(self, queue: str = TASKS) -> int:
        """Count the messages that wait in a queue."""
        async with self.channel() as channel:
            declared = await channel.declare_queue(queue, passive=True, timeout=LIMIT_S)
            return declared.declaration_result.message_count or 0

    async def until_waiting(self, count: int, queue: str = TASKS) -> None:
        """Wait until so many messages wait in a queue."""
        async with asyncio.timeout(LIMIT_S):
            while await self.waiting(queue) != count:  # noqa: ASYNC110  # the server does not tell
                await asyncio.sleep(0.02)

    async def empty(self, queue: str) -> None:
        """Throw the messages of a queue away, if it exists."""
        async with self.channel() as channel:
            with suppress(ChannelNotFoundEntity):
                await (await channel.get_queue(queue)).purge(timeout=LIMIT_S)

    async def delete_queue(self, queue: str = TASKS) -> None:
        """Delete a queue as an operator does."""
        async with self.channel() as channel:
            await channel.queue_delete(queue, timeout=LIMIT_S)

    async def close_connections(self, named: str = "under test") -> int:
        """Close all connections of a name, as `rabbitmqctl close_connection` does."""
        path = f"/api/vhosts/{quote(self.name, safe='')}/connections"
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(LIMIT_S):
            while not found:  # the server's statistics know of a connection some seconds later
                listed = (await self._api.get(path)).raise_for_status().json()
                found = [c for c in listed if c.get("user_provided_name") == named]
                await asyncio.sleep(0.05)
        for connection in found:
            (await self._api.delete(f"/api/connections/{quote(connection['name'], safe='')}"))
        return len(found)


class Received:
    """The deliveries of one consumer."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._arrived = asyncio.Event()

    def receive(self, delivery: Delivery) -> None:
        self.deliveries.append(delivery)
        self._arrived.set()

    async def until(self, count: int) -> list[Delivery]:
        """Wait until so many deliveries are there."""
        async with asyncio.timeout(LIMIT_S):
            while len(self.deliveries) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.deliveries
