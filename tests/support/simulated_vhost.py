"""The simulated broker as an operator and a stranger reach it: the twin of `Vhost`."""

import asyncio
from typing import Any

from tests.support.rabbitmq_vhost import LIMIT_S
from tests.support.simulated_broker import DEAD, TASKS, Message, SimulatedBroker


class Taken:
    """A message that was taken out of a queue; its properties are those of the protocol."""

    def __init__(self, message: Message) -> None:
        self._message = message

    @property
    def body(self) -> bytes:
        return self._message.body

    def __getattr__(self, name: str) -> Any:
        return getattr(self._message.properties, name)


class SimulatedVhost:
    """What tests do to the simulated broker behind the back of the code under test."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker

    def rabbitmq(self) -> SimulatedBroker:
        """Return the server as the services see it."""
        return self._broker

    async def take(self, queue: str = TASKS) -> Taken:
        """Take a message that must be there out of a queue."""
        if queue == DEAD:
            return Taken(Message(self._broker.dead.pop(0)))
        return Taken(self._broker.waiting.popleft())

    async def waiting(self, queue: str = TASKS) -> int:
        """Count the messages that wait in a queue."""
        return self._broker.count(queue)[0]

    async def until_waiting(self, count: int, queue: str = TASKS) -> None:
        """Wait until so many messages wait in a queue."""
        async with asyncio.timeout(LIMIT_S):
            while await self.waiting(queue) != count:  # noqa: ASYNC110  # the broker does not tell
                await asyncio.sleep(0.001)

    async def delete_queue(self) -> None:
        """Delete the queue of tasks as an operator does."""
        self._broker.delete_queue()

    async def close_connections(self) -> int:
        """Close all connections."""
        return self._broker.cut()
