"""Relay and worker on a real RabbitMQ, which takes connections and queues away from them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from activation.broker import Broker, Queues
from activation.clock import SystemClock
from activation.domain.limit import LimitPolicy
from activation.domain.retry import RetryPolicy
from activation.domain.target import BreakerPolicy
from activation.domain.task import State, Task, TaskId
from activation.errors import BrokerUnavailableError
from activation.store.memory import MemoryStore
from activation.telemetry.masking import Masker
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.relay import Relay
from activation_worker.handler import HttpHandler
from activation_worker.reply import Reply
from activation_worker.worker import Worker
from tests.support.rabbitmq_vhost import DEAD, LIMIT_S, TASKS, Vhost
from tests.support.scripted_handler import ScriptedHandler, success
from tests.support.servers import RabbitMQ as Server
from tests.support.tasks import DEVICE, new_task

CANARY = "c4n4ry-s3cret"
BROKER_TIMEOUT_S = 2.0


class Flow:
    """A gateway's parts and a worker's, as their `main` puts them together."""

    def __init__(self, vhost: Vhost, *, concurrency: int = 10) -> None:
        self.vhost = vhost
        self.store = MemoryStore(SystemClock(), publish_lease_s=1.0)
        self.handler = ScriptedHandler()
        self.relay = Relay(
            self.store,
            Broker(vhost.rabbitmq(name="relay", timeout_s=BROKER_TIMEOUT_S).open_session),
            Queues(),
            sweep_every_s=0.05,
            publish_at_once=100,
            lost_message_after_s=0.4,
        )
        self.intake = Intake(self.store, self.relay.offer, patience_s=1.0, max_backlog=0)
        self.endings = Endings(self.store, on_ready=self.relay.wake)
        self.worker = Worker(
            self.store,
            Broker(vhost.rabbitmq(name="worker", timeout_s=BROKER_TIMEOUT_S).open_session),
            HttpHandler(
                "http://handler",
                self.handler,
                grace_s=5.0,
                masker=Masker(["password"]),
            ),
            breaker=BreakerPolicy(),
            limits=LimitPolicy(),
            policy=RetryPolicy(base_s=0.1),
            name="worker",
            concurrency=concurrency,
            lease_s=60.0,
        )
        self.stop = asyncio.Event()

    async def submit(self, equipment: str = DEVICE, parameters: str = "{}") -> TaskId:
        task = new_task(equipment, parameters=parameters)
        return (await self.intake.accept(task)).task_id

    async def end_of(self, task_id: TaskId) -> Task:
        task = await self.endings.await_end(task_id, LIMIT_S)
        assert task is not None
        return task

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not holds():  # noqa: ASYNC110  # neither side announces it
                await asyncio.sleep(0.01)

    async def until_connected(self) -> None:
        """Wait until messages can be published."""
        async with asyncio.timeout(LIMIT_S):
            while not (await self.relay.queue_status()).connected:  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)


class Held:
    """A success that waits for its release."""

    def __init__(self, release: asyncio.Event) -> None:
        self._release = release

    async def answer(self) -> Reply:
        await self._release.wait()
        return await success().answer()


@pytest.fixture
async def vhost(amqp_url: str, rabbitmq: Server) -> AsyncIterator[Vhost]:
    """A virtual host of the test's own."""
    async with Vhost(amqp_url, rabbitmq.management_url) as vhost:
        yield vhost


@asynccontextmanager
async def running(flow: Flow, *, worker: bool = True) -> AsyncIterator[Flow]:
    async with asyncio.TaskGroup() as group:
        gateway = [
            group.create_task(part.run()) for part in (flow.intake, flow.relay, flow.endings)
        ]
        await flow.until_connected()
        if worker:
            group.create_task(flow.worker.run(flow.stop, drain_s=5.0))
            await flow.until(lambda: flow.worker.consuming)
        try:
            yield flow
        finally:
            flow.stop.set()
            for task in gateway:
                task.cancel()


async def test_tasks_go_all_the_way(vhost: Vhost) -> None:
    """Fifty tasks of ten devices: each is called once, in its device's order, and acknowledged."""
    async with running(Flow(vhost)) as flow:
        tasks = [await flow.submit(f"DEVICE{number % 10}") for number in range(50)]
        ended = [await flow.end_of(task_id) for task_id in tasks]
        await vhost.until_waiting(0)

    assert {State.SUCCEEDED} == {task.state for task in ended}
    assert sorted(map(str, tasks)) == sorted(call.key for call in flow.handler.calls)
    for number in range(10):
        mine = [str(task_id) for task_id in tasks[number::10]]
        assert mine == [call.key for call in flow.handler.calls_for(f"DEVICE{number}")]
    assert await vhost.waiting() == 0


