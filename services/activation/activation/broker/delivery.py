"""A message on loan from the broker."""

import asyncio
from collections.abc import Awaitable

from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import AMQPError

from activation.telemetry.logging import get_logger

log = get_logger()


class Delivery:
    """One delivery, to be settled once.

    When its channel is gone the broker has taken the message back and will deliver it again, so
    settling it is then neither possible nor needed.
    """

    __slots__ = ("_channel", "_tag", "_timeout_s", "body", "redelivered", "traceparent")

    def __init__(
        self, message: DeliveredMessage, channel: AbstractChannel, *, timeout_s: float
    ) -> None:
        headers = message.header.properties.headers or {}
        traceparent = headers.get("traceparent")
        self.body = bytes(message.body)
        self.redelivered = bool(message.redelivered)
        self.traceparent = traceparent if isinstance(traceparent, str) else None
        self._tag = message.delivery_tag or 0
        self._channel = channel
        self._timeout_s = timeout_s

    async def ack(self) -> None:
        """Tell the broker that the message is done with."""
        await self._settle(self._channel.basic_ack(self._tag, wait=False))

    async def requeue(self) -> None:
        """Give the message back for somebody else."""
        await self._settle(self._channel.basic_nack(self._tag, requeue=True, wait=False))

    async def dead_letter(self) -> None:
        """Send the message to the dead letters."""
        await self._settle(self._channel.basic_reject(self._tag, requeue=False, wait=False))

    async def _settle(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await sending
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            log.debug("delivery_not_settled", error=str(error) or type(error).__name__)
