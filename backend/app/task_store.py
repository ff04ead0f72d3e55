"""A user's tasks in the database, for the routes and for the assistant's tools alike.

Every function takes the user and names them in its query: a task of someone else is not there. A
function that changes something commits it.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, StringConstraints
from sqlalchemy import ColumnElement, SQLColumnExpression, case, collate, func, literal
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.database import may_be_id
from app.task import Priority, Task, TaskChange, TaskIn

# The most tasks that one answer holds.
MOST = 500
# Letters' cases and order, the same in every database whatever locale it was made with.
COLLATION = "und-x-icu"


# PostgreSQL's text cannot hold a NUL character.
Search = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]


class NoSuchTaskError(Exception):
    """The user has no task of that number."""


class Sort(StrEnum):
    CREATED = "created"
    DUE = "due"
    PRIORITY = "priority"
    TITLE = "title"


class Order(StrEnum):
    ASCENDING = "asc"
    DESCENDING = "desc"


class Wanted(BaseModel):
    """Which tasks, and in which order. What is None does not restrict."""

    completed: bool | None = None
    priority: Priority | None = None
    # Part of the title, in whichever case.
    text: str | None = None
    # Days, both included; with either, tasks without a due date are not wanted.
    due_from: date | None = None
    due_until: date | None = None
    sort: Sort = Sort.CREATED
    order: Order = Order.ASCENDING
    limit: int = 100


async def add(database: AsyncSession, user: str, task_in: TaskIn) -> Task:
    task = Task(user_id=user, **task_in.model_dump())
    database.add(task)
    await database.commit()
    await database.refresh(task)
    return task


async def find(database: AsyncSession, user: str, wanted: Wanted) -> list[Task]:
    """The user's tasks that are wanted, at most MOST of them. Equals come in the order of adding;
    tasks without a due date come last in either order of due dates."""
    query = select(Task).where(Task.user_id == user)
    if wanted.completed is not None:
        query = query.where(Task.completed == wanted.completed)
    if wanted.priority is not None:
        query = query.where(Task.priority == wanted.priority)
    if wanted.text:
        query = query.where(_folded(col(Task.title)).like(_pattern(wanted.text), escape="\\"))
    if wanted.due_from is not None:
        query = query.where(col(Task.due) >= wanted.due_from)
    if wanted.due_until is not None:
        query = query.where(col(Task.due) <= wanted.due_until)
    key = _sort_key(wanted.sort)
    key = key.desc() if wanted.order is Order.DESCENDING else key.asc()
    query = query.order_by(key.nulls_last(), col(Task.id)).limit(min(wanted.limit, MOST))
    return list(await database.exec(query))


async def get(database: AsyncSession, user: str, task_id: int, *, hold: bool = False) -> Task:
    """With `hold` nobody else changes or deletes it until the end of the transaction. Raises
    NoSuchTaskError."""
    query = select(Task).where(Task.user_id == user, Task.id == task_id)
    if hold:
        query = query.with_for_update(key_share=True)
    task = (await database.exec(query)).one_or_none() if may_be_id(task_id) else None
    if task is None:
        raise NoSuchTaskError(task_id)
    return task


async def change(database: AsyncSession, user: str, task_id: int, changes: TaskChange) -> Task:
    """Raises NoSuchTaskError."""
    task = await get(database, user, task_id, hold=True)
    for name, value in changes.model_dump(exclude_unset=True).items():
        if value is not None or name == "due":
            setattr(task, name, value)
    await database.commit()
    return task


async def delete(database: AsyncSession, user: str, task_id: int) -> Task:
    """Returns what the task was. Raises NoSuchTaskError."""
    task = await get(database, user, task_id)
    await database.delete(task)
    await database.commit()
    return task


def _sort_key(sort: Sort) -> SQLColumnExpression[Any]:
    match sort:
        case Sort.CREATED:
            return col(Task.id)
        case Sort.DUE:
            return col(Task.due)
        case Sort.PRIORITY:
            ranks = {priority.value: rank for rank, priority in enumerate(Priority)}
            return case(ranks, value=col(Task.priority))
        case Sort.TITLE:
            return collate(col(Task.title), COLLATION)


def _folded(text: SQLColumnExpression[str]) -> ColumnElement[str]:
    return func.lower(collate(text, COLLATION))


def _pattern(text: str) -> ColumnElement[str]:
    """What LIKE wants for a text that may hold LIKE's own signs."""
    for sign in "\\%_":
        text = text.replace(sign, f"\\{sign}")
    return _folded(literal(f"%{text}%"))
