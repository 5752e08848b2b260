"""An OTLP receiver that keeps the spans it is sent (OTLP specification, "OTLP/HTTP")."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as RawSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from activation_cli.local.ports import LOOPBACK
from tests.support.spans import Span


@dataclass(slots=True)
class Spans:
    """What has arrived so far."""

    url: str
    all: list[Span] = field(default_factory=list)

    def of_trace(self, trace_id: str) -> list[Span]:
        """Return the spans of a trace, oldest first."""
        return sorted(
            (span for span in list(self.all) if span.trace_id == trace_id),
            key=lambda span: span.started_ns,
        )


@contextmanager
def receiving() -> Iterator[Spans]:
    """Receive on a free port until the context ends."""
    spans = Spans(url="")

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            spans.all.extend(_read(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Receiver)
    spans.url = f"http://{LOOPBACK}:{server.server_port}"
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield spans
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _read(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for raw in scope.spans:
                yield Span(
                    service=service,
                    name=raw.name,
                    kind=RawSpan.SpanKind.Name(raw.kind).removeprefix("SPAN_KIND_"),
                    trace_id=raw.trace_id.hex(),
                    span_id=raw.span_id.hex(),
                    parent_id=raw.parent_span_id.hex(),
                    failed=raw.status.code == Status.STATUS_CODE_ERROR,
                    started_ns=raw.start_time_unix_nano,
                    attributes=_attributes(raw.attributes),
                    linked=tuple((one.trace_id.hex(), one.span_id.hex()) for one in raw.links),
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
