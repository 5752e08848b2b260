"""The port for operators and machines: `/healthz`, `/readyz` and `/metrics`.

Liveness says that the event loop turns; readiness asks each check that the service names. The
split follows the Kubernetes documentation of probes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from activation.errors import ActivationError

Check = Callable[[], Awaitable[None]]
"""Returns when all is well, raises `ActivationError` with what is wrong."""


class Readiness:
    """Answers whether a service can do its work, and what is missing if not."""

    def __init__(self, checks: Mapping[str, Check], *, timeout_s: float = 2.0) -> None:
        self._checks = checks
        self._timeout_s = timeout_s
        self.draining = False

    async def faults(self) -> dict[str, str]:
        """Run all checks; an empty answer means ready."""
        if self.draining:
            return {"service": "draining"}
        found = await asyncio.gather(*map(self._fault, self._checks))
        return {name: fault for name, fault in zip(self._checks, found, strict=True) if fault}

    async def _fault(self, name: str) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._checks[name]()
        except TimeoutError:
            return f"no answer within {self._timeout_s:g} s"
        except ActivationError as error:
            return str(error)
        return None

    async def answer(self) -> Response:
        """Answer `/readyz`: 200, or 503 with what is missing."""
        faults = await self.faults()
        body = {"status": "unready" if faults else "ready", "faults": faults}
        return JSONResponse(body, status_code=503 if faults else 200)


def health_routes(readiness: Readiness) -> list[Route]:
    """Return the routes of `/healthz` and `/readyz`."""

    async def healthz(_: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def readyz(_: Request) -> Response:
        return await readiness.answer()

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def admin_app(readiness: Readiness, registry: CollectorRegistry = REGISTRY) -> Starlette:
    """Build the application of the admin port."""

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return Starlette(routes=[*health_routes(readiness), Route("/metrics", metrics)])
