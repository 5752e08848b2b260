"""Jaeger as its query API shows it (api_v3: OTLP in JSON, with ids in hexadecimal)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
from opentelemetry.proto.trace.v1.trace_pb2 import Span as RawSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.spans import Span


async def read_trace(url: str, trace_id: str) -> list[Span]:
    """Return the spans of a trace, oldest first; none while Jaeger does not know it."""
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        answer = await http.get(f"{url}/api/v3/traces/{trace_id}")
    if answer.status_code == httpx.codes.NOT_FOUND:
        return []
    assert answer.is_success, answer.text
    return sorted(_spans(answer.json()["result"]), key=lambda span: span.started_ns)


async def find_traces(url: str, service: str, tags: dict[str, str]) -> set[str]:
    """Return the traces with these tags, found as Grafana finds them."""
    asked = {"service": service, "tags": json.dumps(tags)}
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        answer = await http.get(f"{url}/api/traces", params=asked)
    return {trace["traceID"] for trace in answer.json()["data"]}


def _spans(result: dict[str, Any]) -> Iterator[Span]:
    for resource in result["resourceSpans"]:
        service = _attributes(resource["resource"])["service.name"]
        for scope in resource["scopeSpans"]:
            for raw in scope["spans"]:
                yield Span(
                    service=service,
                    name=raw["name"],
                    kind=RawSpan.SpanKind.Name(raw["kind"]).removeprefix("SPAN_KIND_"),
                    trace_id=raw["traceId"],
                    span_id=raw["spanId"],
                    parent_id=raw.get("parentSpanId", ""),
                    failed=raw["status"].get("code") == Status.STATUS_CODE_ERROR,
                    started_ns=int(raw["startTimeUnixNano"]),
                    attributes=_attributes(raw),
                    linked=tuple((one["traceId"], one["spanId"]) for one in raw.get("links", [])),
                )


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {each["key"]: _value(each["value"]) for each in holder.get("attributes", [])}


def _value(value: dict[str, Any]) -> Any:
    [(kind, content)] = value.items()
    return int(content) if kind == "intValue" else content
