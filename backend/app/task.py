"""What a task is: its table, and the shapes in which it comes in and goes out.

It knows nothing of requests, nor of who asks.
"""

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, StrictBool, StringConstraints
from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, Index, Text, func
from sqlmodel import Field, SQLModel

LONGEST_TITLE = 200
# PostgreSQL's text cannot hold a NUL character.
Title = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=LONGEST_TITLE, pattern=r"^[^\x00]*$"
    ),
]


def _calendar_day(value: object) -> object:
    """Pydantic takes seconds since 1970 and midnights for dates too, which the API never says."""
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII):
        raise ValueError("wants a day like 2030-01-31")
    if not isinstance(value, str | date | None):
        raise ValueError("wants a day like 2030-01-31")
    return value


Day = Annotated[date, BeforeValidator(_calendar_day)]


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Task(SQLModel, table=True):
    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("priority IN ('low', 'medium', 'high')", name="task_priority"),
        Index("task_user_id", "user_id", "id"),
        {"info": {"about": "What a user has to do."}},
    )

    id: int | None = Field(default=None, sa_column=Column(BigInteger, Identity(), primary_key=True))
    user_id: str = Field(sa_type=Text)
    title: str = Field(sa_type=Text)
    due: date | None = None
    priority: str = Field(sa_type=Text)
    completed: bool = False
    created_at: datetime | None = Field(
        default=None,
        sa_column=Column(DateTime(timezone=True), server_default=func.now(), nullable=False),
    )


class TaskIn(SQLModel):
    title: Title
    due: Day | None = None
    priority: Priority = Priority.MEDIUM


class TaskChange(SQLModel):
    """What is left out stays as it is; a due date that is null is removed."""

    title: Title | None = None
    due: Day | None = None
    priority: Priority | None = None
    completed: StrictBool | None = None


class TaskOut(SQLModel):
    id: int
    title: str
    due: date | None
    priority: Priority
    completed: bool
    created_at: datetime
