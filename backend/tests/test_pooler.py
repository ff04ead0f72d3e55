"""Everything works through a pooler that gives each transaction another server connection."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import text

from app import task_store
from app.answer import STOPPED
from app.database import connect, open_session, unavailable
from app.migrate import migrate
from app.settings import Settings
from app.task import TaskChange, TaskIn
from app.task_store import Wanted
from tests.caller import Caller
from tests.conftest import Server
from tests.pooler import SERVER_CONNECTIONS, pooling
from tests.provider import Provider, Say, Use, Wait, providing
from tests.serving import serving
from tests.sign_in import SignIn
from tests.sse import events, said

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


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as served:
        yield served


def test_people_chat_and_stop_through_it(
    pooled: Settings, provider: Provider, sign_in: SignIn
) -> None:
    """By both protocols: numbers that are taken, tools that hold their message, and a stop."""
    chosen = {"openai_api_key": "sk-secret", "openai_base_url": provider.url}
    add = Use("add_task", '{"title": "milk"}')
    with serving(Settings.model_validate(pooled.model_dump() | chosen)) as app:
        ada = Caller(app.url, sign_in)
        provider.replies = [add, Say(("Added.",)), add, Say(("Again.",)), add, Wait(("And ",))]
        told = ada.say("add milk")
        assert said(told) == "Added."
        content = [{"type": "input_text", "text": "once more"}]
        given = {"input": {"content": content, "attachments": [], "inference_options": {}}}
        thread = {"thread_id": str(told[0][1]["id"])}
        request = {"type": "threads.add_user_message", "params": given | thread}
        assert "Again." in ada.http.post("/chatkit", json=request).text
        heard = ""
        body = {"message": "and more", "conversation_id": told[0][1]["id"]}
        with ada.http.stream("POST", "/api/chat", json=body) as answer:
            for piece in answer.iter_text():
                heard += piece
                if "event: delta" in heard and "event: error" not in heard:
                    asked = events(heard.partition("\n\n")[0])[0][1]
                    path = f"/api/conversations/{asked['id']}/messages/{asked['message_id']}/stop"
                    assert ada.http.post(path).status_code == 204
        assert events(heard)[-1] == ("error", {"message": STOPPED})
        assert [role for role, _, _ in ada.messages()] == ["user", "assistant"] * 3
        assert [task["title"] for task in ada.http.get("/api/tasks").json()] == ["milk"] * 3
    assert asyncio.run(prepared(pooled)) == []


def test_it_leaves_no_prepared_statement_behind(pooled: Settings) -> None:
    async def work() -> None:
        engine = connect(pooled.database)
        await migrate(engine)
        async with open_session(engine) as database:
            await task_store.add(database, "ada", TaskIn(title="milk"))
        await engine.dispose()

    asyncio.run(work())
    assert asyncio.run(prepared(pooled)) == []


async def prepared(pooled: Settings) -> list[str]:
    """The names of the statements that are prepared on the pooler's connections to the server."""
    engine = connect(pooled.database)
    names: list[str] = []
    async with engine.connect() as connection:
        for _ in range(2 * SERVER_CONNECTIONS):
            query = text("SELECT name FROM pg_prepared_statements WHERE name <> ''")
            names += (await connection.execute(query)).scalars()
            await connection.rollback()
    await engine.dispose()
    return names
