"""The routes under /api/tasks. A task of someone else is not found rather than forbidden."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Response, status

from app import task_store
from app.auth import User
from app.database import Session
from app.problem import SIGNED_IN, WITH_BODY, Problem, Responses
from app.task import Priority, TaskChange, TaskIn, TaskOut
from app.task_store import MOST, NoSuchTaskError, Order, Search, Sort, Wanted

router = APIRouter(prefix="/api/tasks", tags=["tasks"], responses=SIGNED_IN)
MISSING: Responses = {404: {"model": Problem, "description": "The user has no such task"}}
CREATED = status.HTTP_201_CREATED
GONE = status.HTTP_204_NO_CONTENT


@router.get("")
async def list_tasks(
    user: User,
    database: Session,
    completed: bool | None = None,
    priority: Priority | None = None,
    q: Annotated[Search | None, Query(description="Part of the title, in whichever case.")] = None,
    sort: Sort = Sort.CREATED,
    order: Order = Order.ASCENDING,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> list[TaskOut]:
    """Equals come in the order of adding. Tasks without a due date come last in either order of due
    dates; priorities rise from low to high."""
    wanted = Wanted(
        completed=completed, priority=priority, text=q, sort=sort, order=order, limit=limit
    )
    found = await task_store.find(database, user, wanted)
    return [TaskOut.model_validate(task) for task in found]


@router.post("", status_code=CREATED, responses=WITH_BODY)
async def add_task(user: User, database: Session, body: TaskIn) -> TaskOut:
    return TaskOut.model_validate(await task_store.add(database, user, body))


@router.get("/{task_id}", responses=MISSING)
async def get_task(user: User, database: Session, task_id: int) -> TaskOut:
    with _missing_is_404():
        return TaskOut.model_validate(await task_store.get(database, user, task_id))


@router.patch("/{task_id}", responses=MISSING | WITH_BODY)
async def change_task(user: User, database: Session, task_id: int, body: TaskChange) -> TaskOut:
    """Completing a task is changing it; what is left out stays as it is."""
    with _missing_is_404():
        return TaskOut.model_validate(await task_store.change(database, user, task_id, body))


@router.delete("/{task_id}", status_code=GONE, responses=MISSING)
async def delete_task(user: User, database: Session, task_id: int) -> Response:
    with _missing_is_404():
        await task_store.delete(database, user, task_id)
    return Response(status_code=GONE)


@contextmanager
def _missing_is_404() -> Iterator[None]:
    try:
        yield
    except NoSuchTaskError:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "No such task") from None
