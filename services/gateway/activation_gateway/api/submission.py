"""What a client asks for: the body of a POST, by the rules of the contract."""

import json
import math
from dataclasses import dataclass
from typing import Any, Final

from activation_gateway.api.body import pointer, walk
from activation_gateway.api.problems import Fault, invalid

SHORTEST_TIMEOUT_S: Final = 1
LONGEST_TIMEOUT_S: Final = 900
DEFAULT_TIMEOUT_S: Final = 60

_MEMBERS: Final = frozenset({"timeoutInSeconds", "parameters"})

_write = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that obeys the rules.

    Attributes:
        timeout_s: How long one attempt may take.
        parameters: What the handler shall be told.
        parameters_json: The same as compact JSON in ASCII.
    """

    timeout_s: int
    parameters: dict[str, Any]
    parameters_json: str


def read_submission(body: Any) -> Submission:
    """Check a body.

    Raises:
        ProblemError: 422, with all faults.
    """
    if not isinstance(body, dict):
        raise invalid([Fault("must be an object", pointer=pointer(()))])
    faults = [
        Fault("is not known", pointer=pointer((name,))) for name in body if name not in _MEMBERS
    ]
    timeout_s = _read_timeout(body.get("timeoutInSeconds", DEFAULT_TIMEOUT_S), faults)
    parameters = _read_parameters(body.get("parameters", {}), faults)
    if faults:
        raise invalid(faults)
    try:
        return Submission(timeout_s, parameters, _write(parameters))
    except ValueError:  # JSON has no infinity, but 1e999 is one when it is read
        raise invalid(
            Fault("is too large a number", pointer=pointer(path))
            for path, value in walk(body)
            if isinstance(value, float) and math.isinf(value)
        ) from None


def _read_timeout(value: Any, faults: list[Fault]) -> int:
    """Take what JSON Schema calls an integer: 60 and 60.0, but not true."""
    is_integer = type(value) is int or (type(value) is float and value.is_integer())
    if is_integer and SHORTEST_TIMEOUT_S <= value <= LONGEST_TIMEOUT_S:
        return int(value)
    faults.append(
        Fault(
            f"must be an integer from {SHORTEST_TIMEOUT_S} to {LONGEST_TIMEOUT_S}",
            pointer="/timeoutInSeconds",
        )
    )
    return DEFAULT_TIMEOUT_S


def _read_parameters(value: Any, faults: list[Fault]) -> dict[str, Any]:
    """Take an object, or the older form: a list of objects with one member each."""
    if isinstance(value, dict):
        return value
    merged: dict[str, Any] = {}
    if not isinstance(value, list):
        faults.append(Fault("must be an object", pointer="/parameters"))
        return merged
    for place, element in enumerate(value):
        path = ("parameters", place)
        if not isinstance(element, dict) or len(element) != 1:
            detail = "must be an object with a single member"
            faults.append(Fault(detail, pointer=pointer(path)))
        elif element.keys() & merged.keys():
            faults.append(Fault("is given twice", pointer=pointer((*path, *element))))
        else:
            merged.update(element)
    return merged
