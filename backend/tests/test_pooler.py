"""Everything works through a pooler that gives each transaction another server connection."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from app import task_store
from app.database import connect, open_session, unavailable
from app.migrate import migrate
from app.settings import Settings
from app.task import TaskChange, TaskIn
from app.task_store import Wanted
from tests.conftest import Server
from tests.pooler import SERVER_CONNECTIONS, pooling

CLIENTS = 4 * SERVER_CONNECTIONS


@pytest.fixture
def pooled(server: Server, settings: Settings) -> Iterator[Settings]:
    with pooling(server) as port:
        yield settings.model_copy(update={"postgres_port": port})


def test_it_gives_transactions_of_one_client_different_connections(pooled: Settings) -> None:
    """Holds that the pooler of these tests is one that could break something."""

    backend = text("SELECT pg_backend_pid()")

    async def served_by() -> tuple[set[int], set[int]]:
        engine = connect(pooled.database)
        async with AsyncExitStack() as open_together:
            held = [
                await open_together.enter_async_context(engine.connect())
                for _ in range(SERVER_CONNECTIONS)
            ]
            together = {(await one.execute(backend)).scalar_one() for one in held}
        async with engine.connect() as client:
            alone = set()
            for _ in range(SERVER_CONNECTIONS):
                alone.add((await client.execute(backend)).scalar_one())
                await client.rollback()
        await engine.dispose()
        return together, alone

    together, alone = asyncio.run(served_by())
    assert len(together) == SERVER_CONNECTIONS
    assert alone == together


def test_many_replicas_migrate_once_through_it(pooled: Settings, server: Server) -> None:
    async def start_together() -> None:
        engines = [connect(pooled.database) for _ in range(CLIENTS)]
        await asyncio.gather(*(migrate(engine) for engine in engines))
        for engine in engines:
            await engine.dispose()

    asyncio.run(start_together())
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    assert server.sql(held, pooled.postgres_db) == [(0,)]


def test_many_users_work_through_it_at_once(pooled: Settings) -> None:
    async def live(user: str, settings: Settings) -> None:
        # A process of their own for each, as far as connections go.
        engine = connect(settings.database)
        for number in range(5):
            assert await unavailable(engine) is None
            async with open_session(engine) as database:
                task = await task_store.add(database, user, TaskIn(title=f"number {number}"))
            async with open_session(engine) as database:
                done = TaskChange(completed=True)
                await task_store.change(database, user, task.id, done)
            async with open_session(engine) as database:
                found = await task_store.find(database, user, Wanted(completed=True))
                assert [one.title for one in found] == [f"number {n}" for n in range(number + 1)]
        await engine.dispose()

    async def live_together() -> None:
        engine = connect(pooled.database)
        await migrate(engine)
        await engine.dispose()
        await asyncio.gather(*(live(f"user {number}", pooled) for number in range(CLIENTS)))

    asyncio.run(live_together())


def test_it_leaves_no_prepared_statement_behind(pooled: Settings) -> None:
    async def work() -> list[str]:
        engine = connect(pooled.database)
        await migrate(engine)
        names: list[str] = []
        async with open_session(engine) as database:
            await task_store.add(database, "ada", TaskIn(title="milk"))
        async with engine.connect() as connection:
            for _ in range(2 * SERVER_CONNECTIONS):
                prepared = text("SELECT name FROM pg_prepared_statements WHERE name <> ''")
                names += (await connection.execute(prepared)).scalars()
                await connection.rollback()
        await engine.dispose()
        return names

    assert asyncio.run(work()) == []
