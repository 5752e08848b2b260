"""What every dashboard has: its variables, its links to the others, marks of what happened."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard

from observability.panels import PROMETHEUS

Panel = Builder[dashboard.Panel]
Row = tuple[str, Sequence[Panel]]
Variable = Builder[dashboard.VariableModel]

_TAG: Final = "activation"


class _PrometheusAnnotation(dashboard.AnnotationQuery):
    """Marks from a query; the SDK knows only those that people write."""

    def __init__(self, name: str, color: str, expr: str, text: str) -> None:
        super().__init__(name=name, datasource=PROMETHEUS, icon_color=color, expr=expr)
        self._text = text

    def to_json(self) -> dict[str, object]:
        """Return what Grafana's Prometheus data source reads."""
        own = {"titleFormat": self.name, "textFormat": self._text, "step": "15s"}
        return super().to_json() | own


class _Annotation(Builder[dashboard.AnnotationQuery]):
    def __init__(self, annotation: dashboard.AnnotationQuery) -> None:
        self._annotation = annotation

    def build(self) -> dashboard.AnnotationQuery:
        return self._annotation


_READY: Final = 'namespace:activation_workers_ready:count{namespace="$namespace"}'
_STARTED: Final = 'process_start_time_seconds{namespace="$namespace", job=~"activation-.+"}'

MARKS: Final = (
    _PrometheusAnnotation("Workers added", "green", f"{_READY} > {_READY} offset 1m", ""),
    _PrometheusAnnotation("Workers gone", "orange", f"{_READY} < {_READY} offset 1m", ""),
    _PrometheusAnnotation("Started", "blue", f"time() - {_STARTED} < 30", "{{job}} {{pod}}"),
    _PrometheusAnnotation(
        "Alert",
        "red",
        'ALERTS{alertname=~"Activation.+", alertstate="firing", namespace="$namespace"}',
        "{{alertname}}",
    ),
)


def board(
    uid: str,
    title: str,
    description: str,
    *rows: Row,
    variables: Sequence[Variable] = (),
    since: str = "now-3h",
) -> build.Dashboard:
    """Return a dashboard, its panels from left to right in rows.

    Args:
        uid: Part of its address; never changes.
        title: Its name.
        description: What question it answers.
        rows: Titles, each with its panels.
        variables: Besides the data source and the namespace.
        since: The time that it shows at first.
    """
    found = (
        build.Dashboard(f"Activation / {title}")
        .uid(uid)
        .description(description)
        .tags([_TAG])
        .timezone("browser")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .refresh("30s")
        .time(since, "now")
        .readonly()
        .link(_others())
        .variables([_datasource(), _namespace(), *variables])
        .annotations([_Annotation(mark) for mark in MARKS])
    )
    ids = iter(range(1, 1000))
    for name, panels in rows:
        found = found.with_row(build.Row(name).id(next(ids)))
        for panel in panels:
            found = found.with_panel(_numbered(panel, next(ids)))
    return found


def choice(name: str, label: str, query: str, *, every: bool = False) -> build.QueryVariable:
    """Return a variable whose values Prometheus knows.

    Args:
        name: As queries write it.
        label: As people read it.
        query: Such as `label_values(metric, label)`.
        every: Several values or all of them may be chosen; all are, at first.
    """
    variable = (
        build.QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(dashboard.VariableSort.ALPHABETICAL_ASC)
    )
    if every:
        everything = dashboard.VariableOption(text="All", value="$__all", selected=True)
        variable = variable.multi(True).include_all(True).all_value(".*").current(everything)
    return variable


def _numbered(panel: Panel, number: int) -> Panel:
    built = panel.build()
    built.id_val = number
    return panel


def _datasource() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Prometheus").type("prometheus")


def _namespace() -> build.QueryVariable:
    return choice("namespace", "Namespace", "label_values(activation_build_info, namespace)")


def _others() -> build.DashboardLink:
    link = build.DashboardLink("Activation").type(dashboard.DashboardLinkType.DASHBOARDS)
    return link.tags([_TAG]).as_dropdown(False).include_vars(True).keep_time(True)
