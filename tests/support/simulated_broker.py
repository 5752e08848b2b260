"""A broker in memory that behaves as RabbitMQ's quorum queues do, and breaks when told to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn

from activation.broker import Delivery, write_message
from activation.domain.task import TaskId
from activation.errors import BrokerUnavailableError
from activation.ports import Ready

_ROUND_TRIP_S: Final = 0.001


@dataclass(slots=True, eq=False)
class Message:
    body: bytes
    traceparent: str | None = None
    redelivered: bool = False


@dataclass(slots=True)
class Consumer:
    prefetch: int
    receive: Callable[[Delivery], None]
    active: bool = True


class SimulatedDelivery:
    def __init__(self, session: "SimulatedSession", message: Message) -> None:
        self._session = session
        self._message = message

    @property
    def body(self) -> bytes:
        return self._message.body

    @property
    def queue(self) -> str:
        return "activation.tasks"

    @property
    def traceparent(self) -> str | None:
        return self._message.traceparent

    async def ack(self) -> None:
        self._session.settle(self._message, "ack")

    async def requeue(self) -> None:
        self._session.settle(self._message, "requeue")

    async def dead_letter(self) -> None:
        self._session.settle(self._message, "dead_letter")


class SimulatedSession:
    """One connection to the simulated broker.

    Attributes:
        on_loan: What was delivered and is not settled, in the order delivered.
    """

    def __init__(self, broker: "SimulatedBroker") -> None:
        self._broker = broker
        self.lost = asyncio.Event()
        self.consumer: Consumer | None = None
        self.on_loan: list[Message] = []

    async def publish(self, ready: Ready) -> None:
        self._must_live()
        await asyncio.sleep(self._broker.confirm_s)
        self._must_live()
        if self._broker.refusals:
            self._broker.refusals -= 1
            raise BrokerUnavailableError("the broker refused a message")
        self._broker.take(ready)

    async def consume(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        self._must_live()
        self.consumer = Consumer(prefetch, receive)
        self._broker.deliver()

    async def stop_consuming(self) -> None:
        self._must_live()
        await asyncio.sleep(self._broker.cancel_s)
        if self.consumer is not None:
            self.consumer.active = False

    async def count(self, queue: str) -> tuple[int, int]:
        self._must_live()
        return self._broker.count(queue)

    async def wait_lost(self) -> NoReturn:
        await self.lost.wait()
        raise BrokerUnavailableError("the session is over")

    def settle(self, message: Message, how: str) -> None:
        if self.lost.is_set():
            return
        assert message in self.on_loan, "a delivery was settled twice"
        self.on_loan.remove(message)
        self._broker.settled(message, how)

    def offer(self, message: Message) -> bool:
        """Deliver a message if a place is free."""
        consumer = self.consumer
        if consumer is None or not consumer.active or self.lost.is_set():
            return False
        if len(self.on_loan) >= consumer.prefetch:
            return False
        self.on_loan.append(message)
        consumer.receive(SimulatedDelivery(self, message))
        return True

    def _must_live(self) -> None:
        if self.lost.is_set():
            raise BrokerUnavailableError("the session is over")


@dataclass(slots=True)
class SimulatedBroker:
    """The server.

    Attributes:
        confirm_s: How long a confirm takes.
        cancel_s: How long it takes to cancel a consumer.
        refusals: So many publishes are refused from now on.
        waiting: The queue.
        dead: Bodies of dead-lettered messages.
        published: Which tasks' messages were taken, and when by the loop's clock.
        settlements: How deliveries were settled, in order.
    """

    confirm_s: float = 0.0
    cancel_s: float = 0.0
    refusals: int = 0
    waiting: deque[Message] = field(default_factory=deque)
    dead: list[bytes] = field(default_factory=list)
    published: list[tuple[TaskId, float]] = field(default_factory=list)
    settlements: list[str] = field(default_factory=list)
    _sessions: list[SimulatedSession] = field(default_factory=list)
    _up: bool = True

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[SimulatedSession]:
        if not self._up:
            raise BrokerUnavailableError("connection refused")
        session = SimulatedSession(self)
        self._sessions.append(session)
        try:
            yield session
        finally:
            self._lose(session)

    def stop(self) -> None:
        """Lose every session, and take no new one; the queue stays."""
        self._up = False
        self.cut()

    def start(self) -> None:
        """Take sessions again."""
        self._up = True

    def cut(self) -> None:
        """Lose every session; new ones may come at once."""
        for session in list(self._sessions):
            self._lose(session)

    def lose_messages(self) -> None:
        """Forget what waits, as a broker does whose disk is gone."""
        self.waiting.clear()

    def put(self, body: bytes) -> None:
        """Put a message of a stranger into the queue."""
        self.waiting.append(Message(body))
        self.deliver()

    def repeat(self, task_id: TaskId) -> None:
        """Deliver a message of a task once more."""
        self.put(write_message(Ready(task_id), None)[0])

    @property
    def on_loan(self) -> int:
        """How many messages are delivered and not settled."""
        return sum(len(session.on_loan) for session in self._sessions)

    def published_s(self, task_id: TaskId) -> list[float]:
        """When messages of a task were taken."""
        return [at for published, at in self.published if published == task_id]

    def take(self, ready: Ready) -> None:
        body, _ = write_message(ready, ready.traceparent)
        self.published.append((ready.task_id, asyncio.get_running_loop().time()))
        self.put(body)

    def settled(self, message: Message, how: str) -> None:
        self.settlements.append(how)
        if how == "requeue":
            message.redelivered = True
            self.waiting.appendleft(message)
        elif how == "dead_letter":
            self.dead.append(message.body)
        asyncio.get_running_loop().call_later(_ROUND_TRIP_S, self.deliver)

    def count(self, queue: str) -> tuple[int, int]:
        if queue.endswith("dead"):
            return len(self.dead), 0
        return len(self.waiting), sum(s.consumer is not None for s in self._sessions)

    def deliver(self) -> None:
        """Hand out what waits to consumers in turn, as far as their prefetch goes."""
        while self.waiting:
            for session in self._sessions:
                if session.offer(self.waiting[0]):
                    self.waiting.popleft()
                    self._sessions.append(self._sessions.pop(self._sessions.index(session)))
                    break
            else:
                return

    def _lose(self, session: SimulatedSession) -> None:
        if session not in self._sessions:
            return
        self._sessions.remove(session)
        session.lost.set()
        for message in reversed(session.on_loan):
            message.redelivered = True
            self.waiting.appendleft(message)
        self.deliver()
