"""Does the database answer, and does the outbox empty itself?"""

from typing import Final

from observability.boards import board
from observability.panels import NONE_IS_GOOD, Query, lines, number, percentiles

UID: Final = "activation-store"

_HERE: Final = 'namespace="$namespace"'
_OPERATION: Final = "activation_store_operation_duration_seconds"
_AGE: Final = f"max(activation_outbox_age_seconds{{{_HERE}}})"
_STUCK: Final = ((None, "green"), (10, "orange"), (60, "red"))


def _rate(metric: str, *by: str) -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{_HERE}}}[$__rate_interval]))"


def _hour(metric: str) -> str:
    return f"sum(increase({metric}{{{_HERE}}}[1h]))"


_NOW: Final = (
    number(
        "Oldest unsent",
        "How long the oldest message that is due has not been confirmed by RabbitMQ. Normal is "
        "less than a second.",
        "s",
        _AGE,
        steps=_STUCK,
        decimals=1,
    ),
    number(
        "Unsent",
        "Tasks whose message is due and not confirmed.",
        "short",
        f"max(activation_outbox_tasks{{{_HERE}}})",
    ),
    number(
        "Failing",
        "Share of what gateways and workers ask of the database that fails.",
        "percentunit",
        f"{_rate('activation_store_failures_total')} / {_rate(f'{_OPERATION}_count')}",
        steps=((None, "green"), (0.01, "orange"), (0.5, "red")),
        decimals=1,
    ),
    number(
        "Pool in use",
        "Of the pod that has the least left. At 100 % requests wait for a connection: raise "
        "database.poolSize.",
        "percentunit",
        f'max(activation_store_connections{{{_HERE}, state="in_use"}}'
        f" / on (namespace, job, pod) activation_store_connections_max{{{_HERE}}})",
        steps=((None, "green"), (0.9, "orange")),
        decimals=0,
    ),
    number(
        "Leases reaped",
        "Within the last hour: tasks taken back from workers that gave no sign.",
        "none",
        _hour("activation_leases_reaped_total"),
        steps=NONE_IS_GOOD,
        decimals=0,
    ),
    number(
        "Tasks stored",
        "Tasks that have not ended.",
        "short",
        f'sum(max by (state) (activation_tasks{{{_HERE}, state=~"queued|running"}}))',
    ),
)

_OUTBOX: Final = (
    lines(
        "Age of the outbox",
        "How long the oldest message that is due has waited to be sent. A line that rises with "
        "time means that nothing is sent: RabbitMQ is away, or no gateway runs.",
        "s",
        Query(_AGE, "oldest unsent"),
        steps=((None, "transparent"), (60, "red")),
    ),
    lines(
        "Outbox",
        "Messages that wait to be sent. Some at each burst are normal.",
        "short",
        Query(f"max(activation_outbox_tasks{{{_HERE}}})", "unsent"),
    ),
    lines(
        "Sent",
        "Messages confirmed by RabbitMQ; of these, found by the sweep: retries, the next task of a "
        "device, and what a killed gateway left.",
        "ops",
        Query(_rate("activation_messages_published_total"), "confirmed"),
        Query(_rate("activation_outbox_swept_total"), "found by the sweep"),
    ),
    lines(
        "Leases",
        "Renewed by workers at work; taken back from workers that gave no sign. The second stays "
        "at 0 unless a worker is killed or cut off.",
        "ops",
        Query(_rate("activation_leases_renewed_total"), "renewed"),
        Query(_rate("activation_leases_reaped_total"), "taken back"),
    ),
)

_STATEMENTS: Final = (
    lines(
        "Time by operation",
        "The slow end, 99 of 100, of what is asked of the database; with the wait for a "
        "connection. accept is what a POST waits for.",
        "s",
        Query(
            "histogram_quantile(0.99, sum by (le, operation) "
            f"(rate({_OPERATION}_bucket{{{_HERE}}}[$__rate_interval])))",
            "{{operation}}",
        ),
    ),
    percentiles(
        "Time to accept",
        "How long the database takes to store new tasks, many at once.",
        _OPERATION,
        labels='operation="accept"',
        exemplars=False,
    ),
    lines(
        "Operations",
        "What is asked of the database. Accepting, claiming and finishing take many tasks at once, "
        "so these are fewer than tasks.",
        "ops",
        Query(_rate(f"{_OPERATION}_count", "operation"), "{{operation}}"),
        stacked=True,
    ),
    lines(
        "Failures",
        "What the database did not answer in time, or refused. Workers keep their results and try "
        "again; clients get 503.",
        "ops",
        Query(_rate("activation_store_failures_total", "operation"), "{{operation}}"),
        stacked=True,
    ),
)

_POOL: Final = (
    lines(
        "Connections in use",
        "By pod, and what each may open at most.",
        "none",
        Query(f'sum by (pod) (activation_store_connections{{{_HERE}, state="in_use"}})', "{{pod}}"),
        Query(f"max(activation_store_connections_max{{{_HERE}}})", "limit of a pod"),
    ),
    lines(
        "Connections",
        "All that are open to the database; PostgreSQL's max_connections must be above the pods' "
        "limits together.",
        "none",
        Query(
            f"sum by (job, state) (activation_store_connections{{{_HERE}}})",
            "{{job}}, {{state}}",
        ),
        Query(f"sum(activation_store_connections_max{{{_HERE}}})", "limits together"),
    ),
)

DASHBOARD: Final = board(
    UID,
    "Store",
    "Does the database answer, and does the outbox empty itself?",
    ("Now", _NOW),
    ("Outbox and leases", _OUTBOX),
    ("Statements", _STATEMENTS),
    ("Pool", _POOL),
)
