"""The simulated broker at the other end of a wire, whose messages keep their order on the way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from functools import partial
from random import Random
from typing import Any, TypeVar

from activation.broker import Delivery
from activation.errors import BrokerUnavailableError
from activation.ports import Ready
from tests.support.simulated_broker import Consumer, Message, SimulatedBroker, SimulatedDelivery
from tests.support.simulated_broker import SimulatedSession as Session
from tests.support.simulation.loop import Process, current_process
from tests.support.simulation.wire import Wire

T = TypeVar("T")


class WiredSession(Session):
    """A session of a process.

    Attributes:
        process: Whose it is.
    """

    def __init__(self, broker: "WiredBroker", process: Process) -> None:
        super().__init__(broker)
        self.process = process
        self._wire = broker.wire
        self._there, self._back = _Line(self._wire), _Line(self._wire)
        self._asked: list[asyncio.Future[Any]] = []
        self._receiving: Context | None = None

    async def publish(self, ready: Ready) -> None:
        await self._ask("publish", partial(self.take, ready), ready.task_id)

    async def consume(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        self._receiving = copy_context()
        await self._ask("consume", partial(self.begin_consuming, prefetch, receive))

    async def stop_consuming(self) -> None:
        if not self.lost.is_set():
            await self._ask("stop consuming", self.end_consuming)

    async def count(self, queue: str) -> tuple[int, int]:
        return await self._ask("count", partial(self.look, queue), queue)

    def settle(self, message: Message, how: str) -> None:
        self._there.send(partial(self._settle_there, message, how))

    def _settle_there(self, message: Message, how: str) -> None:
        if not self.lost.is_set():
            self._wire.note(self.process, how, message.properties.message_id or "?")
            super().settle(message, how)

    def hand_over(self, delivery: SimulatedDelivery, consumer: Consumer) -> None:
        self._back.send(partial(consumer.receive, delivery), self._receiving)

    def end(self, reason: str) -> None:
        """Be lost, and let everybody know who waits for an answer."""
        super().end(reason)
        for answer in self._asked:
            if not answer.done():
                answer.set_exception(BrokerUnavailableError(reason))

    def leave(self) -> None:
        """Say goodbye, after all that was sent before."""
        self._there.send(partial(self._broker.lose, self))

    async def _ask(self, name: str, work: Callable[[], T], *about: object) -> T:
        """Ask the server, unless the session is lost before the answer comes."""
        self._must_live()
        await self._wire.step(name)
        self._must_live()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._there.send(partial(self._answer, answer, name, work, about))
        try:
            return await answer
        finally:
            self._asked.remove(answer)

    def _answer(
        self,
        answer: "asyncio.Future[T]",
        name: str,
        work: Callable[[], T],
        about: tuple[object, ...],
    ) -> None:
        if self.lost.is_set():
            return
        try:
            said = work()
        except BrokerUnavailableError:
            return  # the session is over, and that is the answer
        self._wire.note(self.process, name, *about)
        self._wire.passed(self.process, name)
        self._back.send(partial(_give, answer, said))


class WiredBroker(SimulatedBroker):
    """The server.

    Args:
        wire: Leads to it.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.wire = wire

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[WiredSession]:
        session = WiredSession(self, current_process())
        await self.wire.ask("connect", partial(self._connect, session))
        forget = session.process.connected(partial(self.lose, session))
        try:
            yield session
        finally:
            forget()
            session.leave()

    def _connect(self, session: WiredSession) -> None:
        self.begin(session)

    def cut_off(self, process: Process) -> None:
        """Lose the sessions of one process, as a server does that hears no heartbeat."""
        for session in list(self._sessions):
            if isinstance(session, WiredSession) and session.process is process:
                self.lose(session)

    def duplicate(self, random: Random) -> None:
        """Deliver one of the messages that were ever published once more."""
        if self.published:
            self.repeat(random.choice(self.published)[0])

    def reorder(self, random: Random) -> None:
        """Shuffle what waits."""
        waiting = list(self.waiting)
        random.shuffle(waiting)
        self.waiting.clear()
        self.waiting.extend(waiting)


class _Line:
    """One direction of a connection: what is sent first arrives first."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._latest = 0.0

    def send(self, work: Callable[[], None], context: Context | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._latest = max(self._latest, loop.time() + self._wire.way_s())
        loop.call_at(self._latest, work, context=Context() if context is None else context)


def _give(answer: "asyncio.Future[T]", said: T) -> None:
    if not answer.done():
        answer.set_result(said)
