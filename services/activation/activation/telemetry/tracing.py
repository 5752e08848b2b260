"""Traces: one for each task, from the request through the broker to the handler and back.

The W3C trace context of the request is stored with its task, so that whoever publishes the task, in
whatever process and after whatever outage, goes on with the same trace. Where traces go, and how
many are kept, say OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_TRACES_SAMPLER`, ...: OpenTelemetry specification, "Environment variables"). Without an
endpoint nothing is recorded, and a caller's context is passed on all the same.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from functools import cache
from importlib.metadata import version
from typing import Final, cast

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from activation.telemetry.logging import get_logger

log = get_logger()

TASK_ID: Final = "activation.task.id"
MESSAGE_ID: Final = "messaging.message.id"
EQUIPMENT: Final = "activation.equipment.id"
ATTEMPT: Final = "activation.attempt"
OUTCOME: Final = "activation.outcome"
WAITED_S: Final = "activation.queue.wait_s"

Attributes = Mapping[str, AttributeValue]

_FLUSH_S: Final = 3.0
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

_ABOUT: Final = context.create_key("activation.about")

# Where nothing is recorded, a span that nobody sees costs a tenth of accepting a task.
_NOTHING: Final = nullcontext()
_NOT_SAMPLED: Final = frozenset("02468ace")  # last digits of trace flags without their lowest bit

_propagator: Final = TraceContextTextMapPropagator()
_tracer: Final = trace.get_tracer("activation", version("activation"))


@asynccontextmanager
async def tracing(service: str, *, instance: str) -> AsyncIterator[None]:
    """Record and send the spans of this process while the context lasts.

    Spans are sent by a thread of their own and dropped when they cannot be delivered: telemetry
    never slows or stops the work.

    Args:
        service: The name of the service, as `activation-gateway`.
        instance: The name of this pod or process.
    """
    if not _wanted():
        trace.set_tracer_provider(trace.NoOpTracerProvider())
        yield
        return
    resource = Resource.create(
        {
            "service.namespace": "activation",
            "service.name": os.environ.get("OTEL_SERVICE_NAME", service),
            "service.instance.id": instance,
            "service.version": version("activation"),
        }
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(_About())
    provider.add_span_processor(BatchSpanProcessor(_exporter()))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        await _flush(provider)


def _exporter() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415  # where nobody listens: 2 MiB

    return OTLPSpanExporter()


async def _flush(provider: TracerProvider) -> None:
    """Send what is left, for a few seconds at most.

    In a thread that nobody waits for at the end of the process: the exporter has no deadline.
    """
    loop, flushed = asyncio.get_running_loop(), asyncio.Event()

    def flush() -> None:
        provider.shutdown()
        with suppress(RuntimeError):  # too late: the loop is closed
            loop.call_soon_threadsafe(flushed.set)

    threading.Thread(target=flush, name="flush spans", daemon=True).start()
    try:
        async with asyncio.timeout(_FLUSH_S):
            await flushed.wait()
    except TimeoutError:
        log.warning("spans_not_sent", limit_s=_FLUSH_S)


def _wanted() -> bool:
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp") == "none":
        return False
    return any(os.environ.get(name) for name in _ENDPOINTS)


def is_recording() -> bool:
    """Tell whether spans of this process are recorded at all."""
    return isinstance(trace.get_tracer_provider(), TracerProvider)


def is_recorded() -> bool:
    """Tell whether the work under way is recorded: its trace may have been left out."""
    return trace.get_current_span().is_recording()


def is_sampled(traceparent: str) -> bool:
    """Tell whether a trace is recorded by those who came before (W3C Trace Context, 3.2.2.5)."""
    return traceparent[54:55] not in _NOT_SAMPLED


def _may_record(traceparent: str | None) -> bool:
    """Tell whether the sampler has to be asked.

    What it is sure to leave out must cost next to nothing: that is most of a busy system.
    """
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        return False
    follows = isinstance(provider.sampler, ParentBased)
    return traceparent is None or not follows or is_sampled(traceparent)


def current_traceparent() -> str | None:
    """Return the context of the current span as a `traceparent` header; None outside of any."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def exemplar() -> dict[str, str] | None:
    """Return the ids of the current span for an exemplar; None unless it is recorded and kept.

    A span that has ended counts, too.
    """
    span = trace.get_current_span()
    of = span.get_span_context()
    if not isinstance(span, Span) or not of.trace_flags.sampled:
        return None
    return {
        "trace_id": trace.format_trace_id(of.trace_id),
        "span_id": trace.format_span_id(of.span_id),
    }


