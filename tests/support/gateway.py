"""The gateway's API over a store in memory, reached without a network."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from uuid_utils.compat import uuid7

from activation.domain.task import Claim, Task, TaskId
from activation.ports import Result
from activation.telemetry.admin import Readiness
from activation.telemetry.masking import Masker
from activation_gateway.api.app import create_app
from activation_gateway.api.guard import Guard
from activation_gateway.api_keys import ApiKey, ApiKeyCheck
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.oidc.tokens import TokenCheck
from activation_gateway.relay import QueueStatus
from tests.support.clock import VirtualClock
from tests.support.faulty_store import FaultyStore
from tests.support.tasks import DEVICE, claim, stored

QUEUE = QueueStatus(connected=True, ready=3, consumers=2, dead=1)
NOBODY = UUID(int=0)  # no task has this id


@dataclass
class GatewayUnderTest:
    """A gateway that runs, and all that is behind it.

    Attributes:
        bits: What the gateway draws when it needs something random.
        queue: What the broker says of its queues.
    """

    http: httpx.AsyncClient
    app: FastAPI
    store: FaultyStore
    clock: VirtualClock
    endings: Endings
    bits: int = 1
    queue: QueueStatus = QUEUE

    async def post(self, content: Any, equipment: str = DEVICE, **headers: str) -> httpx.Response:
        """Ask for an activation; what is not bytes is sent as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        sent = {"Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        return await self.http.post(
            f"/api/v1/equipment/cpe/{equipment}", content=body, headers=sent
        )

    async def submit(self, equipment: str = DEVICE, **body: Any) -> TaskId:
        """Have a task accepted."""
        answer = await self.post(body, equipment)
        assert answer.status_code == httpx.codes.OK, answer.text
        return TaskId(UUID(answer.json()["taskId"]))

    async def result(
        self, task_id: UUID | str, equipment: str = DEVICE, prefer: str | None = None
    ) -> httpx.Response:
        """Ask what became of a task."""
        headers = {} if prefer is None else {"Prefer": prefer}
        path = f"/api/v1/equipment/cpe/{equipment}/task/{task_id}"
        return await self.http.get(path, headers=headers)

    async def stored(self, task_id: TaskId) -> Task:
        """Look into the store."""
        return await stored(self.store, task_id)

    async def run(self, task_id: TaskId) -> Claim:
        """Let a worker begin the task."""
        return await claim(self.store, task_id)

    async def finish(self, result: Result) -> None:
        """Let the worker report."""
        await self.store.finish([result])


@asynccontextmanager
async def running_gateway(
    *,
    max_backlog: int = 0,
    max_waiting_per_equipment: int = 0,
    caller_share: int = 0,
    patience_s: float = 0.0,
    keys: list[ApiKey] | None = None,
    tokens: Callable[[VirtualClock], TokenCheck] | None = None,
) -> AsyncIterator[GatewayUnderTest]:
    """Run a gateway that keeps its tasks in memory; it asks for what it is given."""
    clock = VirtualClock()
    store = FaultyStore(clock)
    intake = Intake(
        store,
        lambda _: None,
        patience_s=patience_s,
        max_backlog=max_backlog,
        max_waiting_per_equipment=max_waiting_per_equipment,
        caller_share=caller_share,
    )
    endings = Endings(store)

    guard = None
    if keys is not None or tokens is not None:
        guard = Guard(
            keys=None if keys is None else ApiKeyCheck(lambda: keys, now=clock.now),
            tokens=None if tokens is None else tokens(clock),
            monotonic_s=lambda: clock.now().timestamp(),
        )

    async def queue_status() -> QueueStatus:
        return gateway.queue

    app = create_app(
        store=store,
        intake=intake,
        endings=endings,
        readiness=Readiness({"store": store.ping}),
        masker=Masker({"password", "key"}),
        policy_max_attempts=5,
        queue_status=queue_status,
        new_id=lambda: TaskId(uuid7()),
        draw_bits=lambda _: gateway.bits,
        guard=guard,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        gateway = GatewayUnderTest(http, app, store, clock, endings)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(work.run()) for work in (intake, endings)]
            yield gateway
            for task in running:
                task.cancel()
