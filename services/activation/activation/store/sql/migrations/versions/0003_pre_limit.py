"""How many calls the target is given at once."""

import sqlalchemy as sa
from alembic import op

from activation.store.sql.schema import Utc

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Change the schema."""
    for column in (
        sa.Column("max_calls", sa.Integer(), comment="calls at once that an operator allows"),
        sa.Column(
            "overload_calls", sa.Integer(), comment="calls under way when it last had too many"
        ),
        sa.Column("overload_at", Utc()),
        sa.Column("recovered_at", Utc(), comment="when it is given as many again"),
    ):
        op.add_column("target", column)


def downgrade() -> None:
    """Change it back."""
    for name in ("recovered_at", "overload_at", "overload_calls", "max_calls"):
        op.drop_column("target", name)
