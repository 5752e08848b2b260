"""Showing things to people: results on stdout, what moves or advises on stderr."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Task as Bar
from rich.spinner import Spinner
from rich.text import Text

from activation.clock import Clock
from activation_cli import views
from activation_cli.batch.outcomes import ACCEPTED, REJECTED, Outcome
from activation_cli.documents import Acceptance, Status, Target, Task
from activation_cli.explanation import Explanation
from activation_cli.output import Refusal
from activation_cli.wording import plain

_UNCUT: Final = 1_000  # columns: what goes to a file or another program is not cut to a screen

_NEWEST: Final = 15  # events; with all of them a screen may be too small for the last line


class TerminalOutput:
    """Rich on a terminal, and plain text in a pipe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._out = console(stderr=False)
        self._screen = console(stderr=True)

    def note(self, text: str) -> None:
        """Print a line to stderr."""
        self._screen.print(Text(plain(text), "dim"), soft_wrap=True)

    def accepted(self, answer: Acceptance, equipment: str, key: str) -> None:  # noqa: ARG002  # nobody types a key
        """Print the task's id."""
        self._out.print(Text.assemble("accepted  ", (answer["taskId"], "bold"), f"  {equipment}"))

    def task(self, task: Task) -> None:
        """Print one line."""
        self._out.print(views.headline(task, self._clock.now()), soft_wrap=True)

    def story(self, task: Task) -> None:
        """Print the facts, the events and the attempts."""
        self._out.print(views.story(task, self._clock.now()))

    def explanation(self, found: Explanation) -> None:
        """Print a line for each sentence."""
        for sentence in found.sentences:
            self._out.print(Text(sentence))
        if found.advice is not None:
            self._out.print(Text(found.advice, "bold"))
        if found.trace is not None:
            self._out.print(Text(f"Trace: {found.trace}"), soft_wrap=True)

    def tasks(self, tasks: Sequence[Task], cursor: str | None = None) -> None:
        """Print a table."""
        if not tasks:
            self.note("no such tasks")
            return
        self._list(tasks)
        if cursor is not None:
            self.note(f"there are more: use --all, a higher --limit, or --cursor {cursor}")

    def status(self, status: Status, url: str) -> None:
        """Print a table."""
        self._out.print(views.status(status, url))

    def target(self, target: Target) -> None:
        """Print whether the provisioning system is called."""
        self._out.print(views.target(target, self._clock.now()))

    def replayed(self, tasks: Sequence[Task], refused: Sequence[Refusal], *, dry_run: bool) -> None:
        """Print a table, and a line for each refusal."""
        if tasks:
            self._list(tasks)
        for refusal in refused:
            self.note(f"{refusal.task_id} not queued again: {refusal.message}")
        what = "would be queued again" if dry_run else "queued again"
        self.note(f"{what}: {len(tasks)}, refused: {len(refused)}")

    @contextmanager
    def watching(self) -> Iterator[Callable[[Task], None]]:
        """Draw the task anew while it changes; without a screen, print each event as a line."""
        if self._is_animated():
            yield from self._watching_live()
        else:
            yield self._print_new_events()

    @contextmanager
    def batch(self, rows: int, *, to_end: bool) -> Iterator[Callable[[Outcome], None]]:
        """Draw a bar for what is accepted and one for what has ended; print each bad row."""
        progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<8}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._screen,
            disable=not self._is_animated(),
        )
        accepted = progress.add_task("accepted", total=rows)
        ended = progress.add_task("ended", total=rows, visible=to_end)

        def show(outcome: Outcome) -> None:
            if outcome.state == REJECTED:
                self._screen.print(Text(f"line {outcome.line}: {plain(outcome.detail)}", "red"))
            if outcome.state in {REJECTED, ACCEPTED}:
                progress.advance(accepted)
            if outcome.state != ACCEPTED:
                progress.advance(ended)

        with progress:
            yield show

    def summary(self, counts: Mapping[str, int], results: str) -> None:
        """Print one line."""
        line = Text(", ").join(views.styled(f"{n} {state}", state) for state, n in counts.items())
        self._out.print(line + Text(f"; see {results}"), soft_wrap=True)

    def version(self, version: str) -> None:
        """Print the version, bare."""
        self._out.print(version)

    def _list(self, tasks: Sequence[Task]) -> None:
        self._out.print(views.listing(tasks, self._clock.now(), cut=self._out.is_terminal))

    def _is_animated(self) -> bool:
        return self._screen.is_terminal and not self._screen.is_dumb_terminal

    def _watching_live(self) -> Iterator[Callable[[Task], None]]:
        view = _LiveTask(self._clock)
        with Live(view, console=self._screen):
            yield view.show
            view.over = True

    def _print_new_events(self) -> Callable[[Task], None]:
        printed = 0

        def show(task: Task) -> None:
            nonlocal printed
            for event in task["events"][printed:]:
                self._out.print(views.event_line(event))
            printed = len(task["events"])

        return show


def console(*, stderr: bool) -> Console:
    """Make a console that takes texts as they are: brackets in them are no markup."""
    make = partial(Console, stderr=stderr, markup=False, highlight=False, emoji=False)
    console = make()
    return console if console.is_terminal else make(width=_UNCUT)


class _LiveTask:
    """The events of a task, and below them where it stands now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._spinner = Spinner("dots")
        self._task: Task | None = None
        self.over = False

    def show(self, task: Task) -> None:
        self._task = task

    def __rich__(self) -> RenderableType:
        if self._task is None:
            return self._spinner
        if self.over:
            return views.events(self._task["events"])
        history = views.events(self._task["events"][-_NEWEST:])
        self._spinner.update(text=views.progress(self._task, self._clock.now()))
        return Group(history, self._spinner)


class _Rate(ProgressColumn):
    """Rows a second, over the last seconds."""

    def render(self, task: Bar) -> Text:
        return Text(f"{task.speed or 0.0:.1f}/s", "dim")
