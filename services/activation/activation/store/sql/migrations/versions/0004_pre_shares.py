"""Whose tasks they are, and which of them wait for their caller's share."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_INDEXES = {
    "shares": "caller is not null and head and not deferred"
    " and lease_until is null and not_before is null",
    "deferred_tasks": "deferred",
}


def upgrade() -> None:
    """Change the schema."""
    for column in (
        sa.Column("caller", sa.Text(), comment="who asked for it, if callers have to say"),
        sa.Column(
            "deferred",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="its caller's share is used up",
        ),
    ):
        op.add_column("tasks", column)
    for name, chosen in _INDEXES.items():
        where = sa.text(chosen)
        op.create_index(
            name, "tasks", ["caller", "seq"], postgresql_where=where, sqlite_where=where
        )


def downgrade() -> None:
    """Change it back."""
    for name in _INDEXES:
        op.drop_index(name, "tasks")
    for name in ("deferred", "caller"):
        op.drop_column("tasks", name)
