"""What commands can show, and showing it as JSON; `terminal` shows it to people."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from activation_cli.batch.outcomes import Outcome
from activation_cli.documents import Acceptance, Status, Target, Task
from activation_cli.exits import Exit
from activation_cli.explanation import Explanation


@dataclass(frozen=True, slots=True)
class Refusal:
    """A task that an operator's request was refused for, and why."""

    task_id: str
    message: str
    code: Exit


class Output(Protocol):
    """Shows what a command has to say: results on stdout, all else on stderr."""

    def note(self, text: str) -> None:
        """Say something to the person who waits; it is no result."""
        ...

    def accepted(self, answer: Acceptance, equipment: str, key: str) -> None:
        """Show that a request is durable."""
        ...

    def task(self, task: Task) -> None:
        """Show where a task stands."""
        ...

    def story(self, task: Task) -> None:
        """Show all there is to know about a task."""
        ...

    def explanation(self, found: Explanation) -> None:
        """Show a task's story in words."""
        ...

    def tasks(self, tasks: Sequence[Task], cursor: str | None = None) -> None:
        """List tasks; a cursor says that there are more."""
        ...

    def status(self, status: Status, url: str) -> None:
        """Show the system at a glance."""
        ...

    def target(self, target: Target) -> None:
        """Show whether the provisioning system is called."""
        ...

    def replayed(self, tasks: Sequence[Task], refused: Sequence[Refusal], *, dry_run: bool) -> None:
        """Show which tasks are queued again, or would be."""
        ...

    def watching(self) -> AbstractContextManager[Callable[[Task], None]]:
        """Show a task while it changes; what is given must be called with each new view of it."""
        ...

    def batch(
        self, rows: int, *, to_end: bool
    ) -> AbstractContextManager[Callable[[Outcome], None]]:
        """Show the progress of a batch; what is given must be called with each new outcome.

        Args:
            rows: How many rows there are to do.
            to_end: A row is done when its task has ended, and not as soon as it is accepted.
        """
        ...

    def summary(self, counts: Mapping[str, int], results: str) -> None:
        """Show what became of a batch: rows by state, and where the result file is."""
        ...

    def version(self, version: str) -> None:
        """Show the version of this program."""
        ...


class JsonOutput:
    """One JSON document a command; for what goes on for a while, JSON lines."""

    def note(self, text: str) -> None:
        """Print a line that is no JSON to stderr."""
        print(text, file=sys.stderr, flush=True)

    def accepted(self, answer: Acceptance, equipment: str, key: str) -> None:
        """Print the gateway's answer, with the key that makes a repeat safe."""
        _print({**answer, "equipment": equipment, "idempotencyKey": key})

    def task(self, task: Task) -> None:
        """Print the task as the gateway gives it."""
        _print(task)

    def story(self, task: Task) -> None:
        """Print the task as the gateway gives it."""
        _print(task)

    def explanation(self, found: Explanation) -> None:
        """Print the sentences, the advice and the trace."""
        _print(
            {
                "taskId": found.task_id,
                "sentences": found.sentences,
                "advice": found.advice,
                "trace": found.trace,
            }
        )

    def tasks(self, tasks: Sequence[Task], cursor: str | None = None) -> None:
        """Print the tasks as the gateway gives them."""
        _print({"tasks": tasks, "cursor": cursor})

    def status(self, status: Status, url: str) -> None:
        """Print the status as the gateway gives it, with its URL."""
        _print({"url": url, **status})

    def target(self, target: Target) -> None:
        """Print the target as the gateway gives it."""
        _print(target)

    def replayed(self, tasks: Sequence[Task], refused: Sequence[Refusal], *, dry_run: bool) -> None:
        """Print both lists as one document."""
        faults = [{"taskId": refusal.task_id, "message": refusal.message} for refusal in refused]
        _print({"dryRun": dry_run, "tasks": tasks, "refused": faults})

    @contextmanager
    def watching(self) -> Iterator[Callable[[Task], None]]:
        """Print a line for each new event; the task itself follows as the last line."""
        seen = 0

        def show(task: Task) -> None:
            nonlocal seen
            for event in task["events"][seen:]:
                _print({"taskId": task["taskId"], "event": event})
            seen = len(task["events"])

        yield show

    @contextmanager
    def batch(self, rows: int, *, to_end: bool) -> Iterator[Callable[[Outcome], None]]:  # noqa: ARG002  # the lines tell
        """Print a line for each outcome."""
        yield lambda outcome: _print(outcome.document())

    def summary(self, counts: Mapping[str, int], results: str) -> None:
        """Print the last line."""
        _print({"summary": counts, "results": results})

    def version(self, version: str) -> None:
        """Print the version as a document."""
        _print({"version": version})


def _print(document: object) -> None:
    # ASCII only: it survives every locale, and control characters cannot reach a terminal.
    print(json.dumps(document), flush=True)
