"""A task's story in sentences: what it waited for, what each attempt met, and what to do now."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from activation.domain.outcome import ASKED, REASONS, Meaning, Reason
from activation.domain.target import Standing
from activation.domain.task import EventName, State
from activation_cli.documents import Attempt, Event, Target, Task, has_ended, moment
from activation_cli.wording import STANDINGS, at, between, clock_time, plain, standing, why

_ADVICE: Final = {
    Reason.UNKNOWN_EQUIPMENT: "Check the serial number: the provisioning system has no such "
    "device.",
    Reason.REFUSED: "Correct the request: the provisioning system will refuse it again as it is.",
    Reason.PROVISIONING_ERROR: "Ask those who run the provisioning system; then try it again with "
    "`activation dead-letters replay`, or submit it anew.",
    Reason.OVERLOADED: "The provisioning system is overloaded. When it has recovered: "
    "`activation dead-letters replay`.",
    Reason.UNAVAILABLE: "The provisioning system is not available. When it is back: "
    "`activation dead-letters replay`.",
    Reason.UNREACHABLE: "No connection to the provisioning system. Look at the network and its "
    "address; then `activation dead-letters replay`.",
    Reason.UNREADABLE: "The provisioning system, or a proxy before it, answers with something "
    "unreadable. When that is mended: `activation dead-letters replay`.",
    Reason.NO_ANSWER: "The device may be activated although no answer came. Ask the provisioning "
    "system before you replay; a repeat carries the same key.",
    Reason.LOCKED: "Put the missing key back into the file that ACTIVATION_ENCRYPTION_KEYS_FILE "
    "names to gateways and workers; the task then goes on by itself.",
    Reason.WORKER_LOST: "The device may be activated: workers died during the calls. Look at why "
    "they died, then `activation dead-letters replay`.",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of a task, and why.

    Attributes:
        sentences: In the order in which it happened.
        advice: What a person can do now; None if there is nothing to do.
        trace: The address of its trace, or the trace's id where no address is known; None if it
            was not recorded.
    """

    task_id: str
    sentences: list[str]
    advice: str | None
    trace: str | None


def explain(
    task: Task,
    before: Sequence[Task],
    now: datetime,
    trace_url: str,
    target: Target | None = None,
) -> Explanation:
    """Tell the story of a task.

    Args:
        task: With its events and attempts.
        before: Tasks of the same device that were accepted earlier.
        now: The time.
        trace_url: Where traces are shown, with `{trace_id}` in it; empty if nowhere.
        target: Whether the provisioning system is called; None where that does not matter.
    """
    trace_id = plain(task.get("traceId")) if task.get("traceSampled", True) else ""
    address = trace_url.replace("{trace_id}", trace_id) if trace_id and trace_url else trace_id
    sentences = [*_sentences(task, before, now), *_held_back(target)]
    return Explanation(task["taskId"], sentences, _advice(task), address or None)


def _sentences(task: Task, before: Sequence[Task], now: datetime) -> Iterator[str]:
    yield (
        f"Accepted at {at(task['acceptedAt'])} for the device {plain(task['equipment'])}; "
        f"one attempt may take {task['timeoutInSeconds']} s."
    )
    yield from _first_wait(task, before, now)
    tries = {attempt["number"]: attempt for attempt in task["attempts"]}
    for event in task["events"]:
        match event["name"]:
            case EventName.STARTED if event["attempt"] in tries:
                yield _attempt(tries[event["attempt"]], now)
            case EventName.RETRY_SCHEDULED:
                yield _pause(event)
            case EventName.CANCEL_REQUESTED:
                yield f"At {clock_time(event['at'])} somebody asked to make no further attempt."
            case EventName.REPLAYED:
                yield f"At {clock_time(event['at'])} an operator queued it again."
    yield _end(task, now)


def _first_wait(task: Task, before: Sequence[Task], now: datetime) -> Iterator[str]:
    """Say how long it took until the first attempt, and because of which other task."""
    if not task["attempts"]:
        return
    accepted, started = task["acceptedAt"], task["attempts"][0]["startedAt"]
    ends = [(end, older["taskId"]) for older in before if (end := older.get("finishedAt"))]
    held_up = [end for end in ends if _between(accepted, end[0], started)]
    if not held_up:
        yield f"It waited {between(accepted, started, now)} for a worker."
        return
    freed, older = max(held_up)
    yield (
        f"It waited {between(accepted, freed, now)} for task {older} of the same device to end, "
        f"then {between(freed, started, now)} for a worker."
    )


def _between(start: str, time: str, end: str) -> bool:
    first, middle, last = moment(start), moment(time), moment(end)
    return first is not None and middle is not None and last is not None and first < middle <= last


def _attempt(attempt: Attempt, now: datetime) -> str:
    took = between(attempt["startedAt"], attempt.get("endedAt"), now)
    opening = (
        f"Attempt {attempt['number']} began at {clock_time(attempt['startedAt'])} "
        f"on {plain(attempt.get('worker')) or 'an unknown worker'}"
    )
    reason = why(attempt.get("reason"), attempt.get("detail"))
    match attempt.get("result"):
        case None:
            return f"{opening} and has been running for {took}."
        case EventName.SUCCEEDED:
            detail = plain(attempt.get("detail"))
            told = f" {detail}." if detail.startswith(ASKED) else ""
            return f"{opening} and succeeded after {took}.{told}"
        case EventName.HANDED_BACK:
            return f"{opening}; after {took} the worker was stopped, and handed it back at no cost."
        case EventName.LEASE_EXPIRED:
            return (
                f"{opening}, and its outcome is unknown: "
                f"after {took} without a sign of that worker it was taken for dead."
            )
        case EventName.RETRY_SCHEDULED | EventName.FAILED if _is_unknown(attempt.get("reason")):
            return f"{opening} and ended after {took} with its outcome unknown: {reason}."
        case _:
            return f"{opening} and failed after {took}: {reason}."


def _is_unknown(reason: str | None) -> bool:
    return reason in list(Reason) and REASONS[Reason(reason)] is Meaning.UNKNOWN


def _pause(event: Event) -> str:
    due = event.get("notBefore")
    return f"It was to be tried again at {clock_time(due)}." if due else "It was queued again."


def _end(task: Task, now: datetime) -> str:
    took = between(task["acceptedAt"], task.get("finishedAt"), now)
    if not has_ended(task):
        return f"It is {standing(task, now)}, {took} after it was accepted."
    match task["state"]:
        case State.SUCCEEDED:
            return f"The device is activated, {took} after the request."
        case State.CANCELLED:
            return f"It was cancelled, {took} after the request."
    if task.get("deadLetter"):
        return f"Its attempts are used up: it is a dead letter, {took} after the request."
    return f"It failed for good, {took} after the request."


def _held_back(target: Target | None) -> Iterator[str]:
    """Say why a task that waits for a worker waits for the provisioning system indeed."""
    if target is None or target["state"] == Standing.CLOSED:
        return
    meaning = STANDINGS.get(target["state"], plain(target["state"]))
    because = f" ({plain(target['why'])})" if target["why"] else ""
    yield (
        f"All calls of the provisioning system are held back: {meaning}{because}; "
        "see `activation target show`."
    )


def _is_locked(task: Task) -> bool:
    return task["state"] == State.QUEUED and task.get("reason") == Reason.LOCKED


def _advice(task: Task) -> str | None:
    reason = task.get("reason")
    if reason is None or (task["state"] != State.FAILED and not _is_locked(task)):
        return None
    return _ADVICE.get(Reason(reason)) if reason in list(Reason) else None
