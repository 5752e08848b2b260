"""Giving commands in tests, and reading what they print."""

import json
from collections.abc import Callable
from typing import Any, Final

from typer.testing import Result

Command = Callable[..., Result]

UNKNOWN: Final = "0197c1a0-0000-7000-8000-000000000001"  # a task that nobody has


def document(result: Result) -> Any:
    """Read the one JSON document that a command printed."""
    [line] = lines(result)
    return line


def lines(result: Result) -> list[Any]:
    """Read the JSON lines that a command printed; there must be nothing else on stdout."""
    return [json.loads(line) for line in result.stdout.splitlines()]


def submitted(command: Command, equipment: str) -> str:
    """Ask for an activation; gives the task's id."""
    task_id: str = document(command("submit", equipment, "--json"))["taskId"]
    return task_id
