"""Gateway and workers together, on a store and a broker in memory and on virtual time.

A minute of the world takes milliseconds: the tests that use it are marked with `VIRTUAL_TIME`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import pytest

from activation.broker import Broker, Queues
from activation.domain.limit import LimitPolicy
from activation.domain.retry import RetryPolicy
from activation.domain.target import BreakerPolicy
from activation.domain.task import Task, TaskId
from activation.telemetry.masking import Masker
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.reaper import Reaper
from activation_gateway.relay import Relay
from activation_worker.handler import HttpHandler
from activation_worker.worker import Worker
from tests.support.faulty_store import FaultyStore
from tests.support.scripted_handler import ScriptedHandler
from tests.support.simulated_broker import SimulatedBroker
from tests.support.tasks import DEVICE, new_task, stored

# looptime gives sockets some turns of the loop before it moves the clock; here are none.
VIRTUAL_TIME = pytest.mark.looptime(noop_cycles=0)

EPOCH = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)  # when every loop begins
GRACE_S = 5.0
LEASE_S = 60.0
LOST_RENEWALS = 11  # that must fail for a lease to run out: at 20, 24 ... 60 s; the next is at 64 s
SWEEP_S = 0.5
REAP_S = 2.0
PUBLISH_LEASE_S = 10.0
SECRETS = ("password", "token")


class LoopClock:
    """Tells the time of the running event loop."""

    def now(self) -> datetime:
        """Return the present moment."""
        since_start = timedelta(seconds=asyncio.get_running_loop().time())
        return EPOCH + since_start


@dataclass(slots=True)
class RunningWorker:
    """A worker's process."""

    worker: Worker
    _stop: asyncio.Event
    _process: asyncio.Task[None]

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._stop.set()

    async def ended(self, limit_s: float = 3600.0) -> None:
        """Wait until it has left by itself."""
        async with asyncio.timeout(limit_s):
            await asyncio.wait([self._process])
        self._process.result()

    async def kill(self) -> None:
        """End it without a chance to tidy up but for what the network notices."""
        self._process.cancel()
        await asyncio.wait([self._process])


class World:
    """All parts, put together as the services' `main` does.

    Args:
        workers: How many start with the world.
        concurrency: Of each worker.
        policy: The retry rule; by default a retry waits 1 s, then 2 s, 4 s …
        breaker: When the handler is left alone; by default as in production.
        limits: How many calls at once it is given; by default as in production.
        drain_s: How long a worker waits for its calls after SIGTERM.
        lost_message_after_s: See `Relay`.
        publish_at_once: See `Relay`.
        asks: See `HttpHandler`.
        caller_share: See `Relay`.
    """

    def __init__(
        self,
        *,
        workers: int = 1,
        concurrency: int = 10,
        policy: RetryPolicy | None = None,
        breaker: BreakerPolicy | None = None,
        limits: LimitPolicy | None = None,
        drain_s: float = 900.0,
        lost_message_after_s: float = 60.0,
        publish_at_once: int = 500,
        asks: bool = False,
        caller_share: int = 0,
    ) -> None:
        self.breaker = breaker or BreakerPolicy()
        self.limits = limits or LimitPolicy()
        self.policy = policy or RetryPolicy(base_s=1.0)
        self.store = FaultyStore(LoopClock(), publish_lease_s=PUBLISH_LEASE_S)
        self.broker = SimulatedBroker()
        self.handler = ScriptedHandler()
        self.relay = self.new_relay(
            lost_message_after_s=lost_message_after_s,
            publish_at_once=publish_at_once,
            caller_share=caller_share,
        )
        self.intake = Intake(
            self.store,
            self.relay.offer,
            patience_s=4.0,
            max_backlog=0,
            caller_share=caller_share,
        )
        self.endings = Endings(self.store, on_ready=self.relay.wake)
        self.reaper = Reaper(
            self.store,
            policy=self.policy,
            draw=lambda: 0.0,
            every_s=REAP_S,
            patience_s=0.0,
            retention_s=86_400.0,
        )
        self.workers: list[RunningWorker] = []
        self._first_workers = workers
        self._concurrency = concurrency
        self._drain_s = drain_s
        self._asks = asks
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for part in (self.intake, self.relay, self.endings, self.reaper):
            self._tasks.append(self._group.create_task(part.run()))
        for number in range(self._first_workers):
            self.start_worker(f"worker-{number}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._group.__aexit__(kind, error, traceback)

    @property
    def elapsed_s(self) -> float:
        """The loop's time, which begins at 0 with the test."""
        return asyncio.get_running_loop().time()

    def new_relay(self, **settings: Any) -> Relay:
        """Make a relay as another gateway has it."""
        usual: dict[str, Any] = {"lost_message_after_s": 60.0, "publish_at_once": 500}
        return Relay(
            self.store,
            Broker(self.broker.open_session),
            Queues(),
            sweep_every_s=SWEEP_S,
            **(usual | settings),
        )

    def start_worker(
        self,
        name: str = "worker",
        *,
        concurrency: int | None = None,
        draw: Callable[[], float] = lambda: 1.0,
    ) -> RunningWorker:
        """Start one more worker."""
        handler = HttpHandler(
            "http://handler",
            self.handler,
            grace_s=GRACE_S,
            masker=Masker(SECRETS),
            asks=self._asks,
        )
        worker = Worker(
            self.store,
            Broker(self.broker.open_session),
            handler,
            policy=self.policy,
            breaker=self.breaker,
            limits=self.limits,
            name=name,
            concurrency=concurrency or self._concurrency,
            lease_s=LEASE_S,
            draw=draw,
        )
        stop = asyncio.Event()
        process = self._group.create_task(worker.run(stop, drain_s=self._drain_s), name=name)
        self._tasks.append(process)
        running = RunningWorker(worker, stop, process)
        self.workers.append(running)
        return running

    def start(self, part: Relay) -> asyncio.Task[None]:
        """Run one more part of a gateway."""
        task = self._group.create_task(part.run())
        self._tasks.append(task)
        return task

    async def submit(
        self,
        equipment: str = DEVICE,
        *,
        timeout_s: int = 60,
        parameters: str = "{}",
        caller: str | None = None,
    ) -> TaskId:
        """Accept a task as the gateway does."""
        task = new_task(equipment, timeout_s=timeout_s, parameters=parameters, caller=caller)
        return (await self.intake.accept(task)).task_id

    async def end_of(self, task_id: TaskId, limit_s: float = 3600.0) -> Task:
        """Wait until a task ends."""
        task = await self.endings.await_end(task_id, limit_s)
        assert task is not None
        assert task.finished_at is not None, f"unfinished after {limit_s} s: {task}"
        return task

    async def run_to_end(self, equipment: str = DEVICE, *, timeout_s: int = 60) -> Task:
        """Accept a task and wait until it ends."""
        return await self.end_of(await self.submit(equipment, timeout_s=timeout_s))

    async def task(self, task_id: TaskId) -> Task:
        """Read a task."""
        return await stored(self.store, task_id)

    async def settled(self) -> None:
        """Wait until every message is settled."""
        await self.run_until(lambda: not self.broker.on_loan and not self.broker.waiting)

    async def run_until(self, holds: Callable[[], bool], limit_s: float = 3600.0) -> None:
        """Let the world go on until something holds."""
        async with asyncio.timeout(limit_s):
            while not holds():  # noqa: ASYNC110  # looking again costs no real time
                await asyncio.sleep(0.05)
