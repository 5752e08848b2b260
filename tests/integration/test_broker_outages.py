"""A real RabbitMQ that turns us away, closes on us or falls silent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from activation.broker import Queues, RabbitMQ, Session
from activation.errors import BrokerUnavailableError
from activation.ports import Ready
from tests.support.rabbitmq_vhost import LIMIT_S, TASKS, Vhost
from tests.support.servers import RabbitMQ as Server
from tests.support.tasks import new_task


@pytest.fixture
async def vhost(amqp_url: str, rabbitmq: Server) -> AsyncIterator[Vhost]:
    """A virtual host of the test's own."""
    async with Vhost(amqp_url, rabbitmq.management_url) as vhost:
        yield vhost


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
            await session.publish(Ready(new_task().id))
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
