"""The kinds of panels that the dashboards are made of, and how all of them look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders import common as looks
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.builders import prometheus, stat, timeseries
from grafana_foundation_sdk.models import common, dashboard

PROMETHEUS: Final = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")

# From this value on a colour; the first holds below all others.
Steps = Sequence[tuple[float | None, str]]

PLAIN: Final[Steps] = ((None, "text"),)
NONE_IS_GOOD: Final[Steps] = ((None, "green"), (1, "orange"))

_STAT_SPAN, _STAT_HEIGHT = 4, 4
_SPAN, _HEIGHT = 12, 8


@dataclass(frozen=True)
class Query:
    """An expression, and what its lines are called."""

    expr: str
    legend: str = "__auto"
    exemplars: bool = False

    def target(self, ref_id: str) -> prometheus.Dataquery:
        """Return it as a panel's target."""
        found = prometheus.Dataquery().expr(self.expr).legend_format(self.legend).ref_id(ref_id)
        return found.datasource(PROMETHEUS).exemplar(self.exemplars)


def thresholds(steps: Steps) -> build.ThresholdsConfig:
    """Return colours by absolute value."""
    found = [dashboard.Threshold(value=value, color=color) for value, color in steps]
    return build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(found)


def to_dashboard(uid: str, title: str) -> build.DashboardLink:
    """Return a link that keeps the time and the namespace."""
    url = f"/d/{uid}?${{datasource:queryparam}}&${{namespace:queryparam}}&${{__url_time_range}}"
    return build.DashboardLink(title).type(dashboard.DashboardLinkType.LINK).url(url)


def number(
    title: str,
    description: str,
    unit: str,
    expr: str,
    *,
    steps: Steps = PLAIN,
    more: build.DashboardLink | None = None,
    decimals: int | None = None,
) -> stat.Panel:
    """Return a number as it is now, with a hint of how it was."""
    panel = (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .thresholds(thresholds(steps))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.AREA)
        .reduce_options(looks.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(Query(expr).target("A").range())
        .span(_STAT_SPAN)
        .height(_STAT_HEIGHT)
    )
    if decimals is not None:
        panel = panel.decimals(decimals)
    return panel.links([more]) if more else panel


def lines(
    title: str,
    description: str,
    unit: str,
    *queries: Query,
    steps: Steps = (),
    stacked: bool = False,
    span: int = _SPAN,
) -> timeseries.Panel:
    """Return lines over time.

    Args:
        title: What it shows.
        description: What an operator learns from it.
        unit: Grafana's name of the unit.
        queries: Where the lines come from.
        steps: Levels that mean something; drawn as lines.
        stacked: The lines are parts of a whole.
        span: Width, of 24.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(PROMETHEUS)
        .unit(unit)
        .min(0)
        .fill_opacity(30 if stacked else 8)
        .show_points(common.VisibilityMode.NEVER)
        .tooltip(looks.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI))
        .legend(_legend())
        .span(span)
        .height(_HEIGHT)
    )
    for n, query in enumerate(queries):
        panel = panel.with_target(query.target(chr(ord("A") + n)).range())
    if stacked:
        panel = panel.stacking(looks.StackingConfig().mode(common.StackingMode.NORMAL))
    if steps:
        drawn = looks.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel = panel.thresholds(thresholds(steps)).thresholds_style(drawn)
    return panel


def percentiles(
    title: str,
    description: str,
    histogram: str,
    *,
    labels: str = "",
    steps: Steps = (),
    exemplars: bool = True,
    span: int = _SPAN,
) -> timeseries.Panel:
    """Return the median and the slow end of a histogram in seconds; its dots lead to traces.

    Args:
        title: What it shows.
        description: What an operator learns from it.
        histogram: The name of the metric, without `_bucket`.
        labels: Further matchers.
        steps: Levels that mean something.
        exemplars: Whether the histogram has any.
        span: Width, of 24.
    """
    chosen = ", ".join(filter(None, ('namespace="$namespace"', labels)))
    buckets = f"sum by (le) (rate({histogram}_bucket{{{chosen}}}[$__rate_interval]))"
    queries = [
        # One of them asks for the dots: the others would draw the same once more.
        Query(f"histogram_quantile({q}, {buckets})", name, exemplars and q == _SLOWEST)
        for q, name in _QUANTILES.items()
    ]
    return lines(title, description, "s", *queries, steps=steps, span=span)


_SLOWEST: Final = 0.99
_QUANTILES: Final = {0.5: "half are faster than", 0.95: "95 %", _SLOWEST: "99 %"}


def _legend() -> looks.VizLegendOptions:
    legend = looks.VizLegendOptions().display_mode(common.LegendDisplayMode.TABLE)
    return legend.placement(common.LegendPlacement.BOTTOM).show_legend(True).calcs(["lastNotNull"])
