"""What the worker counts. The task's id is never a label."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

# Calls take about a minute; the buckets must still tell 90 s from 120 s, and show a timeout of 900.
_SECONDS: Final = (0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 20, 30, 45, 60, 75, 90, 120, 180, 300, 900)

CLAIMED = Counter("activation_attempts_started", "Attempts begun")
ATTEMPTS = Counter("activation_attempts", "Attempts ended, by reason", ["reason"])
FINISHED = Counter("activation_tasks_finished", "Tasks ended, by state", ["state"])
RETRIES = Counter("activation_retries", "Attempts to be made again, by reason", ["reason"])
DEAD_LETTERS = Counter("activation_tasks_dead_lettered", "Tasks that used up their attempts")
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
QUEUE_WAIT = Histogram(
    "activation_queue_wait_seconds",
    "From the moment a task could run until an attempt began",
    buckets=_SECONDS,
)
ATTEMPT_DURATION = Histogram(
    "activation_attempt_duration_seconds", "One call of the handler", buckets=_SECONDS
)
END_TO_END = Histogram(
    "activation_task_duration_seconds", "From acceptance to the end of a task", buckets=_SECONDS
)
