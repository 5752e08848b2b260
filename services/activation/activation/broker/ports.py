"""What the services need from the broker."""

from collections.abc import Callable
from typing import NoReturn, Protocol

from activation.ports import Ready


class Delivery(Protocol):
    """One message on loan, to be settled once.

    A message that is not settled when its session ends is delivered again, to whoever consumes.
    """

    @property
    def body(self) -> bytes:
        """What was published."""
        ...

    @property
    def fault(self) -> str | None:
        """Why the message cannot be one of ours, whatever its body; None if it may be."""
        ...

    @property
    def queue(self) -> str:
        """Where it was published to."""
        ...

    @property
    def traceparent(self) -> str | None:
        """The trace context of its publication."""
        ...

    async def ack(self) -> None:
        """Tell the broker that the message is done with."""
        ...

    async def requeue(self) -> None:
        """Give the message back for somebody else."""
        ...

    async def dead_letter(self) -> None:
        """Send the message to the dead letters."""
        ...


class Session(Protocol):
    """An open connection on which everything is declared; it never comes back once it is lost."""

    async def publish(self, ready: Ready) -> None:
        """Publish the message of a task and wait until the broker has it on disk.

        Raises:
            BrokerUnavailableError: It was not confirmed in time, or no queue took it.
        """
        ...

    async def consume(self, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        """Start consuming tasks, so many on loan at most; `receive` only hands a delivery over.

        Raises:
            BrokerUnavailableError: The broker did not answer.
        """
        ...

    async def stop_consuming(self) -> None:
        """Ask for no further deliveries; those on loan stay so.

        Raises:
            BrokerUnavailableError: The broker did not answer.
        """
        ...

    async def count(self, queue: str) -> tuple[int, int]:
        """Return how many messages wait in a queue, and how many consumers it has.

        Raises:
            BrokerUnavailableError: The broker did not answer, or has no such queue.
        """
        ...

    async def wait_lost(self) -> NoReturn:
        """Wait until the session is over, and raise `BrokerUnavailableError`."""
        ...
