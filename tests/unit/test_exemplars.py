"""Exemplars name spans that somebody can find: recorded here, and kept by the sampler."""

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, TraceFlags

from activation.telemetry.tracing import exemplar

CALLERS = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def span(sampler: Sampler) -> Span:
    return TracerProvider(sampler=sampler).get_tracer("test").start_span("span")


def ids_of(span: Span) -> dict[str, str]:
    of = span.get_span_context()
    return {"trace_id": f"{of.trace_id:032x}", "span_id": f"{of.span_id:016x}"}


def test_a_span_that_is_kept_is_named() -> None:
    """Also when it has ended: a request is measured after its span."""
    kept = span(ALWAYS_ON)

    with trace.use_span(kept):
        during = exemplar()
        kept.end()
        after = exemplar()

    assert during == after == ids_of(kept)


@pytest.mark.parametrize(
    "current",
    [span(ALWAYS_OFF), NonRecordingSpan(CALLERS), trace.INVALID_SPAN],
    ids=["not kept", "the caller's", "none"],
)
def test_no_other_span_is_named(current: Span) -> None:
    """Nobody would find it."""
    with trace.use_span(current):
        assert exemplar() is None
