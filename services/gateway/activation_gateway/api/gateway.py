"""How a request reaches its endpoint, and leaves as an answer whatever happens."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from activation_gateway.api.problems import answer_to

Endpoint = Callable[[Request], Awaitable[Response]]


class Gateway(FastAPI):
    """FastAPI with one layer around its router: `Boundary`.

    FastAPI's own five layers serve features that are not used here, at a tenth of the cost of
    accepting a task.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Return the application with its layer; FastAPI's endpoints need the exit stack."""
        return Boundary(AsyncExitStackMiddleware(self.router))


class Boundary:
    """Turns every error into an answer. Each request passes here: the place to measure them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        try:
            await self._app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  # nothing lies above: answered and logged here
            await answer_to(error, Request(scope))(scope, receive, send)


class DirectRoute(APIRoute):
    """Gives its endpoint the bare request and sends what it returns.

    FastAPI's reading of parameters and bodies costs more than all the rest of accepting a task.
    Such an endpoint is documented by hand, in `openapi_extra`.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)

        self.app = serve
