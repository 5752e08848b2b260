"""The gateway's JSON documents, as far as the command line reads them."""

from datetime import datetime
from typing import Any, TypedDict

from activation.domain.task import ENDED, State
from activation_cli.exits import Exit


class Event(TypedDict, total=False):
    """One step in the history of a task."""

    at: str
    name: str
    attempt: int
    worker: str | None
    reason: str | None
    detail: str | None
    notBefore: str | None


class Attempt(TypedDict, total=False):
    """One try of a task at the handler."""

    number: int
    worker: str | None
    startedAt: str
    endedAt: str | None
    result: str | None
    reason: str | None
    detail: str | None


class Task(TypedDict, total=False):
    """A task; events and attempts are there when it was asked for by its id."""

    code: int
    message: str
    taskId: str
    equipment: str
    state: str
    waitingFor: str | None
    reason: str | None
    detail: str | None
    attempt: int
    maxAttempts: int
    timeoutInSeconds: int
    parameters: dict[str, Any]
    acceptedAt: str
    startedAt: str | None
    finishedAt: str | None
    notBefore: str | None
    cancelRequested: bool
    deadLetter: bool
    worker: str | None
    traceId: str | None
    traceSampled: bool
    events: list[Event]
    attempts: list[Attempt]


class Acceptance(TypedDict):
    """The answer to a request that is durable now."""

    code: int
    taskId: str


class Page(TypedDict):
    """Tasks of one page, newest first, and the cursor of the next one."""

    tasks: list[Task]
    cursor: str | None


class Outbox(TypedDict):
    """Tasks whose message is due and not confirmed."""

    unpublished: int
    ageSeconds: float


class Queue(TypedDict):
    """RabbitMQ as the gateway sees it; the numbers are None while it cannot look."""

    connected: bool
    ready: int | None
    consumers: int | None
    dead: int | None


class Status(TypedDict):
    """The system at a glance."""

    counts: dict[str, int]
    deadLetters: int
    outbox: Outbox
    oldestQueuedSeconds: float
    queue: Queue


class Target(TypedDict):
    """Whether the provisioning system is called."""

    state: str
    why: str | None
    heldUntil: str | None
    openings: int
    prober: str | None
    pausedAt: str | None
    underWay: int
    limit: int | None
    maxCalls: int | None
    overloadedAt: str | None


def has_ended(task: Task) -> bool:
    """Tell whether nothing more will happen to a task by itself."""
    return task["state"] in ENDED


def exit_for(task: Task) -> Exit:
    """Say what a command that waited for a task ends with."""
    if not has_ended(task):
        return Exit.STILL_RUNNING
    return Exit.DONE if task["state"] == State.SUCCEEDED else Exit.FAILED


def moment(text: str | None) -> datetime | None:
    """Read one of the gateway's times (RFC 3339)."""
    return None if text is None else datetime.fromisoformat(text)
