"""Conversations and their messages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def upgrade() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("id", "user_id", name="conversation_owner"),
    )
    op.create_index("conversation_user_id", "conversation", ["user_id", "updated_at"])
    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("conversation_id", sa.BigInteger, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("tools", JSONB, nullable=False),
        _moment("created_at"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name="message_role"),
        sa.ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversation.id", "conversation.user_id"],
            name="message_conversation",
            ondelete="CASCADE",
        ),
    )
    op.create_index("message_conversation_id", "message", ["conversation_id", "id"])


def downgrade() -> None:
    op.drop_table("message")
    op.drop_table("conversation")
