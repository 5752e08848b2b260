"""The real gateway on a store in memory, with a worker that does what tests tell it."""

import asyncio
import queue
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import httpx
from fastapi import FastAPI
from structlog.testing import capture_logs
from uuid_utils.compat import uuid7

from activation.clock import Clock
from activation.domain.task import Claim, TaskId
from activation.ports import Ready, Result
from activation.server import HttpServer
from activation.store.memory import MemoryStore
from activation.telemetry.admin import Readiness
from activation.telemetry.masking import Masker
from activation_gateway.api.app import create_app
from activation_gateway.api.guard import Guard
from activation_gateway.api_keys import ApiKey, ApiKeyCheck
from activation_gateway.endings import Endings
from activation_gateway.intake import Intake
from activation_gateway.relay import QueueStatus
from tests.support.tasks import success

Act = Callable[[Claim], Result | None]


class CliGateway(httpx.AsyncBaseTransport):
    """Answers requests in the event loop of whoever opens it; the store outlives each opening.

    Args:
        clock: The time of the store.
        keys: The API keys that it asks for; None: it asks for none.

    Attributes:
        acts: What the worker does with the tasks of a device; None leaves the task running.
        store: The store, for tests that prepare or examine it.
        requests: What was asked for, as method and path.
        before: Called with each request first; it may answer instead of the gateway.
    """

    def __init__(self, clock: Clock, *, keys: Sequence[ApiKey] | None = None) -> None:
        self._keys = keys
        self.acts: dict[str, Act] = {}
        self.store = MemoryStore(clock)
        self.requests: list[tuple[str, str]] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    async def __aenter__(self) -> Self:
        self._silence = capture_logs()  # what the gateway logs is not what the command prints
        self._silence.__enter__()
        self._ready: asyncio.Queue[Sequence[Ready]] = asyncio.Queue()
        intake = Intake(self.store, self._ready.put_nowait, patience_s=0.0, max_backlog=0)
        endings = Endings(self.store, on_ready=lambda: self._ready.put_nowait([]))
        self.app = self._create_app(intake, endings)
        self._transport = httpx.ASGITransport(self.app)
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._running = [
            self._group.create_task(work) for work in (intake.run(), endings.run(), self._work())
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        for task in self._running:
            task.cancel()
        await self._group.__aexit__(None, None, None)
        self._silence.__exit__(None, None, None)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append((request.method, request.url.path))
        return self.before(request) or await self._transport.handle_async_request(request)

    def _create_app(self, intake: Intake, endings: Endings) -> FastAPI:
        guard = None
        if (keys := self._keys) is not None:
            guard = Guard(
                keys=ApiKeyCheck(lambda: keys, now=self.store.now), monotonic_s=time.monotonic
            )
        return create_app(
            store=self.store,
            intake=intake,
            endings=endings,
            readiness=Readiness({"store": self.store.ping}),
            masker=Masker({"password"}),
            policy_max_attempts=5,
            queue_status=_queue_status,
            new_id=lambda: TaskId(uuid7()),
            guard=guard,
        )

    async def _work(self) -> None:
        """Do the work of relay, broker and worker."""
        while True:
            ready = [*await self._ready.get(), *await self.store.take_ready(limit=1_000)]
            task_ids = [item.task_id for item in ready]
            await self.store.mark_published(ready)
            for claim in await self.store.claim(task_ids, "worker-a", lease_s=60.0):
                if isinstance(claim, Claim):
                    result = self.acts.get(claim.equipment, success)(claim)
                    if result is not None:
                        await self.store.finish([result])


async def _queue_status() -> QueueStatus:
    return QueueStatus(connected=True, ready=3, consumers=2, dead=1)


@contextmanager
def served(gateway: CliGateway, port: int = 0) -> Iterator[str]:
    """Serve it on the loopback, in a thread of its own; gives its URL."""
    listener = socket.create_server(("127.0.0.1", port))
    servers: queue.Queue[HttpServer] = queue.Queue()

    async def serve() -> None:
        async with gateway:
            server = HttpServer(gateway.app, host="127.0.0.1", port=0, shutdown_s=1.0)
            servers.put(server)
            await server.serve([listener])

    with ThreadPoolExecutor(max_workers=1) as pool:
        serving = pool.submit(asyncio.run, serve())
        server = servers.get(timeout=10.0)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            serving.result(timeout=10.0)
