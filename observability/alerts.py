"""Alerts: who is called, what the customer feels meanwhile, and which page says what to do.

`page` wakes somebody: customers are harmed now, or will be before the morning. `ticket` waits for
working hours. An alert on a cause goes with those on what it does to customers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from observability.objectives import (
    ANSWER_LIMIT_S,
    ANSWERED,
    BURNS,
    END_LIMIT_S,
    FEWEST_BAD_EVENTS,
    FINISHED,
    Burn,
    Objective,
    Severity,
)
from observability.recording import TASK_QUEUE

# In the repository; the chart puts the address of yours in front.
RUNBOOKS: Final = "docs/runbooks"


@dataclass(frozen=True)
class Alert:
    """An alert.

    Attributes:
        summary: What the customer feels.
        description: The number, and what it means.
        hold: How long the expression must hold: what heals within this time by itself.
        labels: Besides the severity.
    """

    name: str
    severity: Severity
    expr: str
    summary: str
    description: str
    hold: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def as_rule(self) -> dict[str, Any]:
        """Return it as Prometheus wants it."""
        return {
            "alert": self.name,
            "expr": self.expr,
            **({"for": self.hold} if self.hold else {}),
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{RUNBOOKS}/{self.name}.md",
            },
        }


def _burning(objective: Objective, burn: Burn) -> str:
    def chosen(series: str, window: str) -> str:
        labels = f'objective="{objective.name}", window="{window}"'
        return f"namespace:activation_bad_events:{series}{{{labels}}}"

    limit = f"{burn.factor} * {objective.budget}"
    return (
        f"{chosen('ratio', burn.window)} > {limit}\n"
        f"and ignoring (window) {chosen('ratio', burn.short_window)} > {limit}\n"
        f"and {chosen('increase', burn.window)} >= {FEWEST_BAD_EVENTS}"
    )


def _burns(name: str, objective: Objective, summary: str, what: str) -> Iterator[Alert]:
    """Make the alerts of an objective, all of one name: they have one page."""
    for burn in BURNS:
        yield Alert(
            name=name,
            severity=burn.severity,
            labels={"window": burn.window},
            expr=_burning(objective, burn),
            summary=summary,
            description=(
                f"{{{{ $value | humanizePercentage }}}} of the {what} in the last {burn.window}; "
                f"{100 * objective.budget:g}% may. The error budget burns more than "
                f"{burn.factor:g} times as fast as it may."
            ),
        )


_NEW_DEAD_LETTERS: Final = (
    "namespace:activation_dead_letters:max"
    " - min_over_time(namespace:activation_dead_letters:max[1h])"
)
# Two alarms of one kind: each stops all publishers until it is over.
_BROKER_ALARMS: Final = "\nor ".join(
    f'max by (namespace, alarm) (label_replace({metric}, "alarm", "{alarm}", "", "")) > 0'
    for alarm, metric in (
        ("memory", "rabbitmq_alarms_memory_used_watermark"),
        ("disk", "rabbitmq_alarms_free_disk_space_watermark"),
    )
)
_REFUSED: Final = (
    'sum by (namespace) (increase(activation_tasks_finished_total{outcome="refused"}[30m]))'
)
_NO_CONSUMERS: Final = (
    f'max by (namespace) (rabbitmq_detailed_queue_messages_ready{{queue="{TASK_QUEUE}"}}) > 0\n'
    f'and max by (namespace) (rabbitmq_detailed_queue_consumers{{queue="{TASK_QUEUE}"}}) == 0'
)

ALERTS: Final = (
    *_burns(
        "ActivationRequestsFailing",
        ANSWERED,
        "Customers cannot hand in activations: requests fail, are refused or are slow",
        f"POSTs failed, were refused with 429 or took more than {ANSWER_LIMIT_S:g} s",
    ),
    *_burns(
        "ActivationTasksLate",
        FINISHED,
        "Customers wait too long for their devices, or their activations are given up",
        f"tasks became dead letters or took more than {END_LIMIT_S:g} s",
    ),
    Alert(
        name="ActivationGatewayDown",
        severity="page",
        expr=(
            'count by (namespace) (last_over_time(up{job="activation-gateway"}[1h]))\n'
            'unless count by (namespace) (up{job="activation-gateway"} == 1)'
        ),
        hold="2m",
        summary="Customers get no answer at all",
        description=(
            "No gateway in {{ $labels.namespace }} answers Prometheus; within the last hour there "
            "were {{ $value }} to ask."
        ),
    ),
    Alert(
        name="ActivationStoreUnreachable",
        severity="page",
        expr=(
            "sum by (namespace) (rate(activation_store_failures_total[2m]))\n"
            "/ sum by (namespace) (rate(activation_store_operation_duration_seconds_count[2m]))"
            " > 0.5"
        ),
        hold="1m",
        summary="Customers cannot hand in activations nor ask for them: the database is away",
        description=(
            "{{ $value | humanizePercentage }} of what gateways and workers asked of the database "
            "failed in the last 2 minutes."
        ),
    ),
    Alert(
        name="ActivationBrokerDisconnected",
        severity="page",
        expr="max by (namespace, job) (activation_broker_connected) == 0",
        hold="30s",
        summary="Activations are accepted, but none begins: RabbitMQ cannot be reached",
        description="No pod of {{ $labels.job }} has a connection to RabbitMQ.",
    ),
    Alert(
        name="ActivationBrokerAlarm",
        severity="page",
        expr=_BROKER_ALARMS,
        hold="1m",
        summary="Activations are accepted, but none begins: RabbitMQ takes no messages",
        description=(
            "RabbitMQ is short of {{ $labels.alarm }} and has stopped everybody who publishes."
        ),
    ),
    Alert(
        name="ActivationOutboxStuck",
        severity="page",
        expr="max by (namespace) (activation_outbox_age_seconds) > 60",
        hold="2m",
        summary="Activations are accepted, but some do not begin: their messages are not sent",
        description=(
            "The oldest message has been due for {{ $value | humanizeDuration }}; normal is less "
            "than a second."
        ),
    ),
    Alert(
        name="ActivationNoConsumers",
        severity="page",
        # By RabbitMQ; and where nobody reads RabbitMQ's metrics, by the workers that there are.
        expr=(
            f"{_NO_CONSUMERS}\n"
            "or namespace:activation_tasks_queued:max > 0"
            " unless namespace:activation_workers_ready:count"
        ),
        hold="5m",
        summary="Activations are accepted, but none begins: no worker takes them",
        description="{{ $value }} tasks wait, and nobody consumes the queue.",
    ),
    Alert(
        name="ActivationCallsHeldBack",
        severity="page",
        expr="max by (namespace) (activation_target_held) > 0",
        hold="15m",
        summary="Activations are accepted, but none begins: the provisioning system is not called",
        description=(
            "The workers in {{ $labels.namespace }} have held calls back for 15 minutes: it fails, "
            "asked for rest, or an operator paused it."
        ),
    ),
    Alert(
        name="ActivationKedaReadsZero",
        severity="page",
        expr=(
            "namespace:activation_queue_messages:max > 0\n"
            "and namespace:activation_keda_queue:max == 0"
        ),
        hold="5m",
        summary="Customers soon wait longer: the workers are taken away while there is work",
        description="The queue holds {{ $value }} tasks, and KEDA reads 0.",
    ),
    Alert(
        name="ActivationBacklogGrows",
        severity="ticket",
        # More waits than runs, more each minute, with every slot busy and no worker added.
        expr=(
            "namespace:activation_tasks_queued:max > namespace:activation_slots:sum\n"
            "and deriv(namespace:activation_tasks_queued:max[10m]) > 0\n"
            "and avg_over_time(namespace:activation_slots_in_use:ratio[10m]) >= 0.95\n"
            "and namespace:activation_slots:sum"
            " <= namespace:activation_slots:sum offset 10m"
        ),
        hold="5m",
        summary="Customers wait longer and longer: all workers are busy and no more are added",
        description=(
            "{{ $value }} tasks wait, more each minute. All slots have been busy for 10 minutes, "
            "and there are no more of them than then."
        ),
    ),
    Alert(
        name="ActivationDeadLetters",
        severity="ticket",
        expr=f"{_NEW_DEAD_LETTERS} > 0",
        summary="Some customers' activations were given up and wait for an operator",
        description="Tasks that became dead letters within the last hour: {{ $value }}.",
    ),
    Alert(
        name="ActivationTasksRefused",
        severity="ticket",
        expr=(
            f"{_REFUSED}\n"
            "/ sum by (namespace) (increase(activation_tasks_finished_total[30m])) > 0.5\n"
            f"and {_REFUSED} >= {FEWEST_BAD_EVENTS}"
        ),
        hold="5m",
        summary="Most customers are told that their device cannot be activated",
        description=(
            "The provisioning system refused {{ $value | humanizePercentage }} of the tasks that "
            "ended in the last 30 minutes."
        ),
    ),
    Alert(
        name="ActivationLeasesReaped",
        severity="ticket",
        # In so many pieces of 5 minutes within the hour: one lost worker loses all its leases at
        # once, and comes back.
        expr=(
            "count_over_time(\n"
            "  (sum by (namespace) (increase(activation_leases_reaped_total[5m])) > 0)[1h:5m]\n"
            ") >= 3"
        ),
        summary="Some customers wait much longer: workers keep getting lost with their tasks",
        description=(
            "Tasks were taken back from lost workers at {{ $value }} different times within the "
            "last hour."
        ),
    ),
)
