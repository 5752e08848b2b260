"""What gateway and worker both measure; what only one of them does stands in its own `metrics`.

Names and units follow Prometheus ("Metric and label naming"). A label has few values: tasks,
devices and traces are none. An exemplar leads from a bucket to a trace (OpenMetrics 1.0).
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from time import perf_counter
from typing import Final, assert_never

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from activation.domain.outcome import REASONS, Meaning, Reason
from activation.domain.task import State
from activation.errors import StoreUnavailableError
from activation.telemetry.tracing import exemplar

disable_created_metrics()  # type: ignore[no-untyped-call]  # series that nobody asks for

# Calls take about a minute; the buckets must still tell 90 s from 120 s, and show a timeout of 900.
CALL_S: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 75, 90, 120, 180, 300, 900)
ANSWER_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

BUILD = Info("activation_build", "What runs here")
BROKER_CONNECTED = Gauge(
    "activation_broker_connected", "1 while a session with RabbitMQ is open, else 0"
)
TASKS_FINISHED = Counter(
    "activation_tasks_finished",
    "Tasks ended, each counted once: by the worker, or by the gateway whose reaper or API ended it",
    ["outcome", "reason"],
)
TASK_DURATION = Histogram(
    "activation_task_duration_seconds",
    "From acceptance to the end of a task",
    ["outcome"],
    buckets=CALL_S,
)
STORE_OPERATION_DURATION = Histogram(
    "activation_store_operation_duration_seconds",
    "One operation of the store, the wait for a connection included, also if it fails",
    ["operation"],
    buckets=ANSWER_S,
)
STORE_FAILURES = Counter(
    "activation_store_failures",
    "Operations that the store did not answer in time, or refused",
    ["operation"],
)
STORE_CONNECTIONS = Gauge(
    "activation_store_connections", "Connections of this process's pool to the store", ["state"]
)
STORE_CONNECTIONS_MAX = Gauge(
    "activation_store_connections_max", "Connections that the pool opens at most"
)

_SUCCEEDED, _CANCELLED = "succeeded", "cancelled"
_REFUSED: Final = "refused"  # the handler's final no
_DEAD_LETTERED: Final = "dead_lettered"

# A counter that begins with its first event hides that event from `increase`.
for _outcome in (_SUCCEEDED, _CANCELLED):
    TASKS_FINISHED.labels(_outcome, "")
for _reason, _meaning in REASONS.items():
    if _meaning is Meaning.PERMANENT:
        TASKS_FINISHED.labels(_REFUSED, _reason.value)
    elif _meaning in {Meaning.TRANSIENT, Meaning.UNKNOWN} and _reason is not Reason.LOCKED:
        TASKS_FINISHED.labels(_DEAD_LETTERED, _reason.value)
# The same for what counts against the objective: a fleet that scales has many a first dead letter.
for _outcome in (_SUCCEEDED, _REFUSED, _DEAD_LETTERED, _CANCELLED):
    TASK_DURATION.labels(_outcome)


def tell_build(service: str) -> None:
    """Tell which service this is, `gateway` or `worker`, and what it is made of."""
    BUILD.info(
        {
            "service": service,
            "version": version(f"activation-{service}"),
            "python": platform.python_version(),
        }
    )


def count_end(state: State, reason: Reason, *, dead_letter: bool, after_s: float) -> None:
    """Count a task that has ended; to be called once, by whoever ended it.

    Args:
        state: How it ended.
        reason: Why; told of failures alone.
        dead_letter: It used up its attempts.
        after_s: Seconds since it was accepted.
    """
    why = ""
    match state:
        case State.SUCCEEDED:
            outcome = _SUCCEEDED
        case State.CANCELLED:
            outcome = _CANCELLED
        case State.FAILED:
            outcome, why = _DEAD_LETTERED if dead_letter else _REFUSED, reason.value
        case State.QUEUED | State.RUNNING:
            raise ValueError(f"a task that is {state} has not ended")
        case _:
            assert_never(state)
    TASKS_FINISHED.labels(outcome, why).inc()
    TASK_DURATION.labels(outcome).observe(after_s, exemplar())


@contextmanager
def store_operation(name: str) -> Iterator[None]:
    """Measure one operation of the store."""
    failures = STORE_FAILURES.labels(name)  # made before the first failure: see above
    begun = perf_counter()
    try:
        yield
    except StoreUnavailableError:
        failures.inc()
        raise
    finally:
        STORE_OPERATION_DURATION.labels(name).observe(perf_counter() - begun)
