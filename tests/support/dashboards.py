"""The committed dashboards and rules, and every query in them.

What a query needs besides the services themselves is told by the names of its metrics: `needs`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

OUTPUT: Final = Path(__file__).parents[2] / "charts/activation/files/observability"
RULES: Final = OUTPUT / "rules.yaml"
RUNBOOKS: Final = Path(__file__).parents[2] / "docs/runbooks"

Row = dict[str, Any]

KEDA: Final = "keda"
# Series that come from KEDA, and those that are made of them.
_OF_KEDA: Final = ("keda_", "namespace:activation_keda_", "namespace:activation_workers_wanted:")

_WORDS: Final = frozenset(
    {"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"}
    | {"offset"}
)


@dataclass(frozen=True)
class Query:
    """An expression in PromQL, and where it stands.

    Attributes:
        place: Such as `activation-overview / Requests / A`.
        exemplars: The panel shows exemplars of it, which lead to traces.
    """

    place: str
    expr: str
    exemplars: bool = False

    @property
    def needs(self) -> str:
        """What must be there besides the services and RabbitMQ: KEDA, or nothing."""
        return KEDA if any(name.startswith(_OF_KEDA) for name in metrics_of(self.expr)) else ""


@dataclass(frozen=True)
class JaegerQuery:
    """A query of Jaeger: the fields that Grafana's data source stores."""

    place: str
    fields: Row


@cache
def dashboards() -> list[Row]:
    """Return the dashboards."""
    return [json.loads(path.read_text()) for path in sorted(OUTPUT.glob("dashboards/*.json"))]


def panels(dashboard: Row) -> list[Row]:
    """Return what shows something, so no titles of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def panel_queries() -> list[Query]:
    """Return the PromQL of every panel."""
    return [
        Query(place, target["expr"], exemplars=target.get("exemplar", False))
        for place, target in _targets()
        if target["datasource"]["type"] == "prometheus"
    ]


def jaeger_queries() -> list[JaegerQuery]:
    """Return what panels ask Jaeger."""
    return [
        JaegerQuery(place, target)
        for place, target in _targets()
        if target["datasource"]["type"] == "jaeger"
    ]


def annotation_queries() -> list[Query]:
    """Return the marks of what happened; each stands in all dashboards."""
    found = {
        mark["expr"]: Query(f"mark / {mark['name']}", mark["expr"])
        for dashboard in dashboards()
        for mark in dashboard["annotations"]["list"]
    }
    return list(found.values())


def variable_queries() -> list[str]:
    """Return what the variables are filled with: `label_values(selector, label)`, each once."""
    queries = [
        variable["query"]
        for dashboard in dashboards()
        for variable in dashboard["templating"]["list"]
        if variable["type"] == "query"
    ]
    return list(dict.fromkeys(queries))


def rules() -> list[Row]:
    """Return the recording rules and the alerts."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def records() -> list[Query]:
    """Return the expressions of recorded series, with their labels in the place."""
    return [
        Query(f"{rule['record']} {rule.get('labels', '')}".strip(), rule["expr"])
        for rule in rules()
        if "record" in rule
    ]


def alerts() -> list[Query]:
    """Return the expressions of alerts; several have the same name."""
    return [Query(rule["alert"], rule["expr"]) for rule in rules() if "alert" in rule]


def filled(expr: str, *, namespace: str, interval: str = "1m", queue: str = ".*") -> str:
    """Return an expression as Grafana sends it, with the variables filled in.

    Args:
        expr: As it stands in the dashboard.
        namespace: The installation that is looked at.
        interval: For `$__rate_interval`: at least four scrapes.
        queue: The choice on the dashboard of RabbitMQ; all by default.
    """
    values = {"namespace": namespace, "__rate_interval": interval, "queue": queue}
    for name, value in values.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr, f"a variable without a value: {expr}"
    return expr


def metrics_of(expr: str) -> set[str]:
    """Return the names of the metrics in an expression."""
    bare = re.sub(r'"[^"]*"', "", expr)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    names = re.findall(r"(?<![\w:])[a-zA-Z_:][\w:]*(?![\w:]*\s*\()", bare)
    return set(names) - _WORDS


def _targets() -> Iterator[tuple[str, Row]]:
    for dashboard in dashboards():
        for panel in panels(dashboard):
            for target in panel.get("targets", []):
                yield f"{dashboard['uid']} / {panel['title']} / {target['refId']}", target
