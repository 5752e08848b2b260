"""One session with a real RabbitMQ: publishing, consuming, settling, and every way to lose it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from activation.broker import Queues, RabbitMQ, Session, read_message
from activation.domain.task import TaskId
from activation.errors import BrokerUnavailableError
from activation.ports import Ready
from tests.support.rabbitmq_vhost import DEAD, LIMIT_S, TASKS, Received, Vhost
from tests.support.servers import RabbitMQ as Server
from tests.support.tasks import new_task


@pytest.fixture
async def vhost(amqp_url: str, rabbitmq: Server) -> AsyncIterator[Vhost]:
    """A virtual host of the test's own."""
    async with Vhost(amqp_url, rabbitmq.management_url) as vhost:
        yield vhost


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


async def test_question_under_way_when_the_session_closes_is_an_error(vhost: Vhost) -> None:
    """Another task that counts meanwhile is told so, and not cancelled by the library."""
    async with vhost.rabbitmq().open_session() as session:
        asking = [asyncio.create_task(_count_for_ever(session)) for _ in range(20)]
        await asyncio.sleep(0)
    done, _ = await asyncio.wait(asking, timeout=LIMIT_S)

    assert len(done) == len(asking)
    assert not any(task.cancelled() for task in done)
    assert {type(task.exception()) for task in done} == {BrokerUnavailableError}


async def _count_for_ever(session: Session) -> None:
    while True:
        await session.count(TASKS)


async def test_wrong_password_is_an_outage_that_does_not_name_it(vhost: Vhost) -> None:
    """The broker may learn of the user later; the log shows neither password nor address."""
    wrong = vhost.url.replace("activation:activation@", "activation:s3cret@")
    rabbitmq = RabbitMQ(wrong, name="under test", queues=Queues(), timeout_s=5.0)

    with capture_logs() as logs, pytest.raises(BrokerUnavailableError) as refused:
        async with rabbitmq.open_session():
            pass

    assert "s3cret" in wrong
    assert "s3cret" not in f"{refused.value!r} {refused.value.__cause__!r} {logs}"
    assert "ACCESS_REFUSED" in str(refused.value)


async def test_unknown_vhost_is_an_outage(vhost: Vhost) -> None:
    """It may be made later."""
    rabbitmq = RabbitMQ(f"{vhost.url}-unknown", name="x", queues=Queues(), timeout_s=5.0)

    with pytest.raises(BrokerUnavailableError, match="does the virtual host exist"):
        async with rabbitmq.open_session():
            pass


async def test_stuck_connection_holds_nobody_for_long(vhost: Vhost) -> None:
    """A network that swallows everything: publishing fails in time, and so does the goodbye."""
    timeout_s = 0.5
    async with cable(vhost.url) as (url, cut):
        rabbitmq = RabbitMQ(url, name="under test", queues=Queues(), timeout_s=timeout_s)
        began = 0.0
        async with rabbitmq.open_session() as session:
            await publish(session, 1)
            cut.set()
            began = asyncio.get_running_loop().time()
            with pytest.raises(BrokerUnavailableError, match="no confirm in time"):
                await session.publish(Ready(new_task().id))
        took_s = asyncio.get_running_loop().time() - began

    assert timeout_s <= took_s <= 3 * timeout_s


@asynccontextmanager
async def cable(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Lead to the broker until the event is set; then swallow what is sent, both ways."""
    broker = urlsplit(url)
    cut = asyncio.Event()
    carrying: set[asyncio.Task[None]] = set()

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65_536):
            if not cut.is_set():
                sink.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(broker.hostname, broker.port)
        for source, sink in ((reader, back), (there, writer)):
            carrying.add(asyncio.create_task(carry(source, sink)))
        await asyncio.wait(carrying)
        back.close()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield url.replace(f":{broker.port}/", f":{port}/"), cut
        for task in carrying:
            task.cancel()
