"""What the gateway counts, beside `activation.telemetry.metrics`. No task's id is a label."""

from prometheus_client import Counter, Gauge, Histogram

from activation.telemetry.metrics import ANSWER_S

REQUEST_DURATION = Histogram(
    "activation_http_request_duration_seconds",
    "From the head of a request to the end of its answer; one that waits for a task waits here too",
    ["method", "route", "status"],
    buckets=ANSWER_S,
)
ACCEPTED = Counter("activation_tasks_accepted", "Tasks made durable; repeated requests make none")
PUBLISHED = Counter("activation_messages_published", "Messages confirmed by the broker")
PUBLISH_FAILURES = Counter(
    "activation_messages_unconfirmed", "Messages that the broker did not confirm; tried again"
)
PUBLISH_DURATION = Histogram(
    "activation_publish_duration_seconds",
    "From sending a message until the broker confirmed it",
    buckets=ANSWER_S,
)
SWEPT = Counter(
    "activation_outbox_swept", "Messages found due in the outbox and not offered by this gateway"
)
REPUBLISHED = Counter(
    "activation_messages_lost", "Messages that the broker lost; published again from the store"
)
LEASES_REAPED = Counter("activation_leases_reaped", "Running tasks taken back from lost workers")

# Every gateway shows the same; NaN while the store cannot be asked, for an old number would lie.
TASKS = Gauge(
    "activation_tasks", "Unfinished tasks in the store, by state; NaN: unknown", ["state"]
)
DEAD_LETTERS = Gauge(
    "activation_dead_letters", "Tasks that used up their attempts, until replayed; NaN: unknown"
)
UNPUBLISHED = Gauge(
    "activation_outbox_tasks", "Tasks whose message is due and not confirmed; NaN: unknown"
)
UNPUBLISHED_AGE = Gauge(
    "activation_outbox_age_seconds", "How long the oldest of them has been due; NaN: unknown"
)
OLDEST_QUEUED = Gauge(
    "activation_oldest_queued_seconds",
    "Time since the oldest queued task was accepted, 0 without any; NaN: unknown",
)
TARGET_HELD = Gauge(
    "activation_target_held",
    "1 while calls of the provisioning system are held back, by the breaker, its Retry-After or an "
    "operator's pause; NaN: unknown",
)
