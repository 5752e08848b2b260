"""The tables of the first version."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from activation.store.sql.schema import Utc

revision = "0001"
down_revision = None

_serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "events",
        sa.Column("seq", _serial, nullable=False),
        sa.Column("task_id", sa.Uuid(), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(length=255)),
        sa.Column("reason", sa.String(length=32)),
        sa.Column("message", sa.Text()),
        sa.Column("not_before", Utc()),
        sa.PrimaryKeyConstraint("seq"),
    )
    op.create_index("ix_events_task_id", "events", ["task_id"])
    op.create_table(
        "tasks",
        sa.Column("seq", _serial, nullable=False, comment="the order in which tasks were accepted"),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("equipment", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("timeout_s", sa.Integer(), nullable=False),
        sa.Column(
            "parameters", sa.Text(), nullable=False, comment="a JSON object; may hold secrets"
        ),
        sa.Column("traceparent", sa.String(length=64)),
        sa.Column("idempotency_key", sa.String(length=255)),
        sa.Column(
            "fingerprint", sa.String(length=64), comment="what the idempotency key stands for"
        ),
        sa.Column("accepted_at", Utc(), nullable=False),
        sa.Column(
            "head", sa.Boolean(), nullable=False, comment="first in the line of its equipment"
        ),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="the fence; it only grows"),
        sa.Column("uncounted", sa.Integer(), nullable=False, comment="attempts outside the limit"),
        sa.Column("runnable_at", Utc(), comment="since when nothing but a worker is missing"),
        sa.Column("not_before", Utc(), comment="a retry waits for this moment"),
        sa.Column(
            "publish_at", Utc(), comment="from then on the outbox owes a message; null: nothing"
        ),
        sa.Column("published_at", Utc()),
        sa.Column("started_at", Utc()),
        sa.Column("lease_until", Utc()),
        sa.Column("worker", sa.String(length=255)),
        sa.Column("finished_at", Utc()),
        sa.Column("reason", sa.String(length=32)),
        sa.Column("message", sa.Text()),
        sa.Column("dead_letter", sa.Boolean(), nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.CheckConstraint(
            "(finished_at is not null) = (state in ('succeeded', 'failed', 'cancelled'))",
            name="ended_tasks_have_an_end",
        ),
        sa.CheckConstraint(
            "(lease_until is not null) = (state = 'running')", name="running_tasks_have_a_lease"
        ),
        sa.CheckConstraint("head or state <> 'running'", name="only_the_first_in_line_runs"),
        sa.CheckConstraint("not head or finished_at is null", name="ended_tasks_leave_the_line"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
    )
    op.create_index("ended_tasks", "tasks", ["finished_at"], **_where("finished_at is not null"))
    op.create_index(
        "idempotency_keys",
        "tasks",
        ["idempotency_key"],
        unique=True,
        **_where("idempotency_key is not null"),
    )
    op.create_index("leases", "tasks", ["lease_until"], **_where("lease_until is not null"))
    op.create_index("one_head_per_equipment", "tasks", ["equipment"], unique=True, **_where("head"))
    op.create_index("outbox", "tasks", ["publish_at"], **_where("publish_at is not null"))
    op.create_index("tasks_by_equipment", "tasks", ["equipment", "seq"])
    op.create_index("dead_letters", "tasks", ["seq"], **_where("dead_letter"))
    op.create_index(
        "unfinished_by_equipment", "tasks", ["equipment", "seq"], **_where("finished_at is null")
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_index("unfinished_by_equipment", table_name="tasks")
    op.drop_index("dead_letters", table_name="tasks")
    op.drop_index("tasks_by_equipment", table_name="tasks")
    op.drop_index("outbox", table_name="tasks")
    op.drop_index("one_head_per_equipment", table_name="tasks")
    op.drop_index("leases", table_name="tasks")
    op.drop_index("idempotency_keys", table_name="tasks")
    op.drop_index("ended_tasks", table_name="tasks")
    op.drop_table("tasks")
    op.drop_index("ix_events_task_id", table_name="events")
    op.drop_table("events")