async def test_call_survives_the_connection(vhost: Vhost) -> None:
    """The worker's connection is closed during a call: one call, one result, nothing left over."""
    flow = Flow(vhost)
    release = asyncio.Event()
    flow.handler.script(DEVICE, [Held(release)])
    async with running(flow):
        task_id = await flow.submit()
        await flow.handler.begun()
        await vhost.close_connections("worker")
        await flow.until(lambda: not flow.worker.consuming)
        with pytest.raises(BrokerUnavailableError):  # readiness is false in between
            await flow.worker.check()
        await flow.until(lambda: flow.worker.consuming)
        await flow.worker.check()
        release.set()
        task = await flow.end_of(task_id)
        another = await flow.end_of(await flow.submit("ANOTHER1"))

    assert (task.state, task.attempt) == (State.SUCCEEDED, 1)
    assert another.state is State.SUCCEEDED
    assert len(flow.handler.calls) == 2
    assert await vhost.waiting() == 0


async def test_relay_comes_back_when_its_connection_is_closed(vhost: Vhost) -> None:
    """What is accepted while the connection is gone is published with the next one."""
    async with running(Flow(vhost)) as flow:
        await vhost.close_connections("relay")
        tasks = [await flow.submit(f"DEVICE{number}") for number in range(20)]
        ended = [await flow.end_of(task_id) for task_id in tasks]

    assert {State.SUCCEEDED} == {task.state for task in ended}
    assert len(flow.handler.calls) == 20


async def test_deleted_queue_is_declared_again_and_its_messages_published_again(
    vhost: Vhost,
) -> None:
    """An operator deletes the queue with everything in it: every task still ends, called once."""
    flow = Flow(vhost, concurrency=1)
    release = asyncio.Event()
    flow.handler.script("DEVICE0", [Held(release)])
    async with running(flow):
        tasks = [await flow.submit(f"DEVICE{number}") for number in range(10)]
        await flow.handler.begun()
        await vhost.until_waiting(9)
        await vhost.delete_queue()
        await flow.until(lambda: not flow.worker.consuming)
        release.set()
        ended = [await flow.end_of(task_id) for task_id in tasks]

    assert {(State.SUCCEEDED, 1)} == {(task.state, task.attempt) for task in ended}
    assert len(flow.handler.calls) == 10


async def test_unreadable_messages_are_kept_as_dead_letters(vhost: Vhost) -> None:
    """Strangers' messages, one over the limit among them, go aside; the log does not quote them."""
    strange = [b"{}", b'{"password": "' + CANARY.encode() + b'"}', b"9" * 100_000]
    with capture_logs() as logs:
        async with running(Flow(vhost)) as flow:
            for body in strange:
                await vhost.put(body)
            task = await flow.end_of(await flow.submit())
            await vhost.until_waiting(len(strange), DEAD)

    assert task.state is State.SUCCEEDED
    kept = [(await vhost.take(DEAD)).body for _ in strange]
    assert sorted(kept) == sorted(strange)
    assert CANARY not in str(logs)


async def test_no_secret_is_ever_on_the_broker(vhost: Vhost) -> None:
    """The message names the task; its parameters, and the secrets in them, stay in the store."""
    parameters = json.dumps({"username": "alice", "password": CANARY})
    async with running(Flow(vhost), worker=False) as flow:
        task_id = await flow.submit(parameters=parameters)
        await vhost.until_waiting(1)
        message = await vhost.take()

    shown = f"{message.body!r} {message.headers} {message.info()}"
    assert str(task_id) in shown
    for private in (CANARY, "alice", "password", DEVICE):
        assert private not in shown


async def test_drain_leaves_to_others_what_has_not_begun(vhost: Vhost) -> None:
    """After SIGTERM the running call is finished, and every other message waits in the queue."""
    flow = Flow(vhost, concurrency=2)
    release = asyncio.Event()
    for number in range(2):
        flow.handler.script(f"DEVICE{number}", [Held(release)])
    async with running(flow):
        tasks = [await flow.submit(f"DEVICE{number}") for number in range(5)]
        await flow.handler.begun(2)
        flow.stop.set()
        await flow.until(lambda: not flow.worker.consuming)
        release.set()
        ended = [await flow.end_of(task_id) for task_id in tasks[:2]]

    waiting = [await flow.store.get(task_id) for task_id in tasks[2:]]
    assert {State.SUCCEEDED} == {task.state for task in ended}
    assert {(State.QUEUED, 0)} == {(t.state, t.attempt) for t in waiting if t is not None}
    await vhost.until_waiting(3, TASKS)
