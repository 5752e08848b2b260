"""What is declared at RabbitMQ: the same from everybody, or a sentence that says what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aio_pika.abc import AbstractChannel
from aiormq.exceptions import ChannelPreconditionFailed

from activation.broker import Broker, Queues, Session
from activation.broker.topology import task_queue_arguments
from activation.errors import StartError
from tests.support.rabbitmq_vhost import DEAD, TASKS, Vhost
from tests.support.servers import RabbitMQ as Server

Declare = Callable[[AbstractChannel], Awaitable[None]]


@pytest.fixture
async def vhost(amqp_url: str, rabbitmq: Server) -> AsyncIterator[Vhost]:
    """A virtual host of the test's own."""
    async with Vhost(amqp_url, rabbitmq.management_url) as vhost:
        yield vhost


async def open_once(vhost: Vhost) -> None:
    async with vhost.rabbitmq().open_session():
        pass


async def test_all_services_may_start_at_once(vhost: Vhost) -> None:
    """Whoever comes first declares, and everybody after finds what they would declare."""
    await asyncio.gather(*(open_once(vhost) for _ in range(5)))
    await open_once(vhost)

    assert await vhost.waiting(TASKS) == 0
    assert await vhost.waiting(DEAD) == 0


@pytest.mark.parametrize("declared_on", [(3, 10), (3, 13)])
async def test_queue_from_before_an_upgrade_of_rabbitmq_is_used(
    vhost: Vhost, declared_on: tuple[int, int]
) -> None:
    """New arguments of a newer server are no reason to stand still: it works as it did before."""
    arguments = task_queue_arguments(Queues(), declared_on)
    async with vhost.channel() as channel:
        try:
            await channel.declare_queue(TASKS, durable=True, arguments=arguments)
        except ChannelPreconditionFailed:
            pytest.skip("this RabbitMQ is older than the queue would be")
    await vhost.put(b"waiting")

    await open_once(vhost)

    assert await vhost.waiting(TASKS) == 1


async def classic_task_queue(channel: AbstractChannel) -> None:
    await channel.declare_queue(TASKS, durable=True)


async def task_queue_with_a_limit(channel: AbstractChannel) -> None:
    await channel.declare_queue(
        TASKS, durable=True, arguments={"x-queue-type": "quorum", "x-max-length": 10}
    )


@pytest.mark.parametrize("declare", [classic_task_queue, task_queue_with_a_limit])
async def test_other_task_queue_stops_the_start_with_a_way_out(
    vhost: Vhost, declare: Declare
) -> None:
    """The sentence names the queue, the difference, and the command that mends it."""
    async with vhost.channel() as channel:
        await declare(channel)

    with pytest.raises(StartError) as refused:
        await open_once(vhost)

    assert f"queue '{TASKS}'" in str(refused.value)
    assert "inequivalent arg" in str(refused.value)
    assert f"`rabbitmqctl delete_queue {TASKS}`" in str(refused.value)
    assert "\n" not in str(refused.value)


async def classic_dead_queue(channel: AbstractChannel) -> None:
    await channel.declare_queue(DEAD, durable=True)


async def direct_dead_exchange(channel: AbstractChannel) -> None:
    await channel.declare_exchange(DEAD, "direct", durable=True)


@pytest.mark.parametrize("declare", [classic_dead_queue, direct_dead_exchange])
async def test_other_dead_letters_are_not_blamed_on_the_task_queue(
    vhost: Vhost, declare: Declare
) -> None:
    """Nobody is told to delete what is in order, or to delete dead letters unseen."""
    async with vhost.channel() as channel:
        await declare(channel)

    with pytest.raises(StartError) as refused:
        await open_once(vhost)

    assert f"'{DEAD}'" in str(refused.value)
    assert "look at them" in str(refused.value)
    assert TASKS not in str(refused.value)


async def test_contradiction_is_not_waited_out(vhost: Vhost) -> None:
    """A broker that will never take us is no outage: keeping a session ends with the sentence."""
    async with vhost.channel() as channel:
        await classic_task_queue(channel)

    async def work(_: Session) -> None:
        raise AssertionError("there is no session to work with")

    with pytest.raises(StartError):
        await Broker(vhost.rabbitmq().open_session).keep(work)
