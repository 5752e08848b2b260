"""The processes: gateways and workers, put together as their `main` does, killed and replaced."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

from activation.broker import Broker, Queues
from activation.domain.limit import LimitPolicy
from activation.domain.outcome import Outcome
from activation.domain.retry import RetryPolicy, Verdict
from activation.domain.target import BreakerPolicy
from activation.errors import BrokerUnavailableError, StoreUnavailableError
from activation.store.memory import MemoryStore
from activation.telemetry.masking import Masker
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.reaper import Reaper
from activation_gateway.relay import Relay
from activation_worker.handler import HttpHandler
from activation_worker.worker import Worker
from tests.support.simulation.broker import WiredBroker
from tests.support.simulation.handler import SimulatedHandler
from tests.support.simulation.journal import Journal
from tests.support.simulation.loop import Process, SimulatedLoop
from tests.support.simulation.store import SimulatedStore
from tests.support.simulation.wire import Stage, Wire
from tests.support.world import LoopClock

T = TypeVar("T")

GATEWAYS: Final = 2
WORKERS: Final = 3
CONCURRENCY: Final = 3
LEASE_S: Final = 15.0
DRAIN_S: Final = 6.0
GRACE_S: Final = 1.0
PUBLISH_LEASE_S: Final = 5.0
LOST_MESSAGE_AFTER_S: Final = 20.0
CALLER_SHARES: Final = (0, 1, 2)  # of four devices three have the same caller
HEARTBEATS_MISSED_S: Final = 10.0  # after this the broker takes a frozen process for dead
POLICY: Final = RetryPolicy(max_attempts=4, base_s=1.0, cap_s=8.0)
BREAKER: Final = BreakerPolicy(calls=6, window_s=30.0, base_s=1.0, cap_s=4.0, retry_after_cap_s=8.0)
LIMITS: Final = LimitPolicy(recovery_s=5.0)


@dataclass
class WatchedPolicy:
    """The retry rule, which counts the probes that failed: they cost their tasks no attempt."""

    failed_probes: int = 0

    def judge(self, outcome: Outcome, *, counted: int, draw: float, probe: bool = False) -> Verdict:
        verdict = POLICY.judge(outcome, counted=counted, draw=draw, probe=probe)
        self.failed_probes += probe and not verdict.counted and not outcome.withdrawn
        return verdict


class ConnectionLostError(Exception):
    """A client's request got no answer."""


@dataclass(eq=False)
class Place:
    """Where one process after the other lives.

    Attributes:
        role: `gateway` or `worker`.
        lives: Its processes so far; the last one is alive, or was.
    """

    role: str
    number: int
    lives: list["Life"] = field(default_factory=list)

    @property
    def life(self) -> "Life":
        return self.lives[-1]


@dataclass(eq=False)
class Life:
    """One process.

    Attributes:
        main: Its work; done when it has left by itself.
        stop: Set by SIGTERM.
        troubled_s: When it was frozen, thawed, stopped or killed, by the loop's clock.
    """

    process: Process
    main: "asyncio.Task[None]"
    stop: asyncio.Event
    intake: Intake | None = None
    store: SimulatedStore | None = None
    troubled_s: list[float] = field(default_factory=list)
    stopped: bool = False

    @property
    def leaving(self) -> bool:
        """It was told to stop, and has not left yet."""
        return self.stopped and not self.process.dead and not self.main.done()


