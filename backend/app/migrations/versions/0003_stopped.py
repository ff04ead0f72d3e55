"""Answers that are not wanted any more."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column(
        "message", sa.Column("stopped", sa.Boolean, server_default=sa.false(), nullable=False)
    )


def downgrade() -> None:
    op.drop_column("message", "stopped")
