"""Spans as they arrived somewhere, and the tree that they make."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

# One attempt of a task, from the gateway that publishes it to the result.
ATTEMPT: Final = [
    "  gateway: send activation.tasks (PRODUCER)",
    "    worker: process activation.tasks (CONSUMER)",
    "      worker: claim (INTERNAL)",
    "      worker: POST (CLIENT)",
    "        handler: POST /api/v1/equipment/cpe/{equipment} (SERVER)",
    "      worker: finish (INTERNAL)",
]


@dataclass(frozen=True, slots=True)
class Span:
    """One span."""

    service: str
    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    failed: bool
    started_ns: int
    attributes: dict[str, Any]
    linked: tuple[tuple[str, str], ...]


def tree(spans: list[Span]) -> list[str]:
    """Draw a trace: a span on a line, indented below its parent, in the order they began."""

    def draw(parent_id: str, depth: int) -> Iterator[str]:
        for span in spans:
            if span.parent_id == parent_id:
                service = span.service.removeprefix("activation-")
                yield f"{'  ' * depth}{service}: {span.name} ({span.kind})"
                yield from draw(span.span_id, depth + 1)

    known = {span.span_id for span in spans}
    roots = {span.parent_id for span in spans} - known
    return [line for root in roots for line in draw(root, 0)]