class Fleet:
    """All processes, and the servers that they share.

    Args:
        loop: Runs them.
        random: Draws everything.

    Attributes:
        on_passing: Told of each step of a process to a server, and after it.
    """

    def __init__(self, loop: SimulatedLoop, random: Random) -> None:
        self.loop = loop
        self.random = random
        self.journal = Journal()
        self.policy: Any = WatchedPolicy()
        self.caller_share = random.choice(CALLER_SHARES)
        self.on_passing: Callable[[Process, str, Stage], None] = lambda *_: None
        self.store_wire = self._wire(StoreUnavailableError)
        self.broker_wire = self._wire(BrokerUnavailableError)
        self.handler_wire = self._wire(StoreUnavailableError)
        self.store = MemoryStore(LoopClock(), publish_lease_s=PUBLISH_LEASE_S)
        self.broker = WiredBroker(self.broker_wire)
        self.handler = SimulatedHandler(self.handler_wire, random)
        self.gateways = [Place("gateway", number) for number in range(GATEWAYS)]
        self.workers = [Place("worker", number) for number in range(WORKERS)]
        for place in [*self.gateways, *self.workers]:
            self.start(place)

    def _wire(self, failure: Any) -> Wire:
        return Wire(
            failure,
            random=self.random,
            journal=self.journal,
            passing=self._pass_on,
        )

    def _pass_on(self, process: Process, step: str, stage: Stage) -> None:
        self.on_passing(process, step, stage)

    @property
    def lives(self) -> list[Life]:
        """Every process that there was."""
        return [life for place in [*self.gateways, *self.workers] for life in place.lives]

    def start(self, place: Place) -> None:
        """Start a process in a place, once the one before is gone."""
        name = f"{place.role}-{place.number}.{len(place.lives)}"
        process = self.loop.new_process(name)
        store = SimulatedStore(self.store, self.store_wire)
        stop = asyncio.Event()
        start = self._gateway if place.role == "gateway" else self._worker
        intake, main = start(name, store, stop)
        task = self.loop.create_task(main, context=process.context, name=name)
        place.lives.append(Life(process, task, stop, intake, store))

    def _gateway(
        self, name: str, store: Any, stop: asyncio.Event
    ) -> tuple[Intake, Coroutine[Any, Any, None]]:
        relay = Relay(
            store,
            Broker(self.broker.open_session, draw=self.random.random),
            Queues(),
            sweep_every_s=2.0,
            publish_at_once=5,
            lost_message_after_s=LOST_MESSAGE_AFTER_S,
            caller_share=self.caller_share,
        )
        intake = Intake(
            store, relay.offer, patience_s=4.0, max_backlog=0, caller_share=self.caller_share
        )
        endings = Endings(store, on_ready=relay.wake)
        reaper = Reaper(
            store,
            policy=POLICY,
            draw=self.random.random,
            every_s=3.0,
            patience_s=LEASE_S / 2,
            retention_s=86_400.0,
        )

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                parts = [group.create_task(p.run()) for p in (intake, relay, endings, reaper)]
                await stop.wait()
                await asyncio.sleep(5.0)  # for requests under way
                for part in parts:
                    part.cancel()

        return intake, main()

    def _worker(
        self, name: str, store: Any, stop: asyncio.Event
    ) -> tuple[None, Coroutine[Any, Any, None]]:
        worker = Worker(
            store,
            Broker(self.broker.open_session, draw=self.random.random),
            HttpHandler(
                "http://handler",
                self.handler,
                grace_s=GRACE_S,
                masker=Masker(["password"]),
            ),
            policy=self.policy,
            breaker=BREAKER,
            limits=LIMITS,
            name=name,
            concurrency=CONCURRENCY,
            lease_s=LEASE_S,
            draw=self.random.random,
        )
        return None, worker.run(stop, drain_s=DRAIN_S)

    def kill(self, life: Life) -> None:
        """Send SIGKILL."""
        if not life.process.dead and not life.main.done():
            self.journal.note(life.process, "KILLED")
            life.troubled_s.append(self.loop.time())
            life.process.kill()

    def stop(self, life: Life) -> None:
        """Send SIGTERM."""
        if not life.process.dead:
            self.journal.note(life.process, "STOPPED")
            life.stopped = True
            self.loop.call_soon(life.stop.set, context=life.process.context)

    def freeze(self, life: Life) -> None:
        """Send SIGSTOP."""
        if not life.process.dead:
            self.journal.note(life.process, "FROZEN")
            life.troubled_s.append(self.loop.time())
            life.process.frozen = True
            self.loop.call_later(HEARTBEATS_MISSED_S, self._miss, life)

    def _miss(self, life: Life) -> None:
        if life.process.frozen:
            self.broker.cut_off(life.process)

    def thaw(self, life: Life) -> None:
        """Send SIGCONT."""
        if life.process.frozen and not life.process.dead:
            self.journal.note(life.process, "THAWED")
            life.troubled_s.append(self.loop.time())
            life.process.frozen = False

    async def request(self, place: Place, ask: Callable[[Life], Coroutine[Any, Any, T]]) -> T:
        """Ask a gateway something, as a client does.

        Raises:
            ConnectionLostError: There was no answer.
        """
        answer: asyncio.Future[T] = self.loop.create_future()
        wire = self.store_wire

        def lose() -> None:
            if not answer.done():
                answer.set_exception(ConnectionLostError())

        def arrive() -> None:
            life = place.life
            if life.process.dead or life.stopped or life.main.done():
                wire.after_a_while(lose)
                return
            forget = life.process.connected(lose)
            serving = self.loop.create_task(ask(life), context=life.process.context)
            serving.add_done_callback(partial(done, forget))

        def done(forget: Callable[[], None], serving: "asyncio.Task[T]") -> None:
            forget()
            wire.after_a_while(partial(give, serving))

        def give(serving: "asyncio.Task[T]") -> None:
            error = ConnectionLostError() if serving.cancelled() else serving.exception()
            if answer.done():
                return
            if error is None:
                answer.set_result(serving.result())
            else:  # 503 is no answer either; anything else is a bug
                unavailable = isinstance(error, StoreUnavailableError)
                answer.set_exception(ConnectionLostError() if unavailable else error)

        wire.after_a_while(arrive)
        with suppress(TimeoutError):
            async with asyncio.timeout(10.0):
                return await answer
        raise ConnectionLostError
