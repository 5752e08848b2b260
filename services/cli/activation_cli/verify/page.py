"""The report as one HTML page that needs nothing from outside: no script, no style, no font."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_VIOLATIONS: Final = ("lost", "duplicated", "unexpected", "out of order", "contradicted", "unmet")

# The plot, in the units of its viewBox.
_WIDTH: Final = 900
_HEIGHT: Final = 220
_MARGIN: Final = 50
_TICKS: Final = 8
_NICE: Final[Sequence[float]] = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600)


def page(report: Mapping[str, Any]) -> str:
    """Draw the document of a report."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("page.html").render(
        report=report,
        plots=[_Plot(scenario) for scenario in report["scenarios"]],
        violations=_VIOLATIONS,
    )


class _Plot:
    """A timeline: a dot for each request, by when it was sent and when its task had ended."""

    width = _WIDTH
    height = _HEIGHT
    left = _MARGIN
    right = _WIDTH - 10
    bottom = _HEIGHT - 30
    top = 10

    def __init__(self, scenario: Mapping[str, Any]) -> None:
        requests = scenario["requests"]
        ends = [fault["endSeconds"] for fault in scenario["faults"]]
        self._until_s: float = max([1.0, *ends, *(request["atSeconds"] for request in requests)])
        took = [request["endSeconds"] or 0.0 for request in requests]
        self._most_s: float = max([1.0, *took])
        self.dots = [
            {
                "x": self._x(request["atSeconds"]),
                "y": self._y(request["endSeconds"] or 0.0),
                "kind": request["verdict"].replace(" ", "-"),
                "title": f"{request['key']} {request['equipment']}: {request['verdict']}",
            }
            for request in requests
        ]
        self.bands = [
            {
                "x": self._x(fault["beginSeconds"]),
                "width": max(1.0, self._x(fault["endSeconds"]) - self._x(fault["beginSeconds"])),
                "name": fault["name"],
            }
            for fault in scenario["faults"]
        ]
        self.columns = [{"at": self._x(s), "label": f"{s:g} s"} for s in _marks(self._until_s)]
        self.rows = [{"at": self._y(s), "label": f"{s:g} s"} for s in _marks(self._most_s, 4)]

    def _x(self, at_s: float) -> float:
        share = min(1.0, max(0.0, at_s / self._until_s))
        return round(self.left + share * (self.right - self.left), 1)

    def _y(self, took_s: float) -> float:
        return round(self.bottom - took_s / self._most_s * (self.bottom - self.top), 1)


def _marks(until_s: float, ticks: int = _TICKS) -> list[float]:
    """Return round numbers from 0, a few of them."""
    step = next((nice for nice in _NICE if until_s / nice <= ticks), until_s)
    return [n * step for n in range(int(until_s / step) + 1)]
