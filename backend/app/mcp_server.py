"""The tools over a user's tasks, as an MCP server: for the assistant and for any MCP client.

No tool takes a user. Who it acts for is said by whoever authenticated the request, through
`acting_as`; without that a tool refuses. One that acts for an answer refuses when that answer was
stopped. This module knows nothing of credentials, and importing it costs about a second:
`app.assistant` does it after the start.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import ToolAnnotations
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.types import Receive, Scope, Send

from app import VERSION, conversation_store, task_store
from app.database import DatabaseUnavailableError, open_session
from app.task import Day, Priority, Task, TaskChange, TaskIn, TaskOut, Title
from app.task_store import NoSuchTaskError, Order, Search, Sort, Wanted

log = logging.getLogger(__name__)

# The most tasks that list_tasks gives.
MOST_LISTED = 100
# In bytes; a task is far smaller.
LARGEST_REQUEST = 256 * 1024


@dataclass(frozen=True)
class _Acting:
    """For whom, and to answer which message, if it is for an answer."""

    user: str
    asked: int | None


_acting: ContextVar[_Acting] = ContextVar("acting")

TaskId = Annotated[int, Field(description="The task's id, as list_tasks gives it.")]
Due = Annotated[Day, Field(description="The day it is due, as YYYY-MM-DD.")]


class Tasks(BaseModel):
    tasks: list[TaskOut]
    more: bool = Field(description="Whether there are more than these.")


class Endpoint:
    """The server over stateless streamable HTTP: each request stands for itself, so that replicas
    share no session, and is answered by one JSON body."""

    def __init__(self, server: MCPServer) -> None:
        # Whoever serves this checks the request's bearer and its Origin, before its body is read.
        unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        server.streamable_http_app(
            stateless_http=True,
            json_response=True,
            transport_security=unchecked,
            max_request_body_size=LARGEST_REQUEST,
        )
        self._manager = server.session_manager

    def running(self) -> AbstractAsyncContextManager[None]:
        """`serve` works within."""
        return self._manager.run()

    async def serve(self, user: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request as the user."""
        with acting_as(user):
            await self._manager.handle_request(scope, receive, send)


@contextmanager
def acting_as(user: str, asked: int | None = None) -> Iterator[None]:
    """Tools that are called within act for this user; and as long as the answer to the message
    `asked` is wanted, if one is given."""
    token = _acting.set(_Acting(user, asked))
    try:
        yield
    finally:
        _acting.reset(token)


def build(engine: AsyncEngine) -> MCPServer:
    """The server over this database. It keeps nothing between two calls."""

    @asynccontextmanager
    async def own_tasks() -> AsyncIterator[tuple[AsyncSession, str]]:
        acting = _acting.get(None)
        if acting is None:
            raise ToolError("Nobody is signed in.")
        try:
            async with open_session(engine) as database:
                # In the transaction of what follows: a stop is before it or after it.
                if acting.asked is not None and not await conversation_store.is_wanted(
                    database, acting.user, acting.asked, hold=True
                ):
                    raise ToolError("The person has stopped this answer.")
                yield database, acting.user
        except NoSuchTaskError as error:
            raise ToolError(f"There is no task with the id {error}.") from None
        except DatabaseUnavailableError as error:
            log.warning("the database cannot serve", extra={"reason": str(error)})
            raise ToolError("The database is not available now.") from None

    server = MCPServer(
        "todo",
        title="Todo Chatbot",
        version=VERSION,
        instructions="The tasks of the signed-in user. list_tasks gives the ids that others take.",
        subscriptions=False,
    )

    @server.tool(title="Add a task", annotations=_hints())
    async def add_task(
        title: Title, due: Due | None = None, priority: Priority = Priority.MEDIUM
    ) -> TaskOut:
        """Add a task and return it."""
        async with own_tasks() as (database, user):
            task_in = TaskIn(title=title, due=due, priority=priority)
            return _out(await task_store.add(database, user, task_in))

    @server.tool(title="List tasks", annotations=_hints(reads=True))
    async def list_tasks(
        completed: Annotated[
            bool | None, Field(description="true: done ones; false: open ones; null: both.")
        ] = None,
        priority: Priority | None = None,
        query: Annotated[Search | None, Field(description="Part of the title.")] = None,
        due_from: Annotated[Day | None, Field(description="Due on this day or later.")] = None,
        due_until: Annotated[Day | None, Field(description="Due on this day or earlier.")] = None,
        sort: Sort = Sort.CREATED,
        order: Order = Order.ASCENDING,
        limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = MOST_LISTED,
    ) -> Tasks:
        """List tasks. What is null does not restrict."""
        wanted = Wanted(
            completed=completed,
            priority=priority,
            text=query,
            due_from=due_from,
            due_until=due_until,
            sort=sort,
            order=order,
            limit=limit + 1,
        )
        async with own_tasks() as (database, user):
            found = await task_store.find(database, user, wanted)
        return Tasks(tasks=[_out(task) for task in found[:limit]], more=len(found) > limit)

    @server.tool(title="Change a task", annotations=_hints(repeats=True))
    async def update_task(
        task_id: TaskId,
        title: Title | None = None,
        due: Due | None = None,
        remove_due: Annotated[bool, Field(description="Take the due date away.")] = False,
        priority: Priority | None = None,
    ) -> TaskOut:
        """Change a task's title, due date or priority and return it. What is null stays."""
        wanted = {"title": title, "due": due, "priority": priority}
        given = {name: value for name, value in wanted.items() if value is not None}
        changes = TaskChange.model_validate(given | ({"due": None} if remove_due else {}))
        async with own_tasks() as (database, user):
            return _out(await task_store.change(database, user, task_id, changes))

    @server.tool(title="Complete a task", annotations=_hints(repeats=True))
    async def complete_task(
        task_id: TaskId,
        completed: Annotated[bool, Field(description="false opens it again.")] = True,
    ) -> TaskOut:
        """Mark a task as done, or as open again, and return it."""
        async with own_tasks() as (database, user):
            changes = TaskChange(completed=completed)
            return _out(await task_store.change(database, user, task_id, changes))

    @server.tool(title="Delete a task", annotations=_hints(destroys=True, repeats=True))
    async def delete_task(task_id: TaskId) -> TaskOut:
        """Delete a task for good and return what it was."""
        async with own_tasks() as (database, user):
            return _out(await task_store.delete(database, user, task_id))

    return server


def _hints(
    *, reads: bool = False, destroys: bool = False, repeats: bool = False
) -> ToolAnnotations:
    """What a client may want to know before it lets a model call the tool."""
    return ToolAnnotations(
        read_only_hint=reads,
        destructive_hint=destroys,
        idempotent_hint=reads or repeats,
        open_world_hint=False,
    )


def _out(task: Task) -> TaskOut:
    return TaskOut.model_validate(task)
