"""Does RabbitMQ take messages, and does somebody take them out?"""

from typing import Final

from observability.boards import board, choice
from observability.panels import NONE_IS_GOOD, Query, lines, number, percentiles

UID: Final = "activation-rabbitmq"

_HERE: Final = 'namespace="$namespace"'
_QUEUE: Final = f'{_HERE}, queue=~"$queue"'
_PART: Final = ((None, "green"), (0.8, "orange"), (1, "red"))


def _queue(metric: str) -> str:
    """Return a number of each queue: its leader tells it, the other nodes nothing or the same."""
    return f"max by (queue) (rabbitmq_detailed_{metric}{{{_QUEUE}}})"


def _flow(metric: str) -> str:
    """Return a rate of each queue: RabbitMQ 4 counts by queue, earlier ones only by channel."""
    by_queue, by_channel = (
        f"sum by (queue) (rate(rabbitmq_detailed_{part}_messages_{metric}{{{_QUEUE}}}"
        "[$__rate_interval]))"
        for part in ("queue", "channel")
    )
    return f"{by_queue} or {by_channel}"


def _published(metric: str) -> str:
    counter = f"rabbitmq_detailed_channel_messages_{metric}{{{_HERE}}}"
    return f"sum(rate({counter}[$__rate_interval]))"


_NOW: Final = (
    number(
        "Alarms",
        "Memory or disk is short: RabbitMQ takes no messages until it has more. Tasks are still "
        "accepted, and wait in the database.",
        "none",
        f"max(rabbitmq_alarms_memory_used_watermark{{{_HERE}}})"
        f" + max(rabbitmq_alarms_free_disk_space_watermark{{{_HERE}}})",
        steps=((None, "green"), (1, "red")),
    ),
    number(
        "Services connected",
        "Share of gateways and workers that have a connection. One without does its share of the "
        "work as soon as it is back; nothing is lost meanwhile.",
        "percentunit",
        f"avg(activation_broker_connected{{{_HERE}}})",
        steps=((None, "red"), (1, "green")),
        decimals=0,
    ),
    number(
        "Memory",
        "Of the fullest node, as a share of the limit at which it stops to take messages.",
        "percentunit",
        f"max(rabbitmq_process_resident_memory_bytes{{{_HERE}}}"
        f" / rabbitmq_resident_memory_limit_bytes{{{_HERE}}})",
        steps=_PART,
        decimals=0,
    ),
    number(
        "Free disk",
        "Of the node that has the least.",
        "bytes",
        f"min(rabbitmq_disk_space_available_bytes{{{_HERE}}})",
    ),
    number(
        "Connections",
        "Open connections, to all nodes. Each gateway and worker has one.",
        "none",
        f"sum(rabbitmq_connections{{{_HERE}}})",
    ),
    number(
        "Messages lost",
        "Within the last hour: tasks whose message RabbitMQ had confirmed and lost. They were "
        "published again; it should never happen.",
        "none",
        f"sum(increase(activation_messages_lost_total{{{_HERE}}}[1h]))",
        steps=NONE_IS_GOOD,
        decimals=0,
    ),
)

_QUEUES: Final = (
    lines(
        "Ready",
        "Messages that wait for a worker. Those in activation.dead could not be read by any.",
        "short",
        Query(_queue("queue_messages_ready"), "{{queue}}"),
        span=8,
    ),
    lines(
        "Unacknowledged",
        "Messages of tasks that workers carry out now.",
        "short",
        Query(_queue("queue_messages_unacked"), "{{queue}}"),
        span=8,
    ),
    lines(
        "Consumers",
        "Workers that take from each queue. 0 at activation.tasks with messages ready: nothing "
        "begins. activation.dead has none by design.",
        "none",
        Query(_queue("queue_consumers"), "{{queue}}"),
        span=8,
    ),
    lines(
        "Delivered",
        "Messages handed to workers.",
        "ops",
        Query(_flow("delivered_ack_total"), "{{queue}}"),
        span=8,
    ),
    lines(
        "Acknowledged",
        "Messages whose attempt is over and stored.",
        "ops",
        Query(_flow("acked_total"), "{{queue}}"),
        span=8,
    ),
    lines(
        "Redelivered",
        "Messages handed out again: a worker left, or a connection broke. Tasks are not carried "
        "out twice by this.",
        "ops",
        Query(_flow("redelivered_total"), "{{queue}}"),
        span=8,
    ),
)

_PUBLISHING: Final = (
    lines(
        "Published and confirmed",
        "Messages from the gateways, and RabbitMQ's word that it has stored them. The two lines "
        "lie on each other.",
        "ops",
        Query(_published("published_total"), "published"),
        Query(_published("confirmed_total"), "confirmed"),
    ),
    percentiles(
        "Time to confirm",
        "From sending a message until RabbitMQ has stored it on most of its nodes. Slow disks show "
        "here first.",
        "activation_publish_duration_seconds",
        exemplars=False,
    ),
    lines(
        "Not confirmed",
        "Messages sent without a confirm: refused, or the connection broke meanwhile. They are "
        "sent again.",
        "ops",
        Query(
            f"sum by (pod) (rate(activation_messages_unconfirmed_total{{{_HERE}}}"
            "[$__rate_interval]))",
            "{{pod}}",
        ),
    ),
    lines(
        "Services connected",
        "Gateways and workers with a connection, and all that there are.",
        "none",
        Query(f"sum by (job) (activation_broker_connected{{{_HERE}}})", "{{job}}, connected"),
        Query(f"count by (job) (activation_broker_connected{{{_HERE}}})", "{{job}}, all"),
    ),
)

_NODES: Final = (
    lines(
        "Memory by node",
        "Used, and the limit at which a node stops to take messages.",
        "bytes",
        Query(f"rabbitmq_process_resident_memory_bytes{{{_HERE}}}", "{{pod}}"),
        Query(f"min(rabbitmq_resident_memory_limit_bytes{{{_HERE}}})", "limit"),
    ),
    lines(
        "Free disk by node",
        "And the limit below which a node stops to take messages.",
        "bytes",
        Query(f"rabbitmq_disk_space_available_bytes{{{_HERE}}}", "{{pod}}"),
        Query(f"max(rabbitmq_disk_space_available_limit_bytes{{{_HERE}}})", "limit"),
    ),
)

DASHBOARD: Final = board(
    UID,
    "RabbitMQ",
    "Does RabbitMQ take messages, and does somebody take them out?",
    ("Now", _NOW),
    ("Queues", _QUEUES),
    ("Publishing", _PUBLISHING),
    ("Nodes", _NODES),
    variables=(
        choice(
            "queue",
            "Queue",
            'label_values(rabbitmq_detailed_queue_messages{namespace="$namespace"}, queue)',
            every=True,
        ),
    ),
)
