"""A message of a person that waits for its answer, and what may happen to it meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from app import conversation_store, task_store
from app.database import connect, open_session
from app.settings import Settings
from app.task_store import Wanted
from tests.conftest import Server
from tests.waiting import DEADLINE_SECONDS

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND wait_event_type = 'Lock'"


@dataclass(frozen=True)
class Asked:
    engine: AsyncEngine
    conversation: int
    message: int

    async def stop(self) -> None:
        async with open_session(self.engine) as database:
            await conversation_store.stop_answer(database, "ada", self.conversation, self.message)

    async def delete(self) -> None:
        async with open_session(self.engine) as database:
            await conversation_store.remove(database, "ada", self.conversation)

    async def titles(self) -> list[str]:
        async with open_session(self.engine) as database:
            return [task.title for task in await task_store.find(database, "ada", Wanted())]


@asynccontextmanager
async def asked(settings: Settings) -> AsyncIterator[Asked]:
    """A message of Ada's that waits for its answer."""
    engine = connect(settings.database)
    async with open_session(engine) as database:
        conversation = (await conversation_store.begin(database, "ada", "hello")).id or 0
        message = await conversation_store.add_question(database, "ada", conversation, "hello")
    yield Asked(engine, conversation, message.id or 0)
    await engine.dispose()


async def until_held_up(settings: Settings, server: Server, *running: asyncio.Task[object]) -> None:
    """Until a connection to the database waits for another's lock, which ends none of these."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        waiting = WAITING.format(settings.postgres_db)
        while await asyncio.to_thread(server.sql, waiting) == [(0,)]:
            assert not [task for task in running if task.done()]
