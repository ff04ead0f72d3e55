"""Messages that are being answered."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("message", sa.Column("answering_until", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("message", "answering_until")
