"""Work whose every number is known: what the metrics show of it can be computed.

The numbers come from those who asked and those who answered: the client's own count of its
requests, the tasks as the API tells them, and the handler's ledger.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import httpx

from activation.broker import write_message
from activation.domain.task import TaskId
from activation.ports import Ready
from activation_cli.verify.accountant import Row
from tests.support.exposition import OPENMETRICS, Exposition
from tests.support.rabbitmq_vhost import Vhost
from tests.support.service import Service, eventually
from tests.support.system import System

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"  # of the slow task
SLOW_S: Final = 6.0
LEASE_S: Final = 9.0  # renewed once and again while the slow task runs
CONCURRENCY: Final = 20

_DEVICE: Final = "/api/v1/equipment/cpe/"
_SETTINGS: Final[dict[str, Any]] = {
    "handler_s": 0.1,
    "max_attempts": 2,
    "lease_s": LEASE_S,
    "concurrency": CONCURRENCY,
    "store_timeout_s": 6,
    # Else the relay would offer again what waits longer than this on a slow machine.
    "publish_lease_s": 300,
    "lost_message_after_s": 3600,
}

Request = tuple[str, str, int]
"""Method, path and status."""


@dataclass(slots=True)
class KnownWork:
    """What was done, and what the services showed of it in the end.

    Attributes:
        asked: How often the client sent each request.
        waited_s: How long the client waited for the answers to them, in all.
        tasks: With their events and attempts, in the order accepted.
        calls: The handler's ledger.
        in_flight: Calls under way while two tasks ran, as the worker showed them.
        gateway: The end, as the gateway showed it; `worker` likewise.
        seconds: How long it all took.
    """

    asked: Counter[Request] = field(default_factory=Counter)
    waited_s: Counter[Request] = field(default_factory=Counter)
    tasks: list[Row] = field(default_factory=list)
    calls: list[Row] = field(default_factory=list)
    in_flight: float = 0.0
    gateway: dict[str, Exposition] = field(default_factory=dict)
    worker: dict[str, Exposition] = field(default_factory=dict)
    seconds: float = 0.0

    def listen(self, client: httpx.AsyncClient, port: int) -> None:
        """Count what a client asks of a port."""

        async def sent(request: httpx.Request) -> None:
            request.extensions["begun"] = time.monotonic()

        async def answered(response: httpx.Response) -> None:
            request = response.request
            if request.url.port == port:
                await response.aread()
                asked = request.method, request.url.path, response.status_code
                self.asked[asked] += 1
                self.waited_s[asked] += time.monotonic() - request.extensions["begun"]

        client.event_hooks = {"request": [sent], "response": [answered]}


async def do_known_work(folder: Path, vhost: Vhost, database_url: str) -> KnownWork:
    """Start a system, do the work, and return all that is known of it."""
    work = KnownWork()
    began = time.monotonic()
    async with System(folder, vhost.url, database_url, **_SETTINGS) as system:
        [gateway], [worker] = system.gateways, system.workers
        work.listen(system._http, gateway.port)
        ended = await _tasks_that_end_by_themselves(system)
        await _requests_that_make_no_task(system)
        await _tasks_that_are_cancelled(system, work, ended)
        await _messages_with_nothing_to_do(system, vhost, ended)
        await system.wait_all_ended()
        await _fresh_gauges(system)
        work.tasks = [await system.task(task["taskId"]) for task in await system.tasks()]
        work.calls = await system.calls()
        work.gateway = await _scrape(system, gateway)
        work.worker = await _scrape(system, worker)
    work.seconds = time.monotonic() - began
    return work


async def _tasks_that_end_by_themselves(system: System) -> str:
    """Two succeed, one of them asked for twice; one is refused, one retried, one hopeless."""
    await system.script([{"do": "answer", "status": 503}], "RETRIED1")
    await system.script([{"do": "garbage", "acts": False, "times": 2}], "HOPELESS1")
    tasks = [
        await _submit(system, "DEVICE1"),
        await _submit(system, "DEVICE2", key="once"),
        await _submit(system, "DEV404A"),
        await _submit(system, "RETRIED1"),
        await _submit(system, "HOPELESS1"),
    ]
    again = await _submit(system, "DEVICE2", key="once")
    await system.request(
        "POST",
        f"{_DEVICE}DEVICE2",
        json={"timeoutInSeconds": 7},
        headers={"Idempotency-Key": "once"},
    )
    await system.wait_all_ended()
    assert again == tasks[1]
    for task_id, equipment in zip(tasks, ("DEVICE1", "DEVICE2", "DEV404A"), strict=False):
        await system.request("GET", f"{_DEVICE}{equipment}/task/{task_id}")
    return tasks[0]


async def _requests_that_make_no_task(system: System) -> None:
    """Bodies, addresses and methods that nobody can serve."""
    await system.request("POST", f"{_DEVICE}DEVICE1", json={"nonsense": 1})
    await system.request("POST", f"{_DEVICE}DEVICE1", json={"timeoutInSeconds": 901})
    await system.request("POST", f"{_DEVICE}DEVICE1", content=b"{", headers=_JSON)
    await system.request("POST", f"{_DEVICE}DEVICE1", content=b"{}", headers=_TEXT)
    await system.request("POST", f"{_DEVICE}no-device", json={})
    await system.request("GET", f"{_DEVICE}DEVICE1/task/{uuid4()}")
    await system.request("PUT", f"{_DEVICE}DEVICE1", json={})
    await system.request("PROPFIND", f"{_DEVICE}DEVICE1", json={})
    await system.request("GET", "/nowhere")


async def _tasks_that_are_cancelled(system: System, work: KnownWork, ended: str) -> None:
    """One while it waits behind a slow one, one while it runs; and one that has ended is not."""
    slow = {"do": "answer", "latency_s": SLOW_S}
    await system.script([slow], "SLOW0001")
    await system.script([slow | {"status": 503}], "WITHDRAWN1")
    running = await _submit(system, "SLOW0001", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
    waiting = await _submit(system, "SLOW0001")
    withdrawn = await _submit(system, "WITHDRAWN1")

    async def both_run() -> bool:
        return len(await system.calls_in_progress()) == 2

    await eventually(both_run, what="two calls")
    shown = await system.metrics(system.workers[0])
    work.in_flight = shown["activation_attempts_in_flight"]
    for task_id in (waiting, waiting, withdrawn, ended):
        await system.request("POST", f"/api/v1/tasks/{task_id}:cancel")
    path = f"{_DEVICE}SLOW0001/task/{running}"
    await system.request("GET", path, headers={"Prefer": "wait=30"})


async def _messages_with_nothing_to_do(system: System, vhost: Vhost, ended: str) -> None:
    """One of a task that has ended, and one that nobody can read."""
    await vhost.put(write_message(Ready(TaskId(UUID(ended))), None)[0])
    await vhost.put(b"garbage")

    async def taken() -> bool:
        shown = await system.metrics(system.workers[0])
        return shown["activation_deliveries_unreadable_total"] == 1

    await eventually(taken, what="the message that nobody can read")


async def _fresh_gauges(system: System) -> None:
    """Wait until the gateway has looked into its store again: it does so every five seconds."""

    async def fresh() -> bool:
        shown = await system.metrics(system.gateways[0])
        return (
            shown["activation_dead_letters"] == 1 and not shown["activation_tasks{state=running}"]
        )

    await eventually(fresh, what="fresh gauges")


async def _submit(system: System, equipment: str, key: str | None = None, **headers: str) -> str:
    sent: Mapping[str, str] = headers | ({} if key is None else {"Idempotency-Key": key})
    answer = await system.request("POST", f"{_DEVICE}{equipment}", json={}, headers=sent)
    return str(answer.json()["taskId"])


async def _scrape(system: System, service: Service) -> dict[str, Exposition]:
    """Return what a service shows, in the one format and in the other."""
    plain = await system.admin(service, "/metrics")
    rich = await system.admin(service, "/metrics", accept=OPENMETRICS)
    return {
        "plain": Exposition.of_plain_text(plain),
        "openmetrics": Exposition.of_openmetrics(rich),
    }


def seconds_between(begin: str, end: str) -> float:
    """Return the time between two moments as the API writes them."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


def end_of(task: Row) -> tuple[str, str]:
    """Return the outcome and the reason that the API tells of a task."""
    if task["state"] != "failed":
        return task["state"], ""
    return "dead_lettered" if task["deadLetter"] else "refused", task["reason"]


def retries(work: KnownWork) -> list[Row]:
    """Return the attempts that another one followed."""
    every = [attempt for task in work.tasks for attempt in task["attempts"]]
    return [attempt for attempt in every if attempt["result"] == "retry_scheduled"]


def waits_s(work: KnownWork) -> list[float]:
    """Return how long each attempt waited since it could begin; all were first in line."""
    waited = []
    for task in work.tasks:
        runnable_at = task["acceptedAt"]
        for event in task["events"]:
            if event["name"] == "started":
                waited.append(seconds_between(runnable_at, event["at"]))
            runnable_at = event["notBefore"] or runnable_at
    return waited


def duration_s(call: Row) -> float:
    """Return how long the handler took for a call."""
    return float(call["ended_at"] - call["started_at"])


_JSON: Final[dict[str, Any]] = {"Content-Type": "application/json"}
_TEXT: Final[dict[str, Any]] = {"Content-Type": "text/plain"}
