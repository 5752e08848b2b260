"""Progress on the screen, and the report as text."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from activation_cli.terminal import console
from activation_cli.verify.accountant import VIOLATIONS, Post, Verdict
from activation_cli.verify.latency import Phase, Quantiles
from activation_cli.verify.report import Result
from activation_cli.verify.scenarios import Scenario
from activation_cli.wording import plain, span

_FINDINGS_SHOWN: Final = 10
_ROW_CHARACTERS: Final = 400  # of a finding's row; the JSON report has all of it
_ALWAYS_SHOWN: Final = (Verdict.OK, Verdict.RECOVERED, *VIOLATIONS)


class Stage:
    """Where a scenario stands, as it goes on."""

    def __init__(self, scenario: Scenario) -> None:
        self._name = scenario.name
        self._posts: Counter[str] = Counter()
        self._broken: list[str] = []
        self._unfinished: int | None = None
        self._said = ""
        self._spinner = Spinner("dots")

    def posted(self, post: Post) -> None:
        """Count a POST."""
        answer = "accepted" if post.accepted else "refused" if post.status else "unanswered"
        self._posts[answer] += 1

    def struck(self, fault: str) -> None:
        """Show a fault."""
        self._broken.append(fault)

    def mended(self, fault: str) -> None:
        """Show it no longer."""
        self._broken.remove(fault)

    def unfinished(self, tasks: int) -> None:
        """Show how many tasks have not ended."""
        self._unfinished = tasks

    def note(self, text: str) -> None:
        """Show what else is to be said."""
        self._said = text

    def __rich__(self) -> RenderableType:
        posts = ", ".join(f"{count} {answer}" for answer, count in self._posts.items())
        waiting = [] if self._unfinished is None else [f"{self._unfinished} tasks unfinished"]
        parts = [posts or "starting", *waiting, *self._broken, self._said]
        self._spinner.update(text=f"{self._name}: " + "; ".join(filter(None, parts)))
        return self._spinner


class Screen:
    """The person who waits: stderr."""

    def __init__(self, to: Console | None = None) -> None:
        self._console = to or console(stderr=True)
        self._stages: list[Stage] = []
        self._live: Live | None = None

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(Text(plain(text), "dim"), soft_wrap=True)

    @contextmanager
    def stage(self, scenario: Scenario) -> Iterator[Stage]:
        """Show a scenario while it goes on, below those that go on already."""
        stage = Stage(scenario)
        self._stages.append(stage)
        self._animate()
        try:
            yield stage
        finally:
            self._stages.remove(stage)
            self._animate()

    def ended(self, result: Result) -> None:
        """Print a line for a scenario that is over."""
        mark = Text("ok    ", "green") if result.passed else Text("FAILED", "bold red")
        line = Text.assemble(mark, f"  {result.scenario.name:<30}  ", _numbers(result))
        self._console.print(line.append(f"  {span(result.took_s)}", "dim"), soft_wrap=True)

    def _animate(self) -> None:
        """Draw the stages anew while there are any, where somebody can see them move."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            return
        if self._live is None:
            self._live = Live(
                get_renderable=lambda: Group(*self._stages), console=self._console, transient=True
            )
            self._live.start()
        self._live.refresh()
        if not self._stages:
            self._live.stop()
            self._live = None


def show_list(mode: str, scenarios: Iterable[Scenario]) -> None:
    """Print what there is to choose from in a mode."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in (f"with {mode}", "what is done", "what must hold"):
        table.add_column(column)
    for scenario in scenarios:
        table.add_row(scenario.name, scenario.does, scenario.holds)
    console(stderr=False).print(table)


def show_report(results: Sequence[Result]) -> None:
    """Print the report."""
    console(stderr=False).print(report(results))


def text_report(results: Sequence[Result]) -> str:
    """Return the report as text."""
    writing = Console(width=200, color_system=None, force_terminal=False)
    with writing.capture() as captured:
        writing.print(report(results))
    return captured.get()


def report(results: Sequence[Result]) -> RenderableType:
    """Draw the table of all scenarios, and whatever is wrong."""
    unchecked = dict.fromkeys(what for result in results for what in result.unchecked)
    return Group(
        _table(results),
        *(Text(f"\nnot checked: {what}", "yellow") for what in unchecked),
        *(line for result in results for line in _details(result)),
    )


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("scenario")
    shown = [
        verdict
        for verdict in Verdict
        if verdict in _ALWAYS_SHOWN or any(result.counts()[verdict] for result in results)
    ]
    for name in (*shown, "p99 before", "during", "after"):
        table.add_column(str(name), justify="right")
    table.add_column("")
    for result in results:
        counts = result.counts()
        table.add_row(
            result.scenario.name,
            *(_count(verdict, counts[verdict]) for verdict in shown),
            *_times(result.phases()),
            Text("ok", "green") if result.passed else Text("FAILED", "bold red"),
        )
    return table


def _details(result: Result) -> Iterator[RenderableType]:
    if result.passed:
        return
    yield Text(
        f"\n{result.scenario.name}: {len(result.findings)} violations; it must hold that "
        f"{result.scenario.holds}",
        "bold red",
    )
    for finding in result.findings[:_FINDINGS_SHOWN]:
        row = plain(repr(finding.row))[:_ROW_CHARACTERS]
        yield Text(f"  {finding.verdict}: {finding.what}: {row}")
    if result.logs is not None:
        yield Text(f"  logs: {result.logs}")
    yield Text(f"  again: --scenario {result.scenario.name} --seed {result.seed}")


def _numbers(result: Result) -> str:
    return ", ".join(f"{count} {verdict}" for verdict, count in result.counts().items() if count)


def _count(verdict: Verdict, count: int) -> Text:
    return Text(str(count), "bold red" if count and verdict in VIOLATIONS else "")


def _times(phases: Sequence[Phase]) -> Iterator[str]:
    """Return the slowest 1 % from acceptance to end, of all phases of each name."""
    for name in ("before", "during", "after"):
        slowest = [phase.end for phase in phases if phase.name == name and phase.end is not None]
        yield span(max(slowest, key=_p99).p99) if slowest else "-"


def _p99(times: Quantiles) -> float:
    return times.p99
