"""The span of a request (OpenTelemetry semantic conventions, "HTTP spans").

Made here and not by FastAPI, whose own takes CPU also of a request whose trace is left out.
"""

from contextlib import AbstractContextManager, nullcontext
from http import HTTPMethod, HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from activation.telemetry.tracing import (
    Attributes,
    describe,
    fail,
    is_recorded,
    is_recording,
    rename,
    serving,
)

_METHODS: Final = frozenset(HTTPMethod)
_NOTHING: Final = nullcontext()


def receiving(scope: Scope) -> AbstractContextManager[object]:
    """Record what is done for a request, in the trace of its caller."""
    if not is_recording():
        return _NOTHING
    return serving(_method(scope), Headers(scope=scope))


def describe_answer(scope: Scope, route: str | None, status: int) -> None:
    """Say in the span of a request what was asked for, and what was answered.

    Args:
        scope: The request.
        route: The template of its address; None: it is nobody's.
        status: That of the answer.
    """
    if not is_recorded():
        return
    if route is not None:
        rename(f"{_method(scope)} {route}")
        describe({"http.route": route})
    describe({**_asked(scope), "http.response.status_code": status})
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        fail(str(status))


def _asked(scope: Scope) -> Attributes:
    """Describe a request, without its query: what clients write there may be secret."""
    method = scope["method"]
    asked: dict[str, str | int] = {
        "http.request.method": method if method in _METHODS else "_OTHER",
        "network.protocol.version": scope["http_version"],
        "url.scheme": scope["scheme"],
        "url.path": scope["path"],
    }
    if method not in _METHODS:
        asked["http.request.method_original"] = method
    address, port = scope.get("server") or (None, None)
    if address is not None:
        asked["server.address"] = address
    if port is not None:
        asked["server.port"] = port
    return asked


def _method(scope: Scope) -> str:
    """Name the method as it stands in the name of a span."""
    return scope["method"] if scope["method"] in _METHODS else "HTTP"
