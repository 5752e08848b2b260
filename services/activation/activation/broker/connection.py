"""A connection to RabbitMQ that is opened anew whenever it is lost.

aio-pika's own robust connection restores channels and consumers behind the caller's back. Here a
lost connection ends the session, and the next one declares, and consumes, from the start: there is
one way to come up, and nothing to be half restored.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, NoReturn, cast

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError, DeliveryError

from activation.broker.delivery import Delivery
from activation.broker.message import write_message
from activation.broker.topology import Queues, declare
from activation.errors import BrokerUnavailableError
from activation.ports import Ready
from activation.telemetry.logging import get_logger

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_BROKER_ERRORS: Final = (AMQPError, OSError, TimeoutError, RuntimeError)

log = get_logger()


class Session:
    """One opened connection with one channel, on which everything is declared."""

    def __init__(
        self, channel: Channel, queues: Queues, lost: asyncio.Event, *, timeout_s: float
    ) -> None:
        self._channel = channel
        self._queues = queues
        self._timeout_s = timeout_s
        self._tag: str | None = None
        self._lost = lost

    async def publish(self, ready: Ready) -> None:
        """Publish the message of a task and wait until the broker has it on disk.

        Raises:
            BrokerUnavailableError: It was not confirmed in time, or no queue took it.
        """
        body, properties = write_message(ready)
        try:
            confirmed = await self._channel.basic_publish(
                body,
                routing_key=self._queues.tasks,
                properties=properties,
                mandatory=True,
                timeout=self._timeout_s,
                wait=False,
            )
        except DeliveryError as error:
            raise BrokerUnavailableError("the broker refused a message") from error
        except _BROKER_ERRORS as error:
            raise BrokerUnavailableError(str(error) or "no confirm in time") from error
        if not isinstance(confirmed, spec.Basic.Ack):
            self._lost.set()  # the queue is gone: the next session declares it again
            raise BrokerUnavailableError("no queue took a message")

    async def consume(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        """Start consuming tasks; `receive` must only hand the delivery over.

        aiormq cancels its callbacks when a channel closes, so no work may run in them.
        """
        channel, timeout_s, lost = self._channel, self._timeout_s, self._lost

        async def on_message(message: DeliveredMessage) -> None:
            receive(Delivery(message, channel, timeout_s=timeout_s))

        def on_cancel(_: spec.Basic.Cancel) -> None:
            lost.set()  # by the server: the queue was deleted or its node left

        channel.on_consumer_cancel_callbacks.add(on_cancel)
        with _broker_errors():
            await channel.basic_qos(prefetch_count=prefetch, timeout=timeout_s)
            consuming = await channel.basic_consume(
                self._queues.tasks, on_message, timeout=timeout_s
            )
        self._tag = consuming.consumer_tag

    async def stop_consuming(self) -> None:
        """Ask for no further deliveries; those on loan stay so."""
        if self._tag is not None and not self._lost.is_set():
            with _broker_errors():
                await self._channel.basic_cancel(self._tag, timeout=self._timeout_s)

    async def count(self, queue: str) -> tuple[int, int]:
        """Return how many messages wait in a queue, and how many consumers it has.

        Raises:
            BrokerUnavailableError: The broker did not answer, or has no such queue.
        """
        with _broker_errors():
            declared = await self._channel.queue_declare(
                queue, passive=True, timeout=self._timeout_s
            )
        return declared.message_count or 0, declared.consumer_count or 0

    async def wait_lost(self) -> NoReturn:
        """Wait until the session is over, and raise `BrokerUnavailableError`."""
        await self._lost.wait()
        raise BrokerUnavailableError("the session with RabbitMQ is over")


class Broker:
    """Keeps a session with RabbitMQ.

    Args:
        url: `amqp://user:password@host/vhost`, or `amqps://`.
        name: Shown in RabbitMQ's list of connections.
        queues: What is declared.
        timeout_s: Limit of each step.
    """

    def __init__(self, url: str, *, name: str, queues: Queues, timeout_s: float) -> None:
        self._url = url
        self._name = name
        self._queues = queues
        self._timeout_s = timeout_s
        self.session: Session | None = None

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` unless a session is open."""
        if self.session is None:
            raise BrokerUnavailableError("no connection to RabbitMQ")

    async def keep(self, work: Callable[[Session], Awaitable[None]]) -> None:
        """Do some work with a session; when the session is lost, again with a new one.

        Returns when the work returns.

        Raises:
            StartError: What exists at the broker contradicts what is declared.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with self._open() as session, asyncio.TaskGroup() as group:
                    self.session = session
                    pause_s = _FIRST_PAUSE_S
                    log.info("broker_connected", name=self._name)
                    losing = group.create_task(session.wait_lost(), name="session")
                    await work(session)
                    losing.cancel()
                return  # noqa: TRY300  # the work is done
            except* BrokerUnavailableError as errors:
                cause = errors.exceptions[0]
                log.warning("broker_unavailable", error=str(cause), retry_in_s=round(pause_s, 2))
            finally:
                self.session = None
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # no cryptography
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Session]:
        with _broker_errors():
            connection = await aio_pika.connect(
                self._url,
                timeout=self._timeout_s,
                client_properties={"connection_name": self._name},
            )
        try:
            with _broker_errors():
                session = await self._prepare(connection)
            yield session
        finally:
            # The broker takes back what is on loan whether or not it hears our goodbye.
            with _ignored_errors():
                async with asyncio.timeout(self._timeout_s):
                    await connection.close()

    async def _prepare(self, connection: AbstractConnection) -> Session:
        lost = asyncio.Event()
        declaring = await connection.channel()
        server = _server_version(connection)
        await declare(declaring, self._queues, server, timeout_s=self._timeout_s)
        await declaring.close()
        working = await connection.channel(publisher_confirms=True)
        channel = cast("Channel", await working.get_underlay_channel())
        for closing in (channel.closing, channel.connection.closing):
            closing.add_done_callback(lambda _: lost.set())
        return Session(channel, self._queues, lost, timeout_s=self._timeout_s)


def _server_version(connection: AbstractConnection) -> tuple[int, int]:
    transport = connection.transport
    properties = transport.connection.server_properties if transport is not None else {}
    version = properties.get("version", "0.0")
    text = version.decode() if isinstance(version, bytes) else str(version)
    major, minor, *_ = (*text.split("."), "0")
    return int(major), int(minor)


@contextmanager
def _broker_errors() -> Iterator[None]:
    """Turn the library's ways of saying that the broker is out of reach into one error."""
    try:
        yield
    except _BROKER_ERRORS as error:
        raise BrokerUnavailableError(str(error) or type(error).__name__) from error


@contextmanager
def _ignored_errors() -> Iterator[None]:
    try:
        yield
    except _BROKER_ERRORS as error:
        log.debug("broker_close_failed", error=str(error) or type(error).__name__)
