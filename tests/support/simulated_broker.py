"""A broker in memory that behaves as RabbitMQ's quorum queues do, and breaks when told to."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn

from aiormq import spec

from activation.broker import Delivery, Queues, write_message
from activation.broker.properties import fault_of
from activation.domain.task import TaskId
from activation.errors import BrokerUnavailableError
from activation.ports import Ready

TASKS: Final = Queues().tasks
DEAD: Final = Queues().dead

_ROUND_TRIP_S: Final = 0.001


@dataclass(slots=True, eq=False)
class Message:
    body: bytes
    properties: spec.Basic.Properties = field(default_factory=spec.Basic.Properties)
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
    def fault(self) -> str | None:
        return fault_of(self._message.properties)

    @property
    def queue(self) -> str:
        return TASKS

    @property
    def traceparent(self) -> str | None:
        sent = (self._message.properties.headers or {}).get("traceparent")
        return None if sent is None else str(sent)

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
        self._reason = "the session is over"
        self.consumer: Consumer | None = None
        self.on_loan: list[Message] = []

    async def publish(self, ready: Ready) -> None:
        self._must_live()
        await asyncio.sleep(self._broker.confirm_s)
        self._must_live()
        if self._broker.refusals:
            self._broker.refusals -= 1
            raise BrokerUnavailableError("the broker refused a message")
        self.take(ready)

    def take(self, ready: Ready) -> None:
        """Do what the server does with a publication."""
        if not self._broker.declared:
            self._broker.lose(self, "no queue took a message")
        self._must_live()
        self._broker.take(ready)

    async def consume(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        self._must_live()
        self.begin_consuming(prefetch, receive)

    def begin_consuming(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        """Do what the server does with a new consumer."""
        self.consumer = Consumer(prefetch, receive)
        self._broker.deliver()

    async def stop_consuming(self) -> None:
        if not self.lost.is_set():
            await asyncio.sleep(self._broker.cancel_s)
            self.end_consuming()

    def end_consuming(self) -> None:
        """Do what the server does when a consumer goes; what is on loan stays so."""
        if self.consumer is not None:
            self.consumer.active = False

    async def count(self, queue: str) -> tuple[int, int]:
        self._must_live()
        return self.look(queue)

    def look(self, queue: str) -> tuple[int, int]:
        """Do what the server does with a question; one for an unknown queue closes the channel."""
        if queue not in {TASKS, DEAD} or (queue == TASKS and not self._broker.declared):
            self._broker.lose(self, f"NOT_FOUND - no queue '{queue}'")
        self._must_live()
        return self._broker.count(queue)

    async def wait_lost(self) -> NoReturn:
        await self.lost.wait()
        raise BrokerUnavailableError(self._reason)

    def end(self, reason: str) -> None:
        """Be lost, for this reason."""
        self._reason = reason
        self.lost.set()

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
        self.hand_over(SimulatedDelivery(self, message), consumer)
        return True

    def hand_over(self, delivery: SimulatedDelivery, consumer: Consumer) -> None:
        """Have a delivery arrive."""
        consumer.receive(delivery)

    def _must_live(self) -> None:
        if self.lost.is_set():
            raise BrokerUnavailableError(self._reason)


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
        declared: The queue of tasks is there; each new session declares it.
    """

    confirm_s: float = 0.0
    cancel_s: float = 0.0
    refusals: int = 0
    waiting: deque[Message] = field(default_factory=deque)
    dead: list[bytes] = field(default_factory=list)
    published: list[tuple[TaskId, float]] = field(default_factory=list)
    settlements: list[str] = field(default_factory=list)
    declared: bool = False
    _sessions: list[SimulatedSession] = field(default_factory=list)
    _up: bool = True

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[SimulatedSession]:
        session = self.begin(SimulatedSession(self))
        try:
            yield session
        finally:
            self.lose(session)

    def begin(self, session: SimulatedSession) -> SimulatedSession:
        """Take a session, and declare on it."""
        if not self._up:
            raise BrokerUnavailableError("connection refused")
        self.declared = True
        self._sessions.append(session)
        return session

    def stop(self) -> None:
        """Lose every session, and take no new one; the queue stays."""
        self._up = False
        self.cut()

    def start(self) -> None:
        """Take sessions again."""
        self._up = True

    def cut(self) -> int:
        """Lose every session; new ones may come at once. Returns how many were lost."""
        sessions = list(self._sessions)
        for session in sessions:
            self.lose(session)
        return len(sessions)

    def delete_queue(self) -> None:
        """Delete the queue with all that is in it; its consumers are cancelled."""
        self.declared = False
        self.lose_messages()
        for session in [session for session in self._sessions if session.consumer is not None]:
            session.on_loan.clear()
            self.lose(session)

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
        message = Message(*write_message(ready, ready.traceparent))
        self.published.append((ready.task_id, asyncio.get_running_loop().time()))
        self.waiting.append(message)
        self.deliver()

    def settled(self, message: Message, how: str) -> None:
        self.settlements.append(how)
        if how == "requeue":
            message.redelivered = True
            self.waiting.appendleft(message)
        elif how == "dead_letter":
            self.dead.append(message.body)
        asyncio.get_running_loop().call_later(_ROUND_TRIP_S, self.deliver)

    def count(self, queue: str) -> tuple[int, int]:
        if queue == DEAD:
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

    def lose(self, session: SimulatedSession, reason: str = "the session is over") -> None:
        """End a session; what is on loan to it waits again."""
        if session not in self._sessions:
            return
        self._sessions.remove(session)
        session.end(reason)
        for message in reversed(session.on_loan):
            message.redelivered = True
            self.waiting.appendleft(message)
        self.deliver()
