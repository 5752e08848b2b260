"""Sessions with RabbitMQ: one connection and one channel each."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, NoReturn, cast

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel
from aiormq.exceptions import AMQPError, InvalidFrameError
from pamqp.exceptions import PAMQPException

from activation.broker.delivery import RabbitDelivery
from activation.broker.message import write_message
from activation.broker.ports import Delivery
from activation.broker.topology import Queues, declare
from activation.cancellation import heeded_cancellation
from activation.errors import BrokerUnavailableError
from activation.ports import Ready
from activation.telemetry.logging import get_logger
from activation.telemetry.tracing import MESSAGE_ID, TASK_ID, sending

# "Detecting Dead TCP Connections with Heartbeats": 5 to 20 s suit most environments.
_HEARTBEAT_S: Final = 15
_BROKER_ERRORS: Final = (
    AMQPError,
    PAMQPException,
    OSError,
    TimeoutError,
    RuntimeError,
    StopAsyncIteration,  # aiormq, when a proxy takes the connection and closes it at once
)

log = get_logger()


class RabbitSession:
    """A `Session` on one channel of one connection."""

    def __init__(
        self, channel: Channel, queues: Queues, lost: asyncio.Event, *, timeout_s: float
    ) -> None:
        self._channel = channel
        self._queues = queues
        self._timeout_s = timeout_s
        self._tag: str | None = None
        self._lost = lost

    async def publish(self, ready: Ready) -> None:
        """Publish with a confirm; see `Session.publish`."""
        task_id = str(ready.task_id)
        described = {TASK_ID: task_id, MESSAGE_ID: task_id}
        with (
            sending(self._queues.tasks, ready.traceparent, described) as traceparent,
            _broker_errors("no confirm in time"),
        ):
            body, properties = write_message(ready, traceparent)
            confirmed = await self._channel.basic_publish(
                body,
                routing_key=self._queues.tasks,
                properties=properties,
                mandatory=True,
                timeout=self._timeout_s,
                wait=False,
            )
        if not isinstance(confirmed, spec.Basic.Ack):
            self._lost.set()  # the queue is gone: the next session declares it again
            raise BrokerUnavailableError("no queue took a message")

    async def consume(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        """Start consuming; see `Session.consume`.

        aiormq cancels its callbacks when a channel closes, so no work may run in them.
        """
        channel, timeout_s, lost = self._channel, self._timeout_s, self._lost

        async def on_message(message: DeliveredMessage) -> None:
            receive(RabbitDelivery(message, channel, lost, timeout_s=timeout_s))

        def on_cancel(_: spec.Basic.Cancel) -> None:
            lost.set()  # by the server: the queue was deleted or its node left

        channel.on_consumer_cancel_callbacks.add(on_cancel)
        with _broker_errors("no answer in time"):
            await channel.basic_qos(prefetch_count=prefetch, timeout=timeout_s)
            consuming = await channel.basic_consume(
                self._queues.tasks, on_message, timeout=timeout_s
            )
        self._tag = consuming.consumer_tag

    async def stop_consuming(self) -> None:
        """Cancel the consumer; see `Session.stop_consuming`."""
        if self._tag is not None and not self._lost.is_set():
            with _broker_errors("no answer in time"):
                await self._channel.basic_cancel(self._tag, timeout=self._timeout_s)

    async def count(self, queue: str) -> tuple[int, int]:
        """Count messages and consumers; see `Session.count`."""
        with _broker_errors("no answer in time"):
            declared = await self._channel.queue_declare(
                queue, passive=True, timeout=self._timeout_s
            )
        return declared.message_count or 0, declared.consumer_count or 0

    async def close(self) -> None:
        """Close the channel, or what was settled last might never be sent."""
        await self._channel.close()

    async def wait_lost(self) -> NoReturn:
        """Wait until connection or channel is closed, whoever closed it."""
        await self._lost.wait()
        raise BrokerUnavailableError("the session with RabbitMQ is over")


class RabbitMQ:
    """A RabbitMQ server.

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

    @asynccontextmanager
    async def open_session(self) -> AsyncIterator[RabbitSession]:
        """Connect and declare.

        Raises:
            BrokerUnavailableError: There is no way in at the moment.
            StartError: What exists at the broker contradicts what is declared.
        """
        with _broker_errors("no connection in time"):
            connection = await self._connect()
        try:
            with _broker_errors("no answer in time"):
                async with asyncio.timeout(self._timeout_s):
                    session = await self._prepare(connection)
            try:
                yield session
            finally:
                await self._close(session.close())
        finally:
            await self._close(connection.close())

    async def _connect(self) -> AbstractConnection:
        try:
            return await aio_pika.connect(
                self._url,
                timeout=self._timeout_s,
                heartbeat=_HEARTBEAT_S,
                client_properties={"connection_name": self._name},
            )
        except InvalidFrameError as error:
            raise BrokerUnavailableError(
                "RabbitMQ turned us away: does the virtual host exist, and may the user enter it?"
            ) from error

    async def _prepare(self, connection: AbstractConnection) -> RabbitSession:
        await declare(connection, self._queues, _server_version(connection))
        working = await connection.channel(publisher_confirms=True)
        channel = cast("Channel", await working.get_underlay_channel())
        lost = asyncio.Event()
        for closing in (channel.closing, channel.connection.closing):
            closing.add_done_callback(lambda _: lost.set())
        return RabbitSession(channel, self._queues, lost, timeout_s=self._timeout_s)

    async def _close(self, closing: Awaitable[None]) -> None:
        try:
            with _broker_errors("no goodbye in time"):
                async with asyncio.timeout(self._timeout_s / 2):
                    await closing
        except BrokerUnavailableError as error:
            # The broker takes back what is on loan whether or not it hears our goodbye.
            log.debug("broker_close_failed", error=str(error))


def _server_version(connection: AbstractConnection) -> tuple[int, int]:
    transport = connection.transport
    properties = transport.connection.server_properties if transport is not None else {}
    version = properties.get("version", "0.0")
    text = version.decode() if isinstance(version, bytes) else str(version)
    major, minor, *_ = (*text.split("."), "0")
    return int(major), int(minor)


@contextmanager
def _broker_errors(unspoken: str) -> Iterator[None]:
    """Turn the library's ways of saying that the broker is out of reach into one error.

    Args:
        unspoken: Said of an error that has no text of its own: a timeout.
    """
    try:
        with heeded_cancellation():
            yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody cancelled us: aiormq ends what waits on a stuck connection in this way.
        raise BrokerUnavailableError("the connection was closed") from error
    except Exception as error:
        # What waits on a connection that is closed in order gets a bare Exception of aiormq's.
        if not isinstance(error, _BROKER_ERRORS) and type(error) is not Exception:
            raise
        raise BrokerUnavailableError(str(error) or unspoken) from error
