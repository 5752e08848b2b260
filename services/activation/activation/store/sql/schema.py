"""The tables, and the invariants that the database itself enforces."""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    Uuid,
    false,
    text,
)

_ISO: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


def iso(moment: datetime) -> str:
    """Write a moment in the one form that sorts as text and that PostgreSQL reads."""
    return moment.astimezone(UTC).strftime(_ISO)


class Utc(TypeDecorator[datetime]):
    """A moment with a time zone: `timestamptz` on PostgreSQL, sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Choose the column type."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Convert on the way in."""
        return iso(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Convert on the way out."""
        if value is None or dialect.name != "sqlite":
            return value  # type: ignore[no-any-return]  # the driver made it a datetime
        return datetime.strptime(value, _ISO).replace(tzinfo=UTC)


metadata: Final = MetaData()

# What waits for a worker for the first time, and is not deferred.
WAITS_IN_SHARE: Final = (
    "caller is not null and head and not deferred and lease_until is null and not_before is null"
)

# SQLite numbers rows by itself only when the key is an INTEGER.
_serial = BigInteger().with_variant(Integer, "sqlite")

tasks: Final = Table(
    "tasks",
    metadata,
    Column("seq", _serial, primary_key=True, comment="the order in which tasks were accepted"),
    Column("id", Uuid, nullable=False, unique=True),
    Column("equipment", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("timeout_s", Integer, nullable=False),
    Column("parameters", Text, nullable=False, comment="a JSON object; may hold secrets"),
    Column("traceparent", String(64)),
    Column("idempotency_key", String(255)),
    Column("fingerprint", String(64), comment="what the idempotency key stands for"),
    Column("accepted_at", Utc, nullable=False),
    Column("head", Boolean, nullable=False, comment="first in the line of its equipment"),
    Column("attempt", Integer, nullable=False, comment="the fence; it only grows"),
    Column("uncounted", Integer, nullable=False, comment="attempts outside the limit"),
    Column("runnable_at", Utc, comment="since when nothing but a worker is missing"),
    Column("not_before", Utc, comment="a retry waits for this moment"),
    Column("publish_at", Utc, comment="from then on the outbox owes a message; null: nothing"),
    Column("published_at", Utc),
    Column("started_at", Utc),
    Column("lease_until", Utc),
    Column("worker", String(255)),
    Column("finished_at", Utc),
    Column("reason", String(32)),
    Column("message", Text),
    Column("dead_letter", Boolean, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("caller", Text, comment="who asked for it, if callers have to say"),
    Column(
        "deferred",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="its caller's share is used up",
    ),
    CheckConstraint(
        "(finished_at is not null) = (state in ('succeeded', 'failed', 'cancelled'))",
        name="ended_tasks_have_an_end",
    ),
    CheckConstraint(
        "(lease_until is not null) = (state = 'running')", name="running_tasks_have_a_lease"
    ),
    CheckConstraint("not head or finished_at is null", name="ended_tasks_leave_the_line"),
    CheckConstraint("head or state <> 'running'", name="only_the_first_in_line_runs"),
    # Tasks of one device never overlap, whatever the code does.
    Index(
        "one_head_per_equipment",
        "equipment",
        unique=True,
        postgresql_where=text("head"),
        sqlite_where=text("head"),
    ),
    Index(
        "unfinished_by_equipment",
        "equipment",
        "seq",
        postgresql_where=text("finished_at is null"),
        sqlite_where=text("finished_at is null"),
    ),
    Index("tasks_by_equipment", "equipment", "seq"),
    # No index on the state: planners would prefer it to the ids of a batch.
    Index(
        "dead_letters",
        "seq",
        postgresql_where=text("dead_letter"),
        sqlite_where=text("dead_letter"),
    ),
    Index(
        "outbox",
        "publish_at",
        postgresql_where=text("publish_at is not null"),
        sqlite_where=text("publish_at is not null"),
    ),
    # Without the state, which is a parameter of the statements.
    Index(
        "shares",
        "caller",
        "seq",
        postgresql_where=text(WAITS_IN_SHARE),
        sqlite_where=text(WAITS_IN_SHARE),
    ),
    Index(
        "deferred_tasks",
        "caller",
        "seq",
        postgresql_where=text("deferred"),
        sqlite_where=text("deferred"),
    ),
    Index(
        "leases",
        "lease_until",
        postgresql_where=text("lease_until is not null"),
        sqlite_where=text("lease_until is not null"),
    ),
    Index(
        "idempotency_keys",
        "idempotency_key",
        unique=True,
        postgresql_where=text("idempotency_key is not null"),
        sqlite_where=text("idempotency_key is not null"),
    ),
    Index(
        "ended_tasks",
        "finished_at",
        postgresql_where=text("finished_at is not null"),
        sqlite_where=text("finished_at is not null"),
    ),
)

# One row: all tasks go to the one handler that the workers are told.
target: Final = Table(
    "target",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("paused_at", Utc, comment="since when an operator keeps all calls back"),
    Column("held_until", Utc, comment="no call before this moment"),
    Column("trips", Integer, nullable=False, comment="openings in a row; 0: the breaker is closed"),
    Column("prober", String(255), comment="the worker that probes"),
    Column("probe_until", Utc),
    Column("why", Text),
    Column("max_calls", Integer, comment="calls at once that an operator allows"),
    Column("overload_calls", Integer, comment="calls under way when it last had too many"),
    Column("overload_at", Utc),
    Column("recovered_at", Utc, comment="when it is given as many again"),
)

# No foreign key: it would lock the task's row for each event, and only `purge` deletes tasks.
events: Final = Table(
    "events",
    metadata,
    Column("seq", _serial, primary_key=True),
    Column("task_id", Uuid, nullable=False, index=True),
    Column("at", Utc, nullable=False),
    Column("name", String(32), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("worker", String(255)),
    Column("reason", String(32)),
    Column("message", Text),
    Column("not_before", Utc),
)
