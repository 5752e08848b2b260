"""Times, states and reasons in words."""

import re
from datetime import datetime
from typing import Final

from activation.domain.outcome import Reason
from activation.domain.target import Standing
from activation.domain.task import State, Waiting
from activation_cli.documents import Task, moment

_MINUTE_S: Final = 60
_HOUR_S: Final = 60 * _MINUTE_S
_DAY_S: Final = 24 * _HOUR_S

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

_WAITING: Final = {
    Waiting.FOR_DEVICE: "waits for an older task of its device",
    Waiting.FOR_SHARE: "waits for older tasks of its caller",
    Waiting.FOR_BROKER: "waits for RabbitMQ",
    Waiting.FOR_WORKER: "waits for a worker",
}

STANDINGS: Final[dict[str, str]] = {
    Standing.CLOSED: "it is called",
    Standing.OPEN: "it is not called for now",
    Standing.HALF_OPEN: "one call at a time tries it",
    Standing.PAUSED: "no new call begins until somebody resumes",
}


def plain(text: str | None) -> str:
    """Return a text of others without control characters: they could rewrite the terminal."""
    return _CONTROL.sub(" ", text or "")


def span(seconds: float) -> str:
    """Say how long something takes, short enough for a column."""
    if seconds < 10:  # noqa: PLR2004  # tenths matter below ten seconds
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 2 * _MINUTE_S:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR_S:
        return f"{seconds / _MINUTE_S:.0f} min"
    if seconds < 2 * _DAY_S:
        return f"{seconds / _HOUR_S:.0f} h"
    return f"{seconds / _DAY_S:.0f} d"


def between(start: str | None, end: str | None, now: datetime) -> str:
    """Say how long something took, or takes until now; nothing if it has not begun."""
    begun = moment(start)
    if begun is None:
        return ""
    return span(((moment(end) or now) - begun).total_seconds())


def at(text: str | None) -> str:
    """Write one of the gateway's times for people, in their own time zone."""
    when = moment(text)
    return "" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S %z}"


def clock_time(text: str) -> str:
    """Write the time of day of one of the gateway's times, with milliseconds."""
    when = moment(text)
    return "" if when is None else f"{when.astimezone():%H:%M:%S.%f}"[:-3]


def standing(task: Task, now: datetime) -> str:
    """Say where a task stands, and what it waits for if it waits."""
    state = plain(task["state"])
    if task.get("deadLetter"):
        return f"{state}, dead letter"
    if task.get("cancelRequested") and state == State.RUNNING:
        return f"{state}, to be cancelled if this attempt does not succeed"
    waiting = task.get("waitingFor")
    if waiting == Waiting.FOR_RETRY:
        due = moment(task.get("notBefore"))
        return f"{state}, tried again in {span((due - now).total_seconds())}" if due else state
    return f"{state}, {_WAITING[Waiting(waiting)]}" if waiting in _WAITING else state


def words(name: str | None) -> str:
    """Write the name of a state, an event or a reason for people."""
    return plain(name).replace("_", " ")


def why(reason: str | None, detail: str | None) -> str:
    """Join a reason and its words; a success needs none."""
    if reason == Reason.COMPLETED:
        return ""
    return ": ".join(part for part in (words(reason), plain(detail)) if part)
