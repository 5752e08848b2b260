"""Tasks, their stories and the system as Rich draws them."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from activation.domain.target import Standing
from activation.domain.task import State
from activation_cli.documents import Attempt, Event, Status, Target, Task, has_ended, moment
from activation_cli.wording import (
    STANDINGS,
    at,
    between,
    clock_time,
    plain,
    span,
    standing,
    why,
    words,
)

_STYLES: Final[dict[str, str]] = {
    State.QUEUED: "yellow",
    State.RUNNING: "cyan",
    State.SUCCEEDED: "green",
    State.FAILED: "red",
    State.CANCELLED: "magenta",
}

_ID_WIDTH: Final = 36  # an id that is cut cannot be used


def styled(text: str, state: str) -> Text:
    """Return a text in the colour of a state."""
    return Text(text, style=_STYLES.get(state, ""))


def headline(task: Task, now: datetime) -> Text:
    """Return one line: which task, of what, and where it stands."""
    line = Text.assemble((task["taskId"], "bold"), "  ", plain(task["equipment"]), "  ")
    line.append_text(progress(task, now))
    reason = why(task.get("reason"), task.get("detail"))
    return line.append(f"  {reason}") if reason else line


def progress(task: Task, now: datetime) -> Text:
    """Return where a task stands, and for how long it has been there."""
    took = between(task["acceptedAt"], task.get("finishedAt"), now)
    since = f" after {took}" if has_ended(task) else f", {took} since accepted"
    return styled(standing(task, now), task["state"]).append(since, "dim")


def event_line(event: Event) -> str:
    """One event as a line of text."""
    parts = [
        clock_time(event["at"]),
        words(event["name"]),
        f"attempt {event['attempt']}" if event["attempt"] else "",
        plain(event.get("worker")),
        _event_reason(event),
    ]
    return "  ".join(part for part in parts if part)


def events(history: Iterable[Event]) -> Table:
    """What has happened to a task."""
    table = _table("", "event", "attempt", "worker", "why", show_header=False)
    for event in history:
        table.add_row(
            Text(clock_time(event["at"]), "dim"),
            words(event["name"]),
            Text(f"attempt {event['attempt']}" if event["attempt"] else "", "dim"),
            Text(plain(event.get("worker")), "dim"),
            _event_reason(event),
        )
    return table


def attempts(tries: Iterable[Attempt], now: datetime) -> Table:
    """The tries of a task at the handler."""
    table = _table("attempt", "worker", "began", "took", "result", "why")
    for attempt in tries:
        table.add_row(
            str(attempt["number"]),
            plain(attempt.get("worker")),
            clock_time(attempt["startedAt"]),
            between(attempt["startedAt"], attempt.get("endedAt"), now),
            words(attempt.get("result") or "running"),
            why(attempt.get("reason"), attempt.get("detail")),
        )
    return table


def story(task: Task, now: datetime) -> RenderableType:
    """All there is to know about a task."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    limit = task.get("maxAttempts")
    rows = {
        "task": Text(task["taskId"], "bold"),
        "equipment": Text(plain(task["equipment"])),
        "state": styled(standing(task, now), task["state"]),
        "why": Text(why(task.get("reason"), task.get("detail"))),
        "attempts": Text(f"{task['attempt']} of {limit}" if limit else str(task["attempt"])),
        "timeout": Text(f"{task['timeoutInSeconds']} s an attempt"),
        "accepted": Text(at(task["acceptedAt"])),
        "started": Text(at(task.get("startedAt"))),
        "ended": Text(_ended(task, now)),
        "worker": Text(plain(task.get("worker"))),
        "trace": Text(plain(task.get("traceId"))),
        "parameters": Text(json.dumps(task.get("parameters", {}), ensure_ascii=True)),
    }
    for name, text in rows.items():
        if text.plain:
            facts.add_row(name, text)
    parts: list[RenderableType] = [facts, "", Text("events", "bold"), events(task["events"])]
    if task["attempts"]:
        parts += ["", Text("attempts", "bold"), attempts(task["attempts"], now)]
    return Group(*parts)


