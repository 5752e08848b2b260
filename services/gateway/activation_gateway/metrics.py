"""What the gateway counts. The task's id is never a label."""

from prometheus_client import Counter, Gauge

ACCEPTED = Counter("activation_tasks_accepted", "Tasks made durable")
PUBLISHED = Counter("activation_messages_published", "Messages confirmed by the broker")
PUBLISH_FAILURES = Counter(
    "activation_messages_unconfirmed", "Messages that the broker did not confirm; tried again"
)
SWEPT = Counter(
    "activation_outbox_swept", "Messages found due in the outbox and not offered by this gateway"
)
REPUBLISHED = Counter(
    "activation_messages_lost", "Messages that the broker lost; published again from the store"
)
LEASES_REAPED = Counter("activation_leases_reaped", "Running tasks taken back from lost workers")
DEAD_LETTERS = Counter(
    "activation_reaper_dead_letters", "Tasks that lost their last attempt with a worker"
)
TASKS = Gauge("activation_tasks", "Tasks in the store, by state", ["state"])
DEAD_LETTERS_KEPT = Gauge("activation_dead_letters", "Tasks that used up their attempts")
UNPUBLISHED = Gauge("activation_outbox_tasks", "Tasks whose message is due and not confirmed")
UNPUBLISHED_AGE = Gauge("activation_outbox_age_seconds", "How long the oldest of them has been due")
OLDEST_QUEUED = Gauge(
    "activation_oldest_queued_seconds", "Time since the oldest queued task was accepted"
)
BROKER_UP = Gauge("activation_broker_connected", "1 while a session with RabbitMQ is open")
