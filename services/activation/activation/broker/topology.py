"""What is declared at RabbitMQ: by code, and the same from every service."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import ChannelPreconditionFailed

from activation.errors import StartError
from activation.telemetry.logging import get_logger

# Longer than the longest attempt (900 s and its grace) and a store that is away meanwhile.
_CONSUMER_TIMEOUT_MS: Final = 3_600_000
_HAS_DEFAULT_DELIVERY_LIMIT: Final = (4, 0)
_HAS_CONSUMER_TIMEOUT: Final = (3, 12)
_OLDER_SERVERS: Final = (_HAS_CONSUMER_TIMEOUT, (0, 0))  # as far back as arguments differed

log = get_logger()


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


async def declare(connection: AbstractConnection, queues: Queues, server: tuple[int, int]) -> None:
    """Declare queues and exchange.

    Raises:
        StartError: One of them exists with other arguments.
    """
    try:
        await _declare_dead_letters(connection, queues)
    except ChannelPreconditionFailed as error:
        raise _contradiction(
            error,
            "It may hold messages that could not be read: look at them, delete "
            f"{queues.dead}, and start again",
        ) from error
    try:
        await _declare_tasks(connection, queues, task_queue_arguments(queues, server))
    except ChannelPreconditionFailed as error:
        if await _accept_older(connection, queues, server):
            return
        raise _contradiction(
            error,
            "Nothing is lost if you delete it, as the store keeps the tasks: stop the workers, "
            f"run `rabbitmqctl delete_queue {queues.tasks}`, and start again",
        ) from error


async def _declare_dead_letters(connection: AbstractConnection, queues: Queues) -> None:
    async with connection.channel() as channel:
        dead = await channel.declare_exchange(queues.dead, "fanout", durable=True)
        kept = await channel.declare_queue(
            queues.dead, durable=True, arguments={"x-queue-type": "quorum"}
        )
        await kept.bind(dead)


async def _declare_tasks(
    connection: AbstractConnection, queues: Queues, arguments: dict[str, Any]
) -> None:
    async with connection.channel() as channel:
        await channel.declare_queue(queues.tasks, durable=True, arguments=arguments)


async def _accept_older(
    connection: AbstractConnection, queues: Queues, server: tuple[int, int]
) -> bool:
    """Tell whether the task queue is one that we declared before the server was upgraded.

    It serves as well as it did on the older server, which is no reason to refuse the start.
    """
    for older in _OLDER_SERVERS:
        if older >= server:
            continue
        with suppress(ChannelPreconditionFailed):
            await _declare_tasks(connection, queues, task_queue_arguments(queues, older))
            log.warning("task_queue_is_of_an_older_rabbitmq", queue=queues.tasks)
            return True
    return False


def _contradiction(error: ChannelPreconditionFailed, way_out: str) -> StartError:
    return StartError(
        f"RabbitMQ has a queue or exchange of the same name with other arguments: {error}. "
        f"{way_out}"
    )
