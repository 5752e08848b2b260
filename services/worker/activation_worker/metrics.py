"""What the worker counts, beside `activation.telemetry.metrics`. No task's id is a label."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from activation.domain.outcome import REASONS, Meaning, Reason
from activation.domain.task import State
from activation.telemetry.metrics import CALL_S
from activation.telemetry.tracing import exemplar

CLAIMED = Counter("activation_attempts_started", "Attempts begun")
ATTEMPTS = Counter("activation_attempts", "Attempts ended by an outcome, by its reason", ["reason"])
RETRIES = Counter("activation_retries", "Attempts to be made again, by reason", ["reason"])
ABSORBED = Counter(
    "activation_deliveries_absorbed", "Deliveries with nothing to do, by what the task was", ["why"]
)
UNREADABLE = Counter("activation_deliveries_unreadable", "Deliveries sent to the dead letters")
STALE = Counter("activation_results_stale", "Results that came after their fence had moved")
LEASES_LOST = Counter("activation_leases_lost", "Calls ended because the lease was lost")
LEASES_RENEWED = Counter("activation_leases_renewed", "Leases renewed")
IN_FLIGHT = Gauge("activation_attempts_in_flight", "Calls being made now")
CAPACITY = Gauge("activation_worker_capacity", "Calls that this worker makes at once at most")
DRAINING = Gauge("activation_worker_draining", "1 while the worker finishes before it stops")
DRAIN = Gauge(
    "activation_worker_drain_seconds", "How long the worker has been draining; 0: it is not"
)
QUEUE_WAIT = Histogram(
    "activation_queue_wait_seconds",
    "From the moment a task could run until an attempt began",
    buckets=CALL_S,
)
ATTEMPT_DURATION = Histogram(
    "activation_attempt_duration_seconds", "One call of the handler", buckets=CALL_S
)

RUNNING_HERE: Final = "running_here"

# A counter that begins with its first event hides that event from `increase`.
for _why in (RUNNING_HERE, *State):
    ABSORBED.labels(_why)
for _reason, _meaning in REASONS.items():
    if _reason not in {
        Reason.WORKER_LOST,
        Reason.LOCKED,
        Reason.CANCELLED,
    }:  # never the outcome of a call
        ATTEMPTS.labels(_reason.value)
        if _meaning not in {Meaning.SUCCESS, Meaning.PERMANENT}:
            RETRIES.labels(_reason.value)


@contextmanager
def calling() -> Iterator[None]:
    """Measure one call of the handler."""
    begun = perf_counter()
    try:
        with IN_FLIGHT.track_inprogress():
            yield
    finally:
        ATTEMPT_DURATION.observe(perf_counter() - begun, exemplar())


@contextmanager
def draining(now: Callable[[], float]) -> Iterator[None]:
    """Show that the worker drains, and since when."""
    begun = now()
    DRAIN.set_function(lambda: now() - begun)
    try:
        with DRAINING.track_inprogress():
            yield
    finally:
        DRAIN.set_function(lambda: 0.0)
