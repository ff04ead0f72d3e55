"""What a conversation and its messages are: their tables, and the shapes in which they go out.

It knows nothing of requests, of who asks, nor of what answers.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import StringConstraints
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    false,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

# The most characters that a person may send at once.
LONGEST_MESSAGE = 4000
TITLE_LENGTH = 60

# PostgreSQL's text cannot hold a NUL character.
MessageText = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=LONGEST_MESSAGE, pattern=r"^[^\x00]*$"
    ),
]


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class Conversation(SQLModel, table=True):
    __tablename__ = "conversation"
    __table_args__ = (
        # What a message refers to, so that the database itself keeps it with its owner.
        UniqueConstraint("id", "user_id", name="conversation_owner"),
        Index("conversation_user_id", "user_id", "updated_at"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    user_id: str = Field(sa_type=Text)
    title: str = Field(sa_type=Text)
    created_at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False),
    )
    updated_at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False),
    )


class Message(SQLModel, table=True):
    __tablename__ = "message"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'assistant')", name="message_role"),
        ForeignKeyConstraint(
            ["conversation_id", "user_id"],
            ["conversation.id", "conversation.user_id"],
            name="message_conversation",
            ondelete="CASCADE",
        ),
        Index("message_conversation_id", "conversation_id", "id"),
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    conversation_id: int = Field(sa_type=BigInteger)
    user_id: str = Field(sa_type=Text)
    role: str = Field(sa_type=Text)
    text: str = Field(sa_type=Text)
    # What the assistant did: a list of {"name", "arguments", "result"}.
    tools: list[dict[str, Any]] = Field(sa_column=Column(JSONB, nullable=False))
    # Of a person's message: that its answer is not wanted any more.
    stopped: bool = Field(
        default=False, sa_column=Column(Boolean, server_default=false(), nullable=False)
    )
    # Of a person's message whose answer is not there: until when it may come. A process that was
    # killed makes it no more, and tells nobody.
    answering_until: datetime | None = Field(
        default=None, sa_column=Column(DateTime(timezone=True))
    )
    created_at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False),
    )


class ConversationOut(SQLModel):
    id: int
    title: str
    updated_at: datetime


class ToolOut(SQLModel):
    name: str
    arguments: dict[str, Any]


class MessageOut(SQLModel):
    id: int
    role: Role
    text: str
    tools: list[ToolOut]
    created_at: datetime
    answering: bool = Field(
        default=False, description="That the answer to this message of the person is being made."
    )


def title_of(text: str) -> str:
    """What a conversation that begins with this message is called: its first line, shortened."""
    line = text.strip().splitlines()[0].strip()
    return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1].rstrip() + "…"
