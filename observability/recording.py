"""Recording rules: what several alerts and panels ask for, computed once.

Names follow Prometheus' own convention, level:metric:operation. Each series has the label
`namespace`, one for each installation.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from observability.objectives import BURNS, OBJECTIVES, PERIOD, Objective

# The chart puts the name of its own queue in place of this one.
TASK_QUEUE: Final = "activation.tasks"

# KEDA tells the namespace of the ScaledObject, which a scrape without `honorLabels` renames; its
# scaler has the name that the chart gives to the trigger.
_SCALER: Final = '{scaler="tasks", metric=~".*rabbitmq.*"}'

# A worker that drains finishes what it has; its free slots are nobody's.
_TAKING: Final = "unless (activation_worker_draining == 1)"

# Windows that move slowly: reading days of samples twice a minute would cost more than it tells.
_LONG: Final = frozenset({"1d", "3d", PERIOD})


def _of_keda(operator: str, expr: str) -> str:
    moved = f'label_replace({expr}, "namespace", "$1", "exported_namespace", "(.+)")'
    return f"{operator} by (namespace) ({moved})"


@dataclass(frozen=True)
class Record:
    """A recorded series."""

    name: str
    expr: str
    labels: dict[str, str] = field(default_factory=dict)

    def as_rule(self) -> dict[str, Any]:
        """Return it as Prometheus wants it."""
        rule: dict[str, Any] = {"record": self.name, "expr": self.expr}
        return rule | ({"labels": self.labels} if self.labels else {})


SYSTEM: Final = (
    Record(
        "namespace:activation_tasks_queued:max",
        'max by (namespace) (activation_tasks{state="queued"})',
    ),
    Record("namespace:activation_dead_letters:max", "max by (namespace) (activation_dead_letters)"),
    Record(
        "namespace:activation_workers_ready:count",
        'count by (namespace) (up{job="activation-worker"} == 1)',
    ),
    Record(
        "namespace:activation_slots:sum",
        f"sum by (namespace) (activation_worker_capacity {_TAKING})",
    ),
    Record(
        "namespace:activation_slots_in_use:ratio",
        f"sum by (namespace) (activation_attempts_in_flight {_TAKING})"
        " / (namespace:activation_slots:sum > 0)",
    ),
    Record(
        "namespace:activation_queue_messages:max",
        f'max by (namespace) (rabbitmq_detailed_queue_messages{{queue="{TASK_QUEUE}"}})',
    ),
    Record(
        "namespace:activation_keda_queue:max",
        _of_keda("max", f"keda_scaler_metrics_value{_SCALER}"),
    ),
    Record(
        "namespace:activation_keda_errors:increase1h",
        _of_keda("sum", f"increase(keda_scaler_detail_errors_total{_SCALER}[1h])"),
    ),
    Record(
        "namespace:activation_keda_paused:max",
        _of_keda(
            "max",
            "keda_scaled_object_paused and on (namespace, exported_namespace, scaledObject)"
            f" keda_scaler_metrics_value{_SCALER}",
        ),
    ),
    # Without workers nobody says how much one takes: then what the last ones said holds.
    Record(
        "namespace:activation_workers_wanted:ceil",
        "ceil(namespace:activation_keda_queue:max"
        " / (max by (namespace) (last_over_time(activation_worker_capacity[1d])) > 0))",
    ),
)


def _objective(objective: Objective, window: str) -> Iterator[Record]:
    labels = {"objective": objective.name, "window": window}
    chosen = f'{{objective="{objective.name}", window="{window}"}}'
    events = f"namespace:activation_events:increase{chosen}"
    good = f"sum by (namespace) (increase({objective.good}[{window}]))"
    yield Record(
        "namespace:activation_events:increase",
        f"sum by (namespace) (increase({objective.events}[{window}]))",
        labels,
    )
    # No good event yet is none, not an unknown number.
    yield Record(
        "namespace:activation_bad_events:increase",
        f"{events} - on (namespace) ({good} or on (namespace) 0 * {events})",
        labels,
    )
    yield Record(
        "namespace:activation_bad_events:ratio",
        f"namespace:activation_bad_events:increase{chosen} / ({events} > 0)",
        labels,
    )


def budget_left(objective: Objective) -> Record:
    """Return the share of the budget that is left; below 0 the promise is broken."""
    ratio = (
        f'namespace:activation_bad_events:ratio{{objective="{objective.name}", window="{PERIOD}"}}'
    )
    return Record(
        "namespace:activation_error_budget:ratio",
        f"1 - {ratio} / {objective.budget}",
        {"objective": objective.name, "window": PERIOD},
    )


def burn_windows() -> list[str]:
    """Return each window that an alert looks at, once."""
    return list(dict.fromkeys(w for burn in BURNS for w in (burn.short_window, burn.window)))


def quick_objectives() -> list[Record]:
    """Return the windows of hours, for every evaluation."""
    return [
        record
        for objective in OBJECTIVES
        for window in burn_windows()
        if window not in _LONG
        for record in _objective(objective, window)
    ]


def slow_objectives() -> list[Record]:
    """Return the windows of days."""
    return [
        record
        for objective in OBJECTIVES
        for window in [*burn_windows(), PERIOD]
        if window in _LONG
        for record in _objective(objective, window)
    ] + [budget_left(objective) for objective in OBJECTIVES]