def listing(tasks: Sequence[Task], now: datetime, *, cut: bool) -> Table:
    """Tasks as a table, one line each; cut to the width of the screen where there is one."""
    table = _table("task", "equipment", "state", "tries", "age", "why")
    table.expand = cut
    identity, *_, reason = table.columns
    identity.min_width = _ID_WIDTH
    reason.no_wrap, reason.ratio = True, 1  # with a ratio it gives way first
    for task in tasks:
        table.add_row(
            task["taskId"],
            plain(task["equipment"]),
            styled(plain(task["state"]), task["state"]),
            str(task["attempt"]),
            between(task["acceptedAt"], None, now),
            _list_reason(task, now),
        )
    return table


def status(found: Status, url: str) -> Table:
    """The system at a glance."""
    outbox, queue = found["outbox"], found["queue"]
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(justify="right")
    facts.add_column()
    facts.add_row("gateway", "", url)
    for state, count in found["counts"].items():
        oldest = state == State.QUEUED and count
        note = f"the oldest for {span(found['oldestQueuedSeconds'])}" if oldest else ""
        facts.add_row(plain(state), styled(str(count), state if count else ""), note)
    dead = found["deadLetters"]
    facts.add_row(
        "dead letters",
        Text(str(dead), "bold red" if dead else ""),
        "see `activation dead-letters list`" if dead else "",
    )
    unpublished = outbox["unpublished"]
    age = f"the oldest for {span(outbox['ageSeconds'])}" if unpublished else ""
    facts.add_row("outbox", str(unpublished), age)
    if not queue["connected"]:
        facts.add_row("queue", Text("?", "red"), Text("RabbitMQ is out of reach", "red"))
        return facts
    facts.add_row("queue", str(queue["ready"]), f"for {queue['consumers']} consumers")
    facts.add_row("unreadable", str(queue["dead"]), "messages in the dead queue")
    return facts


def target(found: Target, now: datetime) -> Table:
    """Whether the provisioning system is called."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    state = found["state"]
    called = state == Standing.CLOSED
    meaning = STANDINGS.get(state, "")
    facts.add_row("target", Text(f"{words(state)}: {meaning}", "green" if called else "yellow"))
    until = moment(found["heldUntil"])
    if until is not None:
        left = span((until - now).total_seconds())
        facts.add_row("until", f"{at(found['heldUntil'])}, in {left}")
    rows = {
        "why": plain(found["why"]),
        "openings": str(found["openings"] or ""),
        "tried by": plain(found["prober"]),
        "paused": at(found["pausedAt"]),
        "calls": _calls(found),
        "too many": at(found.get("overloadedAt")),
        "to go on": "" if called else "`activation target resume`",
    }
    for name, text in rows.items():
        if text:
            facts.add_row(name, Text(text))
    return facts


def _calls(found: Target) -> str:
    limit = found.get("limit")  # not told by a gateway of an older version
    if limit is None:
        return ""
    allowed = found["maxCalls"]
    return f"{found['underWay']} of {limit}" + (f", at most {allowed}" if allowed else "")


def _table(*columns: str, show_header: bool = True) -> Table:
    table = Table(box=None, pad_edge=False, show_header=show_header, header_style="dim")
    *most, last = columns
    for name in most:
        table.add_column(name, no_wrap=True)
    table.add_column(last)
    return table


def _ended(task: Task, now: datetime) -> str:
    finished = task.get("finishedAt")
    if finished is None:
        return ""
    return f"{at(finished)}, after {between(task['acceptedAt'], finished, now)}"


def _event_reason(event: Event) -> str:
    reason = why(event.get("reason"), event.get("detail"))
    later = event.get("notBefore")
    return f"{reason}; next at {clock_time(later)}" if later else reason


def _list_reason(task: Task, now: datetime) -> str:
    reason = why(task.get("reason"), task.get("detail"))
    return reason if has_ended(task) else standing(task, now).partition(", ")[2]
