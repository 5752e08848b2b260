"""The worker's client of the handler, for one call against one server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from activation.domain.outcome import Outcome
from activation.domain.task import Claim, TaskId
from activation.telemetry.masking import Masker
from activation_worker.handler import HttpHandler
from activation_worker.transport import HttpTransport
from tests.support.misbehaving_server import Behaviour, serving

TASK = TaskId(UUID("0190a1b2-0000-7000-8000-000000000001"))


def a_claim(*, parameters: str = "{}", timeout_s: int = 5, traceparent: str | None = None) -> Claim:
    return Claim(
        task_id=TASK,
        equipment="ABC123",
        attempt=3,
        counted=2,
        timeout_s=timeout_s,
        parameters=parameters,
        accepted_at=datetime(2026, 1, 1, tzinfo=UTC),
        waited_s=0.0,
        traceparent=traceparent,
    )


@asynccontextmanager
async def client_of(url: str, *, grace_s: float = 0.1) -> AsyncIterator[HttpHandler]:
    handler = HttpHandler(
        url,
        HttpTransport(connections=10, connect_s=0.3),
        grace_s=grace_s,
        masker=Masker(["password", "token"]),
    )
    yield handler
    await handler.close()


async def outcome_of(
    behaviour: Behaviour, *, parameters: str = "{}", timeout_s: int = 5
) -> Outcome:
    """Make one call against a server of this behaviour; no connection may stay open after it."""
    async with serving(behaviour) as server, client_of(server.url) as handler:
        return await handler.activate(a_claim(parameters=parameters, timeout_s=timeout_s))
