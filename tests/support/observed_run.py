"""A scripted run that Prometheus watches: it brings every panel something to show.

Successes, final refusals, a retry, a dead letter, a cancelled task, mistakes of clients, an outage
of RabbitMQ, a second worker, a full fleet with a backlog, and a worker that leaves.
"""

import asyncio
import math
import time
from dataclasses import dataclass, field
from typing import Any, Final

from activation_cli.verify.accountant import Row
from tests.support.dashboards import Query, filled, panel_queries
from tests.support.prometheus import NAMESPACE, PrometheusServer
from tests.support.prometheus_api import Prometheus
from tests.support.servers import RabbitMQ
from tests.support.service import Service, eventually
from tests.support.system import System

CONCURRENCY: Final = 5
HANDLER_S: Final = 0.2
SUCCESSES: Final = 20
IN_OUTAGE: Final = 3
HELD: Final = 2 * CONCURRENCY  # calls under way with two workers
WAITING: Final = 4

# While calls are held, RabbitMQ and the gateways must have counted anew: each does every 5 s.
_HOLD_S: Final = 20.0
_DRAIN_S: Final = 5.0
# So long must the outage last, for its age to be told from a moment's.
_OUTAGE_S: Final = 4.0
_LIMIT_S: Final = 90.0
# No sample of a time before this is still to come: longer than reading a target may take.
_SETTLED_S: Final = 1.2
# A mark compares with what was a minute before.
_READY: Final = "namespace:activation_workers_ready:count"

_WINDOW_S: Final = 600  # longer than the run: a rate over it counts all that was done
_QUERIES: Final = {query.place: query for query in panel_queries()}
_FIXED: Final = {"__name__", "namespace", "objective", "window"}

SETTINGS: Final[dict[str, Any]] = {
    "handler_s": HANDLER_S,
    "concurrency": CONCURRENCY,
    "max_attempts": 2,
    "lost_message_after_s": 3600,  # else what waits for long would be offered again
}


@dataclass(slots=True)
class ObservedRun:
    """Times at which something held, in seconds since the epoch, and what is known of the run.

    Attributes:
        prometheus: Still answers, also for times that are over.
        requests: What clients asked in vain, by status.
        begun_at: All was seen for the first time.
        outage_at: RabbitMQ was away, and `IN_OUTAGE` messages could not be sent.
        held_at: Two workers were full, and `WAITING` tasks waited.
        drained_at: A worker was leaving with a call under way.
        ended_at: All was over and had been seen.
        tasks: As the API tells them.
        calls: The handler's ledger.
    """

    prometheus: Prometheus
    requests: dict[int, int] = field(default_factory=dict)
    begun_at: float = 0.0
    outage_at: float = 0.0
    held_at: float = 0.0
    drained_at: float = 0.0
    ended_at: float = 0.0
    tasks: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)

    async def sees(self, expression: str) -> float:
        """Wait until an expression has a result, and return the time of it."""

        async def seen() -> float | None:
            at = time.time() - _SETTLED_S
            return at if await self.prometheus.query(expression, at) else None

        return await eventually(seen, limit_s=_LIMIT_S, what=expression) or math.nan

    async def ask(self, query: Query, at: float) -> list[dict[str, Any]]:
        """Return what a panel or a rule shows at a time, NaN left out."""
        expr = filled(query.expr, namespace=NAMESPACE, interval=f"{_WINDOW_S}s")
        samples = await self.prometheus.query(expr, at)
        return [sample for sample in samples if not math.isnan(float(sample["value"][1]))]

    async def shown(self, place: str, at: float) -> Any:
        """Return a panel's number, or its numbers by the values of their labels."""
        samples = await self.ask(_QUERIES[place], at)
        values = {
            "/".join(value for name, value in sample["metric"].items() if name not in _FIXED): (
                float(sample["value"][1])
            )
            for sample in samples
        }
        assert len(values) == len(samples), samples
        return values.get("", math.nan) if set(values) <= {""} else values

    async def done(self, place: str) -> Any:
        """Return what a panel of rates counted over the whole run."""
        rates = await self.shown(place, self.ended_at)
        if isinstance(rates, float):
            return rates * _WINDOW_S
        return {label: rate * _WINDOW_S for label, rate in rates.items() if rate > 0}

    async def sees_now(self) -> float:
        """Wait until everything has been read once more, and recorded."""
        now = time.time()
        return await self.sees(
            f"min(up) == 1 and min(timestamp(up)) > {now} and on () timestamp({_READY}) > {now} + 2"
        )


