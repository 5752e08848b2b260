"""Is it healthy, and how long do customers wait?"""

from typing import Final

from observability.boards import board
from observability.objectives import (
    ANSWER_LIMIT_S,
    ANSWERED,
    BURNS,
    END_LIMIT_S,
    FINISHED,
    PERIOD,
    Objective,
)
from observability.panels import NONE_IS_GOOD, Query, lines, number, percentiles, to_dashboard

UID: Final = "activation-overview"

_HERE: Final = 'namespace="$namespace"'
_POST: Final = 'method="POST", route="/api/v1/equipment/cpe/{id}"'
_HTTP: Final = "activation_http_request_duration_seconds"
_BUDGET: Final = ((None, "red"), (0, "orange"), (0.25, "green"))
_FASTEST: Final = max(burn.factor for burn in BURNS)


def _budget(objective: Objective) -> str:
    labels = f'{_HERE}, objective="{objective.name}", window="{PERIOD}"'
    return f"namespace:activation_error_budget:ratio{{{labels}}}"


def _burn(objective: Objective, window: str) -> str:
    labels = f'{_HERE}, objective="{objective.name}", window="{window}"'
    return f"namespace:activation_bad_events:ratio{{{labels}}} / {objective.budget}"


_HEALTH: Final = (
    number(
        "Alerts firing",
        "Alerts of this installation that fire now. Each has a page in docs/runbooks.",
        "none",
        f'count(ALERTS{{{_HERE}, alertname=~"Activation.+", alertstate="firing"}}) or vector(0)',
        steps=((None, "green"), (1, "red")),
    ),
    number(
        "Budget left: answered",
        f"Of the {ANSWERED.budget:.1%} of POSTs in 30 days that may fail, be refused with 429 or "
        f"take more than {ANSWER_LIMIT_S:g} s, this much is left. Below 0 the promise is broken.",
        "percentunit",
        _budget(ANSWERED),
        steps=_BUDGET,
        decimals=1,
    ),
    number(
        "Budget left: finished",
        f"Of the {FINISHED.budget:.0%} of tasks in 30 days that may become dead letters or take "
        f"more than {END_LIMIT_S:g} s, this much is left. Refused and cancelled ones don't count.",
        "percentunit",
        _budget(FINISHED),
        steps=_BUDGET,
        decimals=1,
    ),
    number(
        "Waiting tasks",
        "Accepted and not begun: for a worker, for an earlier task of the same device, or for the "
        "time of their next attempt.",
        "short",
        f'max(activation_tasks{{{_HERE}, state="queued"}})',
        more=to_dashboard("activation-workers", "Is the fleet large enough?"),
    ),
    number(
        "Longest wait",
        "Since the oldest task that waits was accepted. It may wait for a retry: "
        "`activation list --state queued`, then `activation explain TASK`, says for what.",
        "s",
        f"max(activation_oldest_queued_seconds{{{_HERE}}})",
        steps=((None, "text"), (END_LIMIT_S, "orange")),
    ),
    number(
        "Dead letters",
        "Given up after their last attempt, kept until an operator replays them: "
        "`activation dead-letters list`.",
        "short",
        f"max(activation_dead_letters{{{_HERE}}})",
        steps=NONE_IS_GOOD,
    ),
)

_API: Final = (
    lines(
        "Requests",
        "What clients ask of the gateways, by route. Paths that do not exist are one line.",
        "reqps",
        Query(
            f"sum by (method, route) (rate({_HTTP}_count{{{_HERE}}}[$__rate_interval]))",
            "{{method}} {{route}}",
        ),
        stacked=True,
        span=8,
    ),
    lines(
        "Errors",
        "Share of all requests that got this status. 4xx are the clients' own mistakes, but for "
        "429: the backlog is full. 503: the database is away. A 500 to a GET is the news that an "
        "activation failed.",
        "percentunit",
        Query(
            f'sum by (status) (rate({_HTTP}_count{{{_HERE}, status=~"[45].."}}[$__rate_interval]))'
            f" / scalar(sum(rate({_HTTP}_count{{{_HERE}}}[$__rate_interval])))",
            "{{status}}",
        ),
        span=8,
    ),
    percentiles(
        "Time to accept",
        "From a POST to its answer, when the task is safe in the database. A dot is a request: "
        "follow it to its trace.",
        _HTTP,
        labels=_POST,
        steps=((None, "transparent"), (ANSWER_LIMIT_S, "red")),
        span=8,
    ),
)

_TASKS: Final = (
    percentiles(
        "Time to the end",
        "From acceptance to the end of a task, as the customer waits: queue, attempts and pauses "
        "between them. A dot is a task: follow it to its trace.",
        "activation_task_duration_seconds",
        labels='outcome!="cancelled"',
        steps=((None, "transparent"), (END_LIMIT_S, "red")),
    ),
    lines(
        "Outcomes",
        "How tasks end. Refused: the provisioning system's final no. Dead-lettered: no attempt "
        "succeeded, an operator must look.",
        "ops",
        Query(
            "sum by (outcome) "
            f"(rate(activation_tasks_finished_total{{{_HERE}}}[$__rate_interval]))",
            "{{outcome}}",
        ),
        stacked=True,
    ),
    lines(
        "Why tasks fail",
        "The reason of the last attempt. unknown_equipment: the device is not known there. "
        "provisioning_error: its 500. no_answer: the deadline passed, it may have acted.",
        "ops",
        Query(
            "sum by (outcome, reason) (rate(activation_tasks_finished_total"
            f'{{{_HERE}, outcome=~"refused|dead_lettered"}}[$__rate_interval])) > 0',
            "{{outcome}}: {{reason}}",
        ),
        stacked=True,
    ),
    lines(
        "Backlog",
        "Tasks that have not ended. Unsent are those whose message RabbitMQ has not confirmed: "
        "more than a moment of them means that it is away.",
        "short",
        Query(f'max(activation_tasks{{{_HERE}, state="queued"}})', "waiting"),
        Query(f'max(activation_tasks{{{_HERE}, state="running"}})', "running"),
        Query(f"max(activation_outbox_tasks{{{_HERE}}})", "unsent"),
    ),
    lines(
        "In and out",
        "Tasks accepted and ended. While more come in than go out, customers wait longer.",
        "ops",
        Query(
            f"sum(rate(activation_tasks_accepted_total{{{_HERE}}}[$__rate_interval]))",
            "accepted",
        ),
        Query(
            f"sum(rate(activation_tasks_finished_total{{{_HERE}}}[$__rate_interval]))",
            "ended",
        ),
    ),
    lines(
        "Budget burnt",
        "How many times as fast as allowed failures use up the budget of 30 days, by the last "
        f"hour and the last 6 hours. Above {_FASTEST:g} in an hour somebody is called.",
        "none",
        *(
            Query(_burn(objective, window), f"{objective.name}, {window}")
            for objective in (ANSWERED, FINISHED)
            for window in ("1h", "6h")
        ),
        steps=((None, "transparent"), (1, "orange"), (_FASTEST, "red")),
    ),
)

DASHBOARD: Final = board(
    UID,
    "Overview",
    "Is it healthy, and how long do customers wait?",
    ("Now", _HEALTH),
    ("API", _API),
    ("Tasks", _TASKS),
)
