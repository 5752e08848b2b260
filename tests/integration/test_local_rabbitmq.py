"""The private RabbitMQ node, as tests and `activation run` use it."""

import asyncio

import aio_pika
from pamqp.common import Arguments

from tests.support.servers import RabbitMQ

BODY = b"{}"
QUORUM: Arguments = {"x-queue-type": "quorum"}


async def declare(url: str, queue: str) -> None:
    async with asyncio.timeout(10), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(queue, durable=True, arguments=QUORUM)


async def publish(url: str, queue: str) -> None:
    async with asyncio.timeout(10), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.default_exchange.publish(aio_pika.Message(BODY), routing_key=queue)


async def take(url: str, queue: str) -> bytes | None:
    async with asyncio.timeout(10), await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        declared = await channel.declare_queue(queue, durable=True, arguments=QUORUM)
        message = await declared.get(no_ack=True, fail=False)
        return message.body if message else None


async def test_each_test_has_a_virtual_host_of_its_own(rabbitmq: RabbitMQ, amqp_url: str) -> None:
    """A queue of the test's virtual host is unknown to the default one."""
    await declare(amqp_url, "tasks")
    await publish(amqp_url, "tasks")

    assert await take(rabbitmq.amqp_url, "tasks") is None
    assert await take(amqp_url, "tasks") == BODY


async def test_a_confirmed_message_survives_kill_and_restart(own_rabbitmq: RabbitMQ) -> None:
    """The node comes back at the same address with the messages that it confirmed."""
    await declare(own_rabbitmq.amqp_url, "tasks")
    # A queue younger than about a second does not survive SIGKILL, in 3.10 as in 4.3: its name is
    # not on the disk yet. An orderly restart makes sure that it is.
    await asyncio.to_thread(own_rabbitmq.restart)
    await publish(own_rabbitmq.amqp_url, "tasks")

    own_rabbitmq.kill()
    await asyncio.to_thread(own_rabbitmq.start)

    assert await take(own_rabbitmq.amqp_url, "tasks") == BODY
