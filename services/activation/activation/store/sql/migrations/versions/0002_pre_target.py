"""What all workers know about the target."""

import sqlalchemy as sa
from alembic import op

from activation.store.sql.schema import Utc

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Change the schema."""
    op.create_table(
        "target",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("paused_at", Utc(), comment="since when an operator keeps all calls back"),
        sa.Column("held_until", Utc(), comment="no call before this moment"),
        sa.Column(
            "trips",
            sa.Integer(),
            nullable=False,
            comment="openings in a row; 0: the breaker is closed",
        ),
        sa.Column("prober", sa.String(length=255), comment="the worker that probes"),
        sa.Column("probe_until", Utc()),
        sa.Column("why", sa.Text()),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    """Change it back."""
    op.drop_table("target")
