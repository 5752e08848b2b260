"""Spans of this process, recorded where tests can read them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

from activation.telemetry import tracing

Recording = Callable[[Sampler], InMemorySpanExporter]


@contextmanager
def recorder() -> Iterator[Recording]:
    """Give what begins to record as a sampler says, until the context ends."""
    providers = []
    with pytest.MonkeyPatch.context() as patch:

        def record(sampler: Sampler) -> InMemorySpanExporter:
            provider, exporter = TracerProvider(sampler=sampler), InMemorySpanExporter()
            provider.add_span_processor(SimpleSpanProcessor(exporter))
            patch.setattr(trace, "_TRACER_PROVIDER", provider)
            patch.setattr(tracing, "_tracer", provider.get_tracer("test"))
            providers.append(provider)
            return exporter

        yield record
    for provider in providers:
        provider.shutdown()
