"""Is the fleet the right size, and does it grow and shrink with the queue?"""

from typing import Final

from observability.boards import board
from observability.panels import NONE_IS_GOOD, Query, lines, number, percentiles

UID: Final = "activation-workers"

_HERE: Final = 'namespace="$namespace"'
_READY: Final = f"namespace:activation_workers_ready:count{{{_HERE}}}"
_WANTED: Final = f"namespace:activation_workers_wanted:ceil{{{_HERE}}}"
_SLOTS: Final = f"namespace:activation_slots:sum{{{_HERE}}}"
_KEDA: Final = f"namespace:activation_keda_queue:max{{{_HERE}}}"


def _rate(metric: str, *by: str, labels: str = "") -> str:
    chosen = ", ".join(filter(None, (_HERE, labels)))
    return f"sum by ({', '.join(by)}) (rate({metric}{{{chosen}}}[$__rate_interval]))"


_NOW: Final = (
    number(
        "Workers",
        "Workers that answer Prometheus.",
        "none",
        _READY,
        steps=((None, "red"), (1, "green")),
    ),
    number(
        "Wanted",
        "Unfinished tasks, as KEDA reads them, divided by what one worker takes at once. KEDA "
        "keeps between its minReplicas and maxReplicas whatever stands here.",
        "none",
        _WANTED,
    ),
    number(
        "Slots in use",
        "Share of the calls that all workers could make at once. At 100 % for long, tasks wait: "
        "look whether more workers come.",
        "percentunit",
        f"namespace:activation_slots_in_use:ratio{{{_HERE}}}",
        steps=((None, "green"), (0.95, "orange")),
        decimals=0,
    ),
    number(
        "KEDA reads",
        "Waiting and running tasks in RabbitMQ's queue, as KEDA last read them. 0 beside a full "
        "queue takes workers away: see the page of ActivationKedaReadsZero.",
        "short",
        _KEDA,
    ),
    number(
        "KEDA's errors",
        "How often within the last hour KEDA could not read the queue. After three times in a row "
        "it goes to the number of workers that is set as its fallback.",
        "none",
        f"namespace:activation_keda_errors:increase1h{{{_HERE}}}",
        steps=NONE_IS_GOOD,
        decimals=0,
    ),
    number(
        "KEDA paused",
        "1: somebody has paused KEDA here by an annotation of the ScaledObject, and the fleet "
        "stays as it is.",
        "none",
        f"namespace:activation_keda_paused:max{{{_HERE}}}",
        steps=NONE_IS_GOOD,
    ),
)

_FLEET: Final = (
    lines(
        "Queue as KEDA sees it",
        "Waiting and running tasks: what KEDA read, and what RabbitMQ says itself. The two differ "
        "for some seconds at most; if not, KEDA asks the wrong queue or gets no answer.",
        "short",
        Query(_KEDA, "KEDA"),
        Query(f"namespace:activation_queue_messages:max{{{_HERE}}}", "RabbitMQ"),
    ),
    lines(
        "Wanted and ready workers",
        "Ready below wanted for minutes: pods do not start, or maxReplicas is reached. Ready above "
        "wanted is no fault: a fleet shrinks slowly, and never below minReplicas.",
        "none",
        Query(_WANTED, "wanted"),
        Query(_READY, "ready"),
        Query(f"sum(activation_worker_draining{{{_HERE}}})", "of these, leaving"),
    ),
    lines(
        "Slots",
        "Calls that the fleet could make at once, and those that it makes.",
        "short",
        Query(_SLOTS, "slots"),
        Query(f"sum(activation_attempts_in_flight{{{_HERE}}})", "in use"),
    ),
    lines(
        "Calls by worker",
        "Calls that each worker makes now. They should be even; one with far fewer than the others "
        "while tasks wait has lost RabbitMQ or its database.",
        "short",
        Query(f"sum by (pod) (activation_attempts_in_flight{{{_HERE}}})", "{{pod}}"),
        stacked=True,
    ),
    lines(
        "Scaling events",
        "How often workers came and went, within 5 minutes. Many of both: the fleet flaps, and "
        "keda.scaleDown.stabilizationWindowSeconds should be longer.",
        "none",
        Query(f"sum(resets({_READY}[5m]))", "went"),
        Query(f"sum(changes({_READY}[5m])) - sum(resets({_READY}[5m]))", "came"),
    ),
    lines(
        "Draining",
        "How long each leaving worker has been finishing its calls. It may take as long as the "
        "longest call; beyond terminationGracePeriodSeconds Kubernetes kills it.",
        "s",
        Query(f"activation_worker_drain_seconds{{{_HERE}}}", "{{pod}}"),
    ),
)

_WORK: Final = (
    percentiles(
        "Wait in the queue",
        "From the moment a task could run until a worker began it. Rises when the fleet is too "
        "small. A dot is a task: follow it to its trace.",
        "activation_queue_wait_seconds",
    ),
    percentiles(
        "Time of one call",
        "How long the provisioning system takes to answer. A dot is an attempt: follow it to its "
        "trace.",
        "activation_attempt_duration_seconds",
    ),
    lines(
        "Attempts",
        "How calls end. completed: done. unavailable, unreachable, overloaded, unreadable: the "
        "provisioning system's trouble, tried again. no_answer: nothing within the deadline.",
        "ops",
        Query(_rate("activation_attempts_total", "reason"), "{{reason}}"),
        stacked=True,
    ),
    lines(
        "Retries",
        "Attempts that will be made again, by why the last one failed.",
        "ops",
        Query(_rate("activation_retries_total", "reason"), "{{reason}}"),
        stacked=True,
    ),
    lines(
        "Calls held back",
        "1: no call begins, or one at a time on trial. The provisioning system fails or asked for "
        "rest, or an operator paused it: `activation target show`.",
        "none",
        Query(f"max(activation_target_held{{{_HERE}}})", "held back"),
        steps=NONE_IS_GOOD,
    ),
    lines(
        "Messages with nothing to do",
        "Deliveries whose task had ended, or ran elsewhere. Some are normal after a restart of "
        "RabbitMQ or a worker; they cost nothing. Unreadable ones go to the dead queue.",
        "ops",
        Query(_rate("activation_deliveries_absorbed_total", "why"), "{{why}}"),
        Query(_rate("activation_deliveries_unreadable_total"), "unreadable"),
        stacked=True,
    ),
    lines(
        "Leases lost and late results",
        "A worker that was silent for too long loses its lease: it stops its call, or its result "
        "comes too late and changes nothing. Both mean that a worker hung, or lost its database.",
        "ops",
        Query(_rate("activation_leases_lost_total"), "leases lost"),
        Query(_rate("activation_results_stale_total"), "late results"),
    ),
)

DASHBOARD: Final = board(
    UID,
    "Workers and autoscaling",
    "Is the fleet the right size, and does it grow and shrink with the queue?",
    ("Now", _NOW),
    ("Fleet", _FLEET),
    ("Work", _WORK),
)
