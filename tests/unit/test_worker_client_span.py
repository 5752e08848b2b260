"""The span of a call to the handler."""

import json
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind

from activation.telemetry.tracing import processing
from tests.support.handler_calls import a_claim, client_of
from tests.support.misbehaving_server import Behaviour, answer, send_and_reset, serving
from tests.support.recording import Recording

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OK = {"code": 200, "message": "success"}


async def call(behaviour: Behaviour, recording: Recording, *, user: str = "") -> ReadableSpan:
    """Call a server within a trace; returns the span of the call, once its header is checked."""
    spans = recording(ALWAYS_ON)
    async with serving(behaviour) as server:
        url = server.url.replace("//", f"//{user}")
        async with client_of(url) as handler:
            with processing("activation.tasks", CALLER):
                await handler.activate(a_claim(traceparent=CALLER))
    span, process = spans.get_finished_spans()
    [(head, _)] = server.requests
    assert span.context is not None
    assert span.parent == process.context
    assert f"traceparent: 00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01" in head
    return span


async def test_a_call_tells_what_was_asked_and_answered(recording: Recording) -> None:
    """The handler's own span goes on from it: its id is in the header."""
    span = await call(answer(200, OK), recording)

    described = dict(span.attributes or {})
    url = urlsplit(str(described.pop("url.full")))
    assert (span.name, span.kind, span.status.is_unset) == ("POST", SpanKind.CLIENT, True)
    assert url.path == "/api/v1/equipment/cpe/ABC123"
    assert described == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "server.address": url.hostname,
        "server.port": url.port,
    }


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(answer(503, OK), "503", id="refused"),
        pytest.param(send_and_reset(b"HTTP/1.1 200 OK\r\n"), "unreachable", id="no answer"),
    ],
)
async def test_a_call_that_failed_is_marked(
    behaviour: Behaviour, error: str, recording: Recording
) -> None:
    """By its status, or by why there was none."""
    span = await call(behaviour, recording)

    assert (span.status.is_ok, span.status.is_unset) == (False, False)
    assert (span.attributes or {})["error.type"] == error


async def test_credentials_in_the_handlers_url_are_in_no_span(recording: Recording) -> None:
    """They go to the handler alone."""
    span = await call(answer(200, OK), recording, user="operator:hunter22@")

    assert "hunter22" not in json.dumps(json.loads(span.to_json()))
    assert "ABC123" in str((span.attributes or {})["url.full"])
