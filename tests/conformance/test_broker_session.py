"""One session with a broker, RabbitMQ or its model: publishing, consuming, settling, losing it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from activation.broker import Session, read_message
from activation.domain.task import TaskId
from activation.errors import BrokerUnavailableError
from activation.ports import Ready
from tests.support.rabbitmq_vhost import DEAD, LIMIT_S, TASKS, Received, Vhost
from tests.support.simulated_broker import SimulatedBroker
from tests.support.simulated_vhost import SimulatedVhost
from tests.support.simulation.broker import WiredBroker
from tests.support.simulation.wire import Wire
from tests.support.tasks import new_task


@pytest.fixture(
    params=["simulated", "wired", pytest.param("rabbitmq", marks=pytest.mark.real_server)]
)
def server(request: pytest.FixtureRequest) -> Vhost | SimulatedVhost:
    """A broker of the test's own: the model, the same at the end of a wire, and RabbitMQ."""
    match request.param:
        case "rabbitmq":
            url = request.getfixturevalue("amqp_url")
            return Vhost(url, request.getfixturevalue("rabbitmq").management_url)
        case "wired":
            return SimulatedVhost(WiredBroker(Wire(BrokerUnavailableError)))
        case _:
            return SimulatedVhost(SimulatedBroker())


@pytest.fixture
async def vhost(server: Vhost | SimulatedVhost) -> AsyncIterator[Vhost | SimulatedVhost]:
    """The broker, as an operator reaches it."""
    if isinstance(server, SimulatedVhost):
        yield server
        return
    async with server:
        yield server


async def publish(session: Session, count: int) -> list[TaskId]:
    """Publish messages of so many tasks, all confirmed."""
    tasks = [new_task().id for _ in range(count)]
    await asyncio.gather(*(session.publish(Ready(task_id)) for task_id in tasks))
    return tasks


async def until_lost(session: Session) -> None:
    """Wait until a session is lost."""
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(BrokerUnavailableError):
            await session.wait_lost()


async def test_published_message_is_there_once_confirmed(vhost: Vhost) -> None:
    """After the confirm the queue holds it, durable and readable."""
    async with vhost.rabbitmq().open_session() as session:
        [task_id] = await publish(session, 1)
        counted = await session.count(TASKS)

    message = await vhost.take()
    assert counted == (1, 0)
    assert read_message(message.body) == task_id
    assert message.message_id == str(task_id)
    assert message.delivery_mode == 2


async def test_trace_travels_in_the_headers(vhost: Vhost) -> None:
    """Whoever looks into the queue can follow the task."""
    traceparent = f"00-{'a' * 32}-{'b' * 16}-01"
    async with vhost.rabbitmq().open_session() as session:
        await session.publish(Ready(new_task().id, traceparent=traceparent))

    assert (await vhost.take()).headers["traceparent"] == traceparent


async def test_message_that_no_queue_takes_ends_the_session(vhost: Vhost) -> None:
    """The queue was deleted: the publish fails, and the next session declares it again."""
    async with vhost.rabbitmq().open_session() as session:
        await vhost.delete_queue()
        with pytest.raises(BrokerUnavailableError, match="no queue took a message"):
            await session.publish(Ready(new_task().id))
        await until_lost(session)
    async with vhost.rabbitmq().open_session() as session:
        await publish(session, 1)

    assert await vhost.waiting() == 1


@pytest.mark.parametrize(("prefetch", "messages"), [(10, 30), (2500, 2600)])
async def test_prefetch_is_obeyed(vhost: Vhost, prefetch: int, messages: int) -> None:
    """So many are on loan and no more; each that is settled makes room for one."""
    received = Received()
    async with vhost.rabbitmq().open_session() as session:
        await publish(session, messages)
        await session.consume(prefetch, received.receive)
        deliveries = list(await received.until(prefetch))
        await vhost.until_waiting(messages - prefetch)
        for delivery in deliveries[:5]:
            await delivery.ack()
        await received.until(prefetch + 5)
        await vhost.until_waiting(messages - prefetch - 5)

        assert len(received.deliveries) == prefetch + 5


async def test_settled_messages_go_where_they_should(vhost: Vhost) -> None:
    """Acknowledged: gone. Requeued: delivered again. Dead-lettered: kept in the other queue."""
    received = Received()
    async with vhost.rabbitmq().open_session() as session:
        tasks = await publish(session, 3)
        await session.consume(3, received.receive)
        acked, requeued, dead = list(await received.until(3))
        await acked.ack()
        await requeued.requeue()
        await dead.dead_letter()
        again = (await received.until(4))[3]
        await again.ack()
        await vhost.until_waiting(1, DEAD)

    assert {read_message(one.body) for one in (acked, requeued, dead)} == set(tasks)
    assert again.body == requeued.body
    assert (await vhost.take(DEAD)).body == dead.body
    assert await vhost.waiting() == 0


async def test_unsettled_messages_come_back_when_the_session_ends(vhost: Vhost) -> None:
    """What nobody settled is not lost."""
    received = Received()
    async with vhost.rabbitmq().open_session() as session:
        await publish(session, 3)
        await session.consume(3, received.receive)
        await received.until(3)

    await vhost.until_waiting(3)


async def test_stopped_consumer_keeps_what_it_has_and_gets_no_more(vhost: Vhost) -> None:
    """During a drain no new message comes, and those on loan can still be acknowledged."""
    received = Received()
    async with vhost.rabbitmq().open_session() as session:
        await publish(session, 1)
        await session.consume(10, received.receive)
        [on_loan] = await received.until(1)
        await session.stop_consuming()
        await publish(session, 1)
        counted = await session.count(TASKS)
        await on_loan.ack()

    assert counted[0] == 1
    assert len(received.deliveries) == 1
    await vhost.until_waiting(1)


async def test_deleted_queue_ends_the_session_of_its_consumer(vhost: Vhost) -> None:
    """RabbitMQ cancels the consumer without closing anything: nobody else would notice."""
    async with vhost.rabbitmq().open_session() as session:
        await session.consume(10, Received().receive)
        await vhost.delete_queue()
        await until_lost(session)


async def test_connection_closed_by_the_server_ends_the_session(vhost: Vhost) -> None:
    """Everything that is asked of the lost session is one and the same error."""
    received = Received()
    async with vhost.rabbitmq().open_session() as session:
        await publish(session, 1)
        await session.consume(10, received.receive)
        [delivery] = await received.until(1)
        assert await vhost.close_connections() == 1
        await until_lost(session)

        await delivery.ack()  # the broker has taken it back: nothing to do, and no error
        for asked in (
            session.publish(Ready(new_task().id)),
            session.count(TASKS),
            session.consume(10, received.receive),
        ):
            with pytest.raises(BrokerUnavailableError):
                await asked
        await session.stop_consuming()

    await vhost.until_waiting(1)


async def test_missing_queue_is_an_error_when_counted(vhost: Vhost) -> None:
    """The channel is closed by such a question, so the session ends and declares anew."""
    async with vhost.rabbitmq().open_session() as session:
        with pytest.raises(BrokerUnavailableError, match="NOT_FOUND"):
            await session.count("activation.nowhere")
        await until_lost(session)
