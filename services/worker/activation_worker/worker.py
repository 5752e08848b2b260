"""The worker: from a delivery to a stored result.

``delivery -> gate -> claim -> call -> result -> ack``. Claims and results of many tasks share
commits. The broker's callback only hands a delivery over; everything else runs in tasks of the
worker's own, because a call must outlive the connection that asked for it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from activation.broker import Broker, Delivery, Session, UnreadableMessageError, read_message
from activation.domain.limit import LimitPolicy
from activation.domain.outcome import Reason
from activation.domain.retry import RetryPolicy
from activation.domain.target import BreakerPolicy
from activation.domain.task import ENDED, Claim, State, TaskId
from activation.errors import BrokerUnavailableError, StoreUnavailableError
from activation.group_commit import GroupCommit
from activation.ports import Refused, Result, TaskStore
from activation.telemetry.logging import Logger, get_logger
from activation.telemetry.metrics import count_end
from activation.telemetry.tracing import (
    ATTEMPT,
    EQUIPMENT,
    MESSAGE_ID,
    OUTCOME,
    TASK_ID,
    WAITED_S,
    Attributes,
    about,
    describe,
    exemplar,
    fail,
    processing,
    step,
)
from activation_worker import metrics
from activation_worker.gate import Gate, Passage
from activation_worker.handler import Handler
from activation_worker.run import LeaseLostError, Run

_LARGEST_GROUP = 500
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_GOODBYE_S = 5.0  # to store what is handed back
_RENEW_AFTER, _RENEW_AGAIN_AFTER = 1 / 3, 1 / 15  # of a lease: with 30 s at 10, 12, 14 ... 28 s

log = get_logger()

Answer = TypeVar("Answer")


class Worker:
    """Carries out tasks.

    Args:
        store: Grants claims and takes results.
        broker: Delivers messages.
        handler: Does the work.
        policy: What becomes of a task after an attempt.
        breaker: When the handler is left alone.
        limits: How many calls at once it is given.
        name: Who holds the leases.
        concurrency: Attempts at once, and the prefetch.
        lease_s: How long a claim lasts without a sign of life; renewed at a third of it.
        draw: Random numbers in [0, 1) for the jitter of retries.
    """

    def __init__(
        self,
        store: TaskStore,
        broker: Broker,
        handler: Handler,
        *,
        policy: RetryPolicy,
        breaker: BreakerPolicy,
        limits: LimitPolicy,
        name: str,
        concurrency: int,
        lease_s: float,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._broker = broker
        self._handler = handler
        self._policy = policy
        self._gate = Gate(store, breaker, limits, worker=name, lease_s=lease_s)
        self._name = name
        self._concurrency = concurrency
        self._lease_s = lease_s
        self._draw = draw
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        self._slots = asyncio.Semaphore(concurrency)
        self._running: dict[TaskId, Run] = {}
        self._claims = GroupCommit(self._commit_claims, largest=_LARGEST_GROUP)
        self._results = GroupCommit(self._commit_results, largest=_LARGEST_GROUP)
        self._stopping = asyncio.Event()
        self._carrying: set[asyncio.Task[None]] = set()
        self.consuming = False
        metrics.CAPACITY.set(concurrency)

    async def check(self) -> None:
        """Raise `BrokerUnavailableError` unless deliveries can arrive."""
        if not self.consuming:
            raise BrokerUnavailableError("no consumer at RabbitMQ")

    async def run(self, stop: asyncio.Event, *, drain_s: float) -> None:
        """Work until `stop` is set, then finish what is running and return.

        Args:
            stop: Set by SIGTERM.
            drain_s: How long running calls may take to end; then they are handed back.
        """
        async with asyncio.TaskGroup() as services, asyncio.TaskGroup() as carriers:
            background = [
                services.create_task(self._claims.run(), name="claims"),
                services.create_task(self._results.run(), name="results"),
                services.create_task(self._renew_leases(), name="leases"),
            ]
            dispatching = carriers.create_task(self._dispatch(carriers), name="dispatch")
            consuming = carriers.create_task(self._broker.keep(self._consume), name="consuming")
            await stop.wait()
            self._stopping.set()
            self._gate.shut()
            await self._drain(dispatching, drain_s)
            consuming.cancel()
            for task in background:
                task.cancel()

    async def _consume(self, session: Session) -> None:
        """Receive deliveries until the session is lost, or all work is drained."""
        if self._stopping.is_set():
            return
        try:
            await session.consume(self._concurrency, self._arrived.put_nowait)
            self.consuming = True
            await self._stopping.wait()
            self.consuming = False
            await session.stop_consuming()
            while not self._arrived.empty():
                await self._arrived.get_nowait().requeue()
            await asyncio.Event().wait()  # keep the channel: what is running must be acknowledged
        finally:
            self.consuming = False

    async def _dispatch(self, carriers: asyncio.TaskGroup) -> None:
        while True:
            # The prefetch alone is not enough: calls outlive the session that asked for them.
            await self._slots.acquire()
            delivery = await self._arrived.get()
            carrying = carriers.create_task(self._carry_out(delivery))
            self._carrying.add(carrying)
            carrying.add_done_callback(self._carried_out)

    def _carried_out(self, carrying: asyncio.Task[None]) -> None:
        self._carrying.discard(carrying)
        self._slots.release()

    async def _carry_out(self, delivery: Delivery) -> None:
        """Take one delivery to its settlement."""
        with processing(delivery.queue, delivery.traceparent):
            await self._settle(delivery)

    async def _settle(self, delivery: Delivery) -> None:
        try:
            task_id = _task_of(delivery)
            with about({TASK_ID: str(task_id), MESSAGE_ID: str(task_id)}):
                await self._take(delivery, task_id)
        except UnreadableMessageError as error:
            metrics.UNREADABLE.inc()
            fail("unreadable_message", str(error))
            log.error("message_unreadable", error=str(error))  # noqa: TRY400  # a stack says no more
            await delivery.dead_letter()
        except Exception:  # one task must not stop the others; its lease runs out
            log.exception("delivery_failed")
            await delivery.dead_letter()

    async def _take(self, delivery: Delivery, task_id: TaskId) -> None:
        if self._stopping.is_set():
            await delivery.requeue()
            return
        run = self._running.get(task_id)
        if run is not None:
            metrics.ABSORBED.labels(metrics.RUNNING_HERE).inc()
            run.deliveries.append(delivery)
            return
        while passage := await self._gate.enter():
            try:
                if await self._claim(delivery, task_id, passage):
                    return
            finally:
                await self._gate.leave(passage)
        await delivery.requeue()

    async def _claim(self, delivery: Delivery, task_id: TaskId, passage: Passage) -> bool:
        """Carry out what can be claimed; False: there is no room for another call."""
        try:
            with step("claim"):
                claim = await self._store_patiently(
                    lambda: self._claims.submit(task_id), while_stopping=False
                )
        except StoreUnavailableError:
            await delivery.requeue()
            return True
        if claim is None:
            self._gate.full()
            return False
        if isinstance(claim, Refused):
            self._absorb(task_id, claim.state)
            await delivery.ack()
            return True
        described: Attributes = {
            EQUIPMENT: claim.equipment,
            ATTEMPT: claim.attempt,
            WAITED_S: claim.waited_s,
        }
        with about(described):
            await self._attempt(Run(claim, [delivery]), passage)
        return True

    async def _attempt(self, run: Run, passage: Passage) -> None:
        claim = run.claim
        bound = log.bind(
            task_id=str(claim.task_id), equipment=claim.equipment, attempt=claim.attempt
        )
        bound.info("attempt_started", waited_s=round(claim.waited_s, 3))
        metrics.CLAIMED.inc()
        metrics.QUEUE_WAIT.observe(claim.waited_s, exemplar())
        self._running[claim.task_id] = run
        state = None
        try:
            if self._stopping.is_set():
                run.hand_back()
            outcome = await run.call(self._handler)
            await self._gate.report(passage, outcome)
            verdict = self._policy.judge(
                outcome, counted=claim.counted, draw=self._draw(), probe=passage.probe
            )
            result = Result(claim, outcome, verdict)
            with step("finish"):
                state = await self._store_patiently(
                    lambda: self._results.submit(result), while_stopping=True
                )
            self._report(bound, result, state)
        except LeaseLostError:
            metrics.LEASES_LOST.inc()
            fail("lease_lost")
            bound.warning("lease_lost")
        finally:
            del self._running[claim.task_id]
        await run.settle(ended=state in ENDED)

    def _absorb(self, task_id: TaskId, state: State | None) -> None:
        if state is None:
            raise UnreadableMessageError(f"the store has no task {task_id}")
        metrics.ABSORBED.labels(state.value).inc()
        describe({OUTCOME: "absorbed"})
        log.info("delivery_absorbed", task_id=str(task_id), state=state.value)

    def _report(self, bound: Logger, result: Result, state: State | None) -> None:
        """Log and count how an attempt ended."""
        reason, verdict = result.outcome.reason, result.verdict
        metrics.ATTEMPTS.labels(reason.value).inc()
        describe({OUTCOME: "stale" if state is None else state.value})
        if reason is not Reason.COMPLETED:
            fail(reason.value, result.outcome.message)
        if state is None:
            metrics.STALE.inc()
            bound.warning("result_stale", reason=reason)
            return
        if state is State.QUEUED:
            metrics.RETRIES.labels(reason.value).inc()
            bound.warning("attempt_failed", reason=reason, retry_in_s=round(verdict.retry_in_s, 3))
            return
        elapsed_s = (self._store.now() - result.claim.accepted_at).total_seconds()
        count_end(state, reason, dead_letter=verdict.dead_letter, after_s=elapsed_s)
        tell = bound.error if verdict.dead_letter else bound.info
        tell("task_ended", state=state, reason=reason, after_s=round(elapsed_s, 3))

    async def _commit_claims(self, task_ids: Sequence[TaskId]) -> Sequence[Claim | Refused | None]:
        limited = self._gate.limited
        answers = await self._store.claim(task_ids, self._name, self._lease_s, limited=limited)
        return [*answers, *[None] * (len(task_ids) - len(answers))]

    async def _commit_results(self, results: Sequence[Result]) -> Sequence[State | None]:
        return await self._store.finish(results)

    async def _store_patiently(
        self, write: Callable[[], Awaitable[Answer]], *, while_stopping: bool
    ) -> Answer:
        """Repeat the write, never the call, until the store is back.

        Raises:
            StoreUnavailableError: The worker is told to stop, and this is not worth waiting for.
        """
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await write()
            except StoreUnavailableError as error:
                if self._stopping.is_set() and not while_stopping:
                    raise
                log.warning("store_unavailable", error=str(error), retry_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _renew_leases(self) -> None:
        """Renew what is running at a third of the lease; what fails is repeated soon."""
        pause_s = self._lease_s * _RENEW_AFTER
        while True:
            await asyncio.sleep(pause_s)
            runs = list(self._running.values())
            if not runs:
                continue
            await self._gate.renew()
            try:
                lost = await self._store.renew([run.claim for run in runs], self._lease_s)
            except StoreUnavailableError as error:
                log.warning("leases_not_renewed", leases=len(runs), error=str(error))
                pause_s = self._lease_s * _RENEW_AGAIN_AFTER
                continue
            pause_s = self._lease_s * _RENEW_AFTER
            metrics.LEASES_RENEWED.inc(len(runs) - len(lost))
            for run in runs:
                if run.claim.task_id in lost:
                    run.lose_lease()

    async def _drain(self, dispatching: asyncio.Task[None], drain_s: float) -> None:
        """Finish what is running within the time; hand the rest back without spending attempts."""
        log.info("draining", running=len(self._running), limit_s=drain_s)
        with metrics.draining(asyncio.get_running_loop().time):
            await self._wait_for_carriers(drain_s)
            for run in self._running.values():
                run.hand_back()
            await self._wait_for_carriers(_GOODBYE_S)
        dispatching.cancel()
        for carrying in list(self._carrying):
            carrying.cancel()
        log.info("drained", left=len(self._running))

    async def _wait_for_carriers(self, limit_s: float) -> None:
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=limit_s)


def _task_of(delivery: Delivery) -> TaskId:
    if delivery.fault is not None:
        raise UnreadableMessageError(delivery.fault)
    return read_message(delivery.body)
