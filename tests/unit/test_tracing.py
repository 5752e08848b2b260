"""Which traces are recorded, and what is recorded of a request."""

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBasedTraceIdRatio

from activation.errors import StoreUnavailableError
from activation.telemetry import tracing
from activation.telemetry.tracing import is_sampled, processing, sending
from tests.support.gateway import GatewayUnderTest
from tests.support.recording import Recording

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
RECORDED = f"00-{TRACE}-{PARENT}-01"
LEFT_OUT = f"00-{TRACE}-{PARENT}-00"
QUEUE = "activation.tasks"


def names(spans: InMemorySpanExporter) -> list[str]:
    return [span.name for span in spans.get_finished_spans()]


async def test_a_trace_that_is_left_out_is_left_out_from_the_start(
    gateway: GatewayUnderTest, recording: Recording
) -> None:
    """Whoever carries the task on, and whoever is asked about it, learns that."""
    spans = recording(ParentBasedTraceIdRatio(0))

    task = await gateway.stored(await gateway.submit())

    shown = (await gateway.http.get("/api/v1/tasks")).json()["tasks"][0]
    assert task.traceparent is not None
    assert not is_sampled(task.traceparent)
    assert shown["traceId"] == task.traceparent[3:35]
    assert not shown["traceSampled"]
    assert names(spans) == []


async def test_a_trace_that_the_caller_records_is_recorded(
    gateway: GatewayUnderTest, recording: Recording
) -> None:
    """Whatever the share; the span says what was asked for and what was answered."""
    spans = recording(ParentBasedTraceIdRatio(0))

    await gateway.post({}, traceparent=RECORDED)

    shown = (await gateway.http.get("/api/v1/tasks")).json()["tasks"][0]
    assert shown["traceSampled"]
    assert names(spans) == ["accept", "POST /api/v1/equipment/cpe/{id}"]
    served = spans.get_finished_spans()[-1]
    assert served.parent is not None
    assert f"{served.parent.span_id:016x}" == PARENT
    assert served.status.is_unset
    assert dict(served.attributes or {}) == {
        "activation.task.id": shown["taskId"],
        "activation.equipment.id": shown["equipment"],
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "http.route": "/api/v1/equipment/cpe/{id}",
        "network.protocol.version": "1.1",
        "server.address": "gateway",
        "url.path": f"/api/v1/equipment/cpe/{shown['equipment']}",
        "url.scheme": "http",
    }


async def test_a_trace_that_the_caller_leaves_out_is_left_out(
    gateway: GatewayUnderTest, recording: Recording
) -> None:
    """A part of a trace explains nothing."""
    spans = recording(ParentBasedTraceIdRatio(1))

    await gateway.post({}, traceparent=LEFT_OUT)

    assert names(spans) == []


async def test_an_error_of_the_gateway_fails_the_span(
    gateway: GatewayUnderTest, recording: Recording
) -> None:
    """What the client did wrong does not."""
    spans = recording(ALWAYS_ON)
    gateway.store.errors["accept"] = StoreUnavailableError("gone")

    answers = [await gateway.post({}), await gateway.http.get("/nowhere?password=canary")]

    assert [answer.status_code for answer in answers] == [503, 404]
    *_, refused, unknown = spans.get_finished_spans()
    assert (refused.status.is_ok, refused.status.is_unset) == (False, False)
    assert (refused.attributes or {})["error.type"] == "503"
    assert (unknown.name, unknown.status.is_unset) == ("GET", True)
    assert "canary" not in unknown.to_json()


def test_nothing_is_made_for_a_trace_that_is_left_out(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of a busy system is left out; what goes on is the context."""
    recording(ParentBasedTraceIdRatio(1))
    monkeypatch.setattr(tracing, "_tracer", None)

    with sending(QUEUE, LEFT_OUT, {}) as carried:
        assert carried == LEFT_OUT
    with processing(QUEUE, LEFT_OUT), tracing.step("claim"), tracing.about({"a": "b"}):
        assert tracing.current_traceparent() == LEFT_OUT
        assert not tracing.is_recorded()


def test_a_sampler_that_does_not_follow_callers_is_asked(recording: Recording) -> None:
    """`always_on` means always."""
    spans = recording(ALWAYS_ON)

    with sending(QUEUE, LEFT_OUT, {}), processing(QUEUE, LEFT_OUT):
        pass

    assert names(spans) == [f"process {QUEUE}", f"send {QUEUE}"]


@pytest.mark.parametrize(
    ("flags", "sampled"),
    [("00", False), ("01", True), ("02", False), ("03", True), ("fe", False), ("ff", True)],
)
def test_only_the_lowest_flag_says_whether_a_trace_is_recorded(flags: str, sampled: bool) -> None:
    """The others have other meanings."""
    assert is_sampled(f"00-{TRACE}-{PARENT}-{flags}") == sampled
