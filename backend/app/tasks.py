"""A user's tasks: the table, and the routes under /api/tasks.

Every query names the user; a task of someone else is not found rather than forbidden.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Response, status
from pydantic import StringConstraints
from sqlalchemy import BigInteger, CheckConstraint, Column, DateTime, Identity, Index, Text, func
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.auth import User
from app.database import session

Session = Annotated[AsyncSession, Depends(session)]
# PostgreSQL's text cannot hold a NUL character.
Title = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00]*$"),
]


class Priority(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Task(SQLModel, table=True):
    __tablename__ = "task"
    __table_args__ = (
        CheckConstraint("priority IN ('low', 'medium', 'high')", name="task_priority"),
        Index("task_user_id", "user_id", "id"),
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
    due: date | None = None
    priority: Priority = Priority.MEDIUM


class TaskChange(SQLModel):
    """What is left out stays as it is; a due date that is null is removed."""

    title: Title | None = None
    due: date | None = None
    priority: Priority | None = None
    completed: bool | None = None


class TaskOut(SQLModel):
    id: int
    title: str
    due: date | None
    priority: Priority
    completed: bool
    created_at: datetime


router = APIRouter(prefix="/api/tasks", tags=["tasks"])


@router.get("")
async def list_tasks(
    user: User,
    database: Session,
    completed: bool | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> list[TaskOut]:
    query = select(Task).where(Task.user_id == user)
    if completed is not None:
        query = query.where(Task.completed == completed)
    found = await database.exec(query.order_by(col(Task.id)).limit(limit))
    return [TaskOut.model_validate(task) for task in found]


@router.post("", status_code=status.HTTP_201_CREATED)
async def add_task(user: User, database: Session, body: TaskIn) -> TaskOut:
    task = Task(user_id=user, **body.model_dump())
    database.add(task)
    await database.commit()
    await database.refresh(task)
    return TaskOut.model_validate(task)


@router.get("/{task_id}")
async def get_task(user: User, database: Session, task_id: int) -> TaskOut:
    return TaskOut.model_validate(await _own(database, user, task_id))


@router.patch("/{task_id}")
async def change_task(user: User, database: Session, task_id: int, body: TaskChange) -> TaskOut:
    task = await _own(database, user, task_id)
    for name, value in body.model_dump(exclude_unset=True).items():
        if value is not None or name == "due":
            setattr(task, name, value)
    await database.commit()
    return TaskOut.model_validate(task)


@router.delete("/{task_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_task(user: User, database: Session, task_id: int) -> Response:
    await database.delete(await _own(database, user, task_id))
    await database.commit()
    return Response(status_code=status.HTTP_204_NO_CONTENT)


async def _own(database: AsyncSession, user: str, task_id: int) -> Task:
    # A number beyond the column's range is no task's id; PostgreSQL would refuse to compare it.
    in_range = 0 < task_id < 2**63
    query = select(Task).where(Task.user_id == user, Task.id == task_id)
    task = (await database.exec(query)).one_or_none() if in_range else None
    if task is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "No such task")
    return task
