"""How a request reaches its endpoint, and leaves as an answer whatever happens."""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPMethod
from time import perf_counter
from typing import Any, Final

from fastapi import FastAPI
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from activation.telemetry.tracing import exemplar
from activation_gateway.api.problems import answer_to
from activation_gateway.api.server_span import describe_answer, receiving
from activation_gateway.metrics import REQUEST_DURATION

_METHODS: Final = frozenset(HTTPMethod)
_OTHER: Final = "other"  # what clients make up must not make series
_UNANSWERED: Final = 500  # the server's own answer for a request that gets none

Endpoint = Callable[[Request], Awaitable[Response]]


class Gateway(FastAPI):
    """FastAPI with one layer around its router: `Boundary`.

    FastAPI's own five layers serve features that are not used here, at a tenth of the cost of
    accepting a task.
    """

    def build_middleware_stack(self) -> ASGIApp:
        """Return the application with its layer; FastAPI's endpoints need the exit stack."""
        return Boundary(AsyncExitStackMiddleware(self.router), self.routes)


class Boundary:
    """Turns every error into an answer; measures and traces each request.

    Args:
        app: What serves.
        routes: Name what was asked for: a route is one, however many addresses it has.
    """

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._templates: dict[Any, str] = {
            route.endpoint if isinstance(route, Route) else route.app: route.path_format
            for route in routes
            if isinstance(route, Route | Mount)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        with receiving(scope):
            await self._pass_on(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = _UNANSWERED

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        begun = perf_counter()
        try:
            await self._app(scope, receive, watch)
        except Exception as error:  # noqa: BLE001  # nothing lies above: answered and logged here
            await answer_to(error, Request(scope))(scope, receive, watch)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else _OTHER
            route = self._templates.get(scope.get("endpoint"))
            describe_answer(scope, route, status)
            measured = REQUEST_DURATION.labels(method, route or _OTHER, status)
            measured.observe(perf_counter() - begun, exemplar())


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