def describe(attributes: Attributes) -> None:
    """Add attributes to the current span."""
    trace.get_current_span().set_attributes(attributes)


def about(attributes: Attributes) -> AbstractContextManager[None]:
    """Add attributes to the current span, and to all that begin while the context lasts."""
    return _describing(attributes) if is_recorded() else _NOTHING


@contextmanager
def _describing(attributes: Attributes) -> Iterator[None]:
    describe(attributes)
    token = context.attach(context.set_value(_ABOUT, {**_about(), **attributes}))
    try:
        yield
    finally:
        context.detach(token)


class _About(SpanProcessor):
    """Gives each new span the attributes of `about`."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if described := _about(parent_context):
            span.set_attributes(described)


def _about(within: Context | None = None) -> Attributes:
    return cast("Attributes", context.get_value(_ABOUT, within) or {})


def link(traceparent: str | None) -> None:
    """Link the current span to another trace, where there is one."""
    if traceparent is not None:
        other = trace.get_current_span(_context(traceparent)).get_span_context()
        trace.get_current_span().add_link(other)


def fail(reason: str, message: str | None = None) -> None:
    """Mark the current span as failed, for a reason of few different values."""
    span = trace.get_current_span()
    span.set_attribute("error.type", reason)
    span.set_status(Status(StatusCode.ERROR, message))


def step(name: str) -> AbstractContextManager[object]:
    """Record a part of the work under way."""
    if not is_recorded():
        return _NOTHING
    return trace.use_span(_tracer.start_span(name), end_on_exit=True)


def calling(name: str, attributes: Attributes) -> AbstractContextManager[object]:
    """Record a request to another system, as a part of the work under way."""
    span = _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)
    return trace.use_span(span, end_on_exit=True)


def serving(name: str, headers: Mapping[str, str]) -> AbstractContextManager[object]:
    """Record what a server does for one request, in the trace of its caller.

    Name: OpenTelemetry semantic conventions, "HTTP spans"; attributes are for `describe`.
    """
    within = _propagator.extract(headers, context=Context())
    if not is_recording():
        return _within(within)
    span = _tracer.start_span(name, context=within, kind=SpanKind.SERVER)
    return trace.use_span(span, end_on_exit=True)


def rename(name: str) -> None:
    """Give the current span a name that was not known when it began."""
    trace.get_current_span().update_name(name)


def sending(
    queue: str, traceparent: str | None, attributes: Attributes
) -> AbstractContextManager[str | None]:
    """Record a publication, and yield the `traceparent` that the message carries.

    Names and attributes: OpenTelemetry semantic conventions, "Messaging spans" and "RabbitMQ".
    """
    if not _may_record(traceparent):
        return nullcontext(traceparent)
    return _sending(queue, traceparent, attributes)


@contextmanager
def _sending(queue: str, traceparent: str | None, attributes: Attributes) -> Iterator[str | None]:
    span = _tracer.start_span(
        f"send {queue}",
        context=_context(traceparent),
        kind=SpanKind.PRODUCER,
        attributes={**_messaging("send", queue), **attributes},
    )
    with trace.use_span(span, end_on_exit=True):
        yield current_traceparent()


def processing(queue: str, traceparent: str | None) -> AbstractContextManager[object]:
    """Record what is done with a delivery: its parent is the publication, and linked as well.

    The conventions ask for the link; the parent keeps all of a task in one trace.
    """
    published = _context(traceparent)
    if not _may_record(traceparent):
        return _within(published)
    creation = trace.get_current_span(published).get_span_context()
    span = _tracer.start_span(
        f"process {queue}",
        context=published,
        kind=SpanKind.CONSUMER,
        attributes=_messaging("process", queue),
        links=[Link(creation)] if creation.is_valid else [],
    )
    return trace.use_span(span, end_on_exit=True)


@contextmanager
def _within(caller: Context) -> Iterator[None]:
    """Pass a trace on without a span in it."""
    token = context.attach(caller)
    try:
        yield
    finally:
        context.detach(token)


@cache
def _messaging(operation: str, queue: str) -> Attributes:
    return {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.rabbitmq.destination.routing_key": queue,
    }


def _context(traceparent: str | None) -> Context:
    """Read a header into a context of its own, whatever the current one is."""
    carrier = {} if traceparent is None else {"traceparent": traceparent}
    return _propagator.extract(carrier, context=Context())
