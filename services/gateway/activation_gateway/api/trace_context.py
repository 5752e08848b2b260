"""The trace that a task belongs to (W3C Trace Context)."""

import re
from collections.abc import Callable
from typing import Final

# Version 00 ends after the flags; what later versions append is not passed on (section 4.3).
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_ALWAYS_VALID: Final = 1  # set in each new id, because one that is all zeros is invalid


def continue_trace(traceparent: str | None, draw_bits: Callable[[int], int]) -> str:
    """Return the trace context of a request, or a new one if it came without a valid one.

    Args:
        traceparent: The header of that name.
        draw_bits: Returns a random number of so many bits.
    """
    if traceparent is not None and _TRACEPARENT.fullmatch(traceparent):
        return f"00{traceparent[2:55]}"
    trace, parent = draw_bits(128) | _ALWAYS_VALID, draw_bits(64) | _ALWAYS_VALID
    return f"00-{trace:032x}-{parent:016x}-01"


def trace_id(traceparent: str) -> str:
    """Return the part that names the trace as a whole."""
    return traceparent[3:35]