async def do_observed_run(
    system: System, broker: RabbitMQ, server: PrometheusServer, prometheus: Prometheus
) -> ObservedRun:
    """Do all of it; the system runs, but for the worker that left."""
    run = ObservedRun(prometheus)
    server.watch(*system.gateways, *system.workers)
    run.begun_at = await run.sees("count(up == 1) == 4")
    await _ends_of_every_kind(system, run)
    await _outage(system, broker, run)
    await _full_fleet(system, server, run)
    await _leaving(system, server, run)
    run.ended_at = await run.sees_now()
    run.tasks, run.calls = await system.tasks(), await system.calls()
    return run


async def _ends_of_every_kind(system: System, run: ObservedRun) -> None:
    # The first of each kind makes a series, and only what comes after it is an increase.
    await system.submit_many(["FIRST01"])
    await system.wait_all_ended()
    await _mistakes(system)
    await run.sees_now()

    await system.script([{"do": "answer", "status": 503}], "RETRIED1")
    await system.script([{"do": "garbage", "acts": False, "times": 2}], "HOPELESS1")
    await system.script([{"do": "answer", "latency_s": 3.0}], "BUSY001")
    devices = [f"DEVICE{n:02}" for n in range(SUCCESSES)]
    await system.submit_many([*devices, "RETRIED1", "HOPELESS1", "DEV404A", "DEV500A"])
    await system.submit_many(["BUSY001"])
    [behind] = await system.submit_many(["BUSY001"])
    cancelled = await system.request("POST", f"/api/v1/tasks/{behind}:cancel")
    assert cancelled.is_success, cancelled.text
    run.requests = await _mistakes(system)
    await system.wait_all_ended()


async def _mistakes(system: System) -> dict[int, int]:
    device = "/api/v1/equipment/cpe/DEVICE01"
    answers = [
        await system.request("POST", device, json={"timeoutInSeconds": 0}),
        await system.request("POST", device, content=b"{", headers={"content-type": "a/json"}),
        await system.request("GET", "/nowhere"),
    ]
    statuses = [answer.status_code for answer in answers]
    return {status: statuses.count(status) for status in statuses}


async def _outage(system: System, broker: RabbitMQ, run: ObservedRun) -> None:
    await asyncio.to_thread(broker.stop)
    await run.sees("max(activation_broker_connected) == 0")
    await system.submit_many([f"OUTAGE{n}" for n in range(IN_OUTAGE)])
    run.outage_at = await run.sees(
        f"max(activation_outbox_tasks) == {IN_OUTAGE}"
        f" and max(activation_outbox_age_seconds) > {_OUTAGE_S}"
    )
    await asyncio.to_thread(broker.start)
    await system.wait_all_ended()


async def _full_fleet(system: System, server: PrometheusServer, run: ObservedRun) -> None:
    second = system.add_worker()
    await second.start()
    server.watch(second)
    await run.sees("sum(activation_broker_connected) == 3")
    slow = [f"HELD{n:03}" for n in range(HELD)]
    for device in slow:
        await system.script([{"do": "answer", "latency_s": _HOLD_S}], device)
    await system.submit_many(slow)
    await run.sees(f"sum(activation_attempts_in_flight) == {HELD}")
    await system.submit_many([f"QUICK{n}" for n in range(WAITING)])
    queue = 'queue="activation.tasks"'
    run.held_at = await run.sees(
        f'max(activation_tasks{{state="running"}}) == {HELD}'
        f' and on () max(activation_tasks{{state="queued"}}) == {WAITING}'
        f" and on () max(rabbitmq_detailed_queue_messages_unacked{{{queue}}}) == {HELD}"
        f" and on () max(rabbitmq_detailed_queue_messages_ready{{{queue}}}) == {WAITING}"
        f" and on () namespace:activation_queue_messages:max == {HELD + WAITING}"
        " and on () namespace:activation_slots_in_use:ratio == 1"
    )
    await system.wait_all_ended()
    await run.sees(f"{_READY} > {_READY} offset 1m")


async def _leaving(system: System, server: PrometheusServer, run: ObservedRun) -> None:
    await system.script([{"do": "answer", "latency_s": _DRAIN_S}], "LAST001")
    await system.submit_many(["LAST001"])
    leaving = await _busy(system)
    ended = asyncio.create_task(leaving.terminate())
    run.drained_at = await run.sees(
        "max(activation_worker_drain_seconds) > 1 and on () namespace:activation_slots:sum == "
        f"{CONCURRENCY}"
    )
    await ended
    server.forget(leaving)
    await system.wait_all_ended()
    await run.sees(f"{_READY} < {_READY} offset 1m")


async def _busy(system: System) -> Service:
    async def found() -> Service | None:
        for worker in system.workers:
            if (await system.metrics(worker))["activation_attempts_in_flight"]:
                return worker
        return None

    busy = await eventually(found, what="a worker with a call")
    assert busy is not None
    return busy
