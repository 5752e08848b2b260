"""A message on loan from RabbitMQ."""

import asyncio
from collections.abc import Awaitable

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError

from activation.broker.properties import fault_of
from activation.telemetry.logging import get_logger

log = get_logger()


class RabbitDelivery:
    """A `Delivery` of one channel.

    When its channel is gone the broker has taken the message back and will deliver it again, so
    settling it is then neither possible nor needed.
    """

    __slots__ = ("_channel", "_lost", "_tag", "_timeout_s", "body", "fault", "queue", "traceparent")

    def __init__(
        self,
        message: DeliveredMessage,
        channel: AbstractChannel,
        lost: asyncio.Event,
        *,
        timeout_s: float,
    ) -> None:
        self.body = bytes(message.body)
        self.fault = fault_of(message.header.properties)
        self.queue = message.routing_key or ""
        self.traceparent = _traceparent(message)
        self._tag = message.delivery_tag or 0
        self._channel = channel
        self._lost = lost
        self._timeout_s = timeout_s

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        await self._settle(self._channel.basic_ack(self._tag, wait=False))

    async def requeue(self) -> None:
        """See `Delivery.requeue`."""
        await self._settle(self._channel.basic_nack(self._tag, requeue=True, wait=False))

    async def dead_letter(self) -> None:
        """See `Delivery.dead_letter`."""
        await self._settle(self._channel.basic_reject(self._tag, requeue=False, wait=False))

    async def _settle(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await sending
        except TimeoutError:
            # Unsettled it would use up a place of the prefetch for ever: begin a new session.
            self._lost.set()
            log.warning("delivery_not_settled", error="the connection is stuck")
        except (AMQPError, OSError, RuntimeError) as error:
            log.debug("delivery_not_settled", error=str(error) or type(error).__name__)


def _traceparent(message: DeliveredMessage) -> str | None:
    """Read the header; whoever can publish can write what they like into it."""
    value = (message.header.properties.headers or {}).get("traceparent")
    return value if isinstance(value, str) else None
