"""What is declared at RabbitMQ: by code, and the same from every service."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed

from activation.errors import StartError

# Longer than the longest attempt (900 s and its grace) and a store that is away meanwhile.
_CONSUMER_TIMEOUT_MS: Final = 3_600_000
_HAS_DEFAULT_DELIVERY_LIMIT: Final = (4, 0)
_HAS_CONSUMER_TIMEOUT: Final = (3, 12)


@dataclass(frozen=True, slots=True)
class Queues:
    """The names of the queues.

    Attributes:
        tasks: Messages of tasks that can run now.
        dead: Messages that could not be read; also the name of the exchange that leads there.
    """

    tasks: str = "activation.tasks"
    dead: str = "activation.dead"


def task_queue_arguments(queues: Queues, server: tuple[int, int]) -> dict[str, Any]:
    """Return the arguments of the task queue on a server of this version.

    RabbitMQ 4 drops a message after 20 returns unless told otherwise ("Quorum Queues: Poison
    Message Handling"); the store counts attempts, not the broker. The acknowledgement timeout of a
    queue exists since 3.12 ("Consumers: Delivery Acknowledgement Timeout").
    """
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": queues.dead,
    }
    if server >= _HAS_DEFAULT_DELIVERY_LIMIT:
        arguments["x-delivery-limit"] = -1
    if server >= _HAS_CONSUMER_TIMEOUT:
        arguments["x-consumer-timeout"] = _CONSUMER_TIMEOUT_MS
    return arguments


async def declare(channel: AbstractChannel, queues: Queues, server: tuple[int, int]) -> None:
    """Declare queues and exchange.

    Raises:
        StartError: One of them exists with other arguments.
    """
    with _refusing_others(
        f"It may hold messages that could not be read: look at them, delete {queues.dead}, "
        "and start again"
    ):
        dead = await channel.declare_exchange(queues.dead, "fanout", durable=True)
        kept = await channel.declare_queue(
            queues.dead, durable=True, arguments={"x-queue-type": "quorum"}
        )
    await kept.bind(dead)
    with _refusing_others(
        "Nothing is lost if you delete it, as the store keeps the tasks: stop the workers, "
        f"run `rabbitmqctl delete_queue {queues.tasks}`, and start again"
    ):
        await channel.declare_queue(
            queues.tasks, durable=True, arguments=task_queue_arguments(queues, server)
        )


@contextmanager
def _refusing_others(way_out: str) -> Iterator[None]:
    try:
        yield
    except ChannelPreconditionFailed as error:
        raise StartError(
            f"RabbitMQ has a queue or exchange of the same name with other arguments: {error}. "
            f"{way_out}"
        ) from error
