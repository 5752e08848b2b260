"""Reading the parameters of a request; what they hold is never printed, for it may be secret."""

import json
import sys
from collections.abc import Sequence
from getpass import getpass
from pathlib import Path
from typing import Any

from activation_cli.exits import CommandError, Exit


def read_value(text: str) -> Any:
    """Return what a text means: JSON where it is JSON, otherwise the text itself."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return text


def read_parameters(items: Sequence[str]) -> dict[str, Any]:
    """Read `name=value` items.

    A value `@FILE` is the content of a file, and `-` is asked for without echo, or read from
    standard input where that is no terminal.

    Raises:
        CommandError: An item is malformed, or its file cannot be read.
    """
    parameters: dict[str, Any] = {}
    for number, item in enumerate(items, start=1):
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise _fault(number, "needs the form NAME=VALUE")
        if name in parameters:
            raise _fault(number, f"gives {name!r} again")
        parameters[name] = _resolve(number, name, value)
    return parameters


def _resolve(number: int, name: str, value: str) -> Any:
    if value == "-":
        value = getpass(f"{name}: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    elif value.startswith("@"):
        try:
            value = Path(value[1:]).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise _fault(number, f"cannot read {value[1:]!r} for {name!r}: {reason}") from error
    if _has_surrogates(value):
        raise _fault(number, f"the value of {name!r} is not UTF-8")
    return read_value(value)


def _fault(number: int, problem: str) -> CommandError:
    return CommandError(f"--param number {number}: {problem}", Exit.USAGE)


def _refuse_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity: Python reads them, but they are no JSON (RFC 8259)


def _has_surrogates(text: str) -> bool:
    """Tell whether bytes of the command line could not be read as UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in text)
