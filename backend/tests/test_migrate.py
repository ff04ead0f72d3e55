"""Migrations run once however many start, match the models, and leave others' tables alone."""

import asyncio
from collections.abc import Callable

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from fastapi.testclient import TestClient
from sqlalchemy import Connection
from sqlmodel import select

from app.conversation import Conversation, ConversationOut, Message, MessageOut
from app.database import connect, open_session
from app.main import create_app
from app.migrate import migrate
from app.settings import Settings
from app.task import Task, TaskOut
from tests.conftest import Server, serving_app
from tests.person import Person
from tests.sign_in import SignIn
from tests.waiting import until

type Rows = list[tuple[object, ...]]

# As Better Auth makes them, with its JWT plugin.
SIGN_IN = """
CREATE TABLE "user" (id text PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE,
  "emailVerified" boolean NOT NULL, image text, "createdAt" timestamptz NOT NULL,
  "updatedAt" timestamptz NOT NULL);
CREATE TABLE session (id text PRIMARY KEY, "expiresAt" timestamptz NOT NULL,
  token text NOT NULL UNIQUE, "userId" text NOT NULL REFERENCES "user" (id) ON DELETE CASCADE);
CREATE INDEX "session_userId_idx" ON session ("userId");
CREATE TABLE account (id text PRIMARY KEY, "accountId" text NOT NULL,
  "userId" text NOT NULL REFERENCES "user" (id) ON DELETE CASCADE, password text);
CREATE TABLE verification (id text PRIMARY KEY, identifier text NOT NULL, value text NOT NULL);
CREATE TABLE jwks (id text PRIMARY KEY, "publicKey" text NOT NULL, "privateKey" text NOT NULL);
INSERT INTO "user" VALUES ('1', 'Ada', 'ada@example.org', true, null, now(), now());
INSERT INTO session VALUES ('1', now(), 'token', '1');
"""

COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
WHERE table_schema = 'public' ORDER BY 1, 2
"""
NAMES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


def alembic(settings: Settings, run: Callable[[Config], object]) -> None:
    """Run an Alembic command as its own program would, in one transaction."""

    def on(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", "app:migrations")
        config.attributes["connection"] = connection
        run(config)

    async def begin() -> None:
        engine = connect(settings.database)
        async with engine.begin() as connection:
            await connection.run_sync(on)
        await engine.dispose()

    asyncio.run(begin())


def upgrade(config: Config) -> None:
    command.upgrade(config, "head")


def downgrade(config: Config) -> None:
    command.downgrade(config, "base")


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", "app:migrations")
    return ScriptDirectory.from_config(config)


def heads() -> list[str]:
    return scripts().get_heads()


def revisions() -> list[Script]:
    """From the newest to the first."""
    return list(scripts().walk_revisions())


def test_many_replicas_at_once_migrate_once(settings: Settings, server: Server) -> None:
    async def start_together() -> None:
        engines = [connect(settings.database) for _ in range(8)]
        await asyncio.gather(*(migrate(engine) for engine in engines))
        for engine in engines:
            await engine.dispose()

    asyncio.run(start_together())
    version = server.sql("SELECT version_num FROM alembic_version", settings.postgres_db)
    assert [number for (number,) in version] == heads()
    assert len(heads()) == 1


async def run_migrations(settings: Settings) -> None:
    engine = connect(settings.database)
    await migrate(engine)
    await engine.dispose()


@pytest.fixture
def beside_the_sign_in(settings: Settings, server: Server) -> Settings:
    """A database in which Better Auth has made its tables already."""
    for statement in SIGN_IN.split(";\n"):
        if statement.strip():
            server.sql(statement, settings.postgres_db)
    return settings


def test_the_migrations_make_what_the_models_say(beside_the_sign_in: Settings) -> None:
    """And a new migration would propose nothing about the sign-in's tables either."""
    alembic(beside_the_sign_in, upgrade)
    alembic(beside_the_sign_in, command.check)


def test_up_and_down_leave_the_sign_ins_tables_alone(
    beside_the_sign_in: Settings, server: Server
) -> None:
    database = beside_the_sign_in.postgres_db
    before, names = server.sql(COLUMNS, database), server.sql(NAMES, database)
    alembic(beside_the_sign_in, upgrade)
    full = server.sql(COLUMNS, database)
    assert set(before) < set(full)
    alembic(beside_the_sign_in, downgrade)
    assert server.sql(NAMES, database) == sorted([("alembic_version",), *names])
    alembic(beside_the_sign_in, upgrade)
    assert server.sql(COLUMNS, database) == full
    assert server.sql("SELECT count(*) FROM session", database) == [(1,)]


# What the columns of our tables have in a row, in SQL; the others the database fills in itself.
ROWS = {
    "task": {
        "user_id": "'ada'",
        "title": "'milk'",
        "due": "date '2030-01-31'",
        "priority": "'low'",
        "completed": "true",
    },
    "conversation": {"user_id": "'ada'", "title": "'add milk'"},
    "message": {
        "conversation_id": "(SELECT max(id) FROM conversation)",
        "user_id": "'ada'",
        "role": "'user'",
        "text": "'add milk'",
        "tools": "'[]'",
        "stopped": "true",
        "answering_until": "now()",
    },
}
FILLED_IN = {"id", "created_at", "updated_at"}
SHAPES = {Task: TaskOut, Conversation: ConversationOut, Message: MessageOut}


def our_columns(server: Server, settings: Settings) -> dict[str, set[str]]:
    """Those that our tables have now, by the tables."""
    found: dict[str, set[str]] = {}
    for table, column, *_ in server.sql(COLUMNS, settings.postgres_db):
        if table != "alembic_version":
            found.setdefault(str(table), set()).add(str(column))
    return found


def insert(server: Server, settings: Settings, columns: dict[str, set[str]]) -> None:
    """A row into each of these tables, with all of these columns and no other."""
    for table, row in ROWS.items():
        if table in columns:
            own = {name: value for name, value in row.items() if name in columns[table]}
            into = f"INSERT INTO {table} ({', '.join(own)})"
            server.sql(f"{into} VALUES ({', '.join(own.values())})", settings.postgres_db)


def read(server: Server, settings: Settings, columns: dict[str, set[str]]) -> dict[str, Rows]:
    return {
        table: server.sql(
            f"SELECT {', '.join(sorted(names))} FROM {table} ORDER BY id",  # noqa: S608
            settings.postgres_db,
        )
        for table, names in columns.items()
    }


async def read_by_the_models(settings: Settings) -> dict[str, int]:
    """How many rows of each table are what this version shows to people."""
    engine = connect(settings.database)
    read: dict[str, int] = {}
    async with open_session(engine) as database:
        for model, shape in SHAPES.items():
            found = list(await database.exec(select(model)))
            read[model.__tablename__] = len(found)
            for row in found:
                shape.model_validate(row.model_dump())
    await engine.dispose()
    return read


@pytest.mark.parametrize(
    "revision",
    [one for one in revisions() if one.down_revision],
    ids=lambda one: one.revision,
)
def test_a_migration_keeps_the_rows_and_takes_those_of_the_version_before_it(
    settings: Settings, server: Server, revision: Script
) -> None:
    """While a new version rolls out, replicas of the old one go on reading and writing."""
    alembic(settings, lambda config: command.upgrade(config, str(revision.down_revision)))
    old = our_columns(server, settings)
    insert(server, settings, old)
    before = read(server, settings, old)

    alembic(settings, lambda config: command.upgrade(config, revision.revision))
    assert read(server, settings, old) == before
    insert(server, settings, old)
    after = read(server, settings, old)
    assert {table: len(rows) for table, rows in after.items()} == dict.fromkeys(old, 2)

    alembic(settings, upgrade)
    columns = our_columns(server, settings)
    assert {table: names - FILLED_IN for table, names in columns.items()} == {
        table: set(row) for table, row in ROWS.items()
    }, "a new column has a value in ROWS"
    kept = dict.fromkeys(columns, 0) | dict.fromkeys(old, 2)
    assert asyncio.run(read_by_the_models(settings)) == kept


# What a migration of a later version may do, so that this version still serves its database.
LATER = (
    "ALTER TABLE task ADD COLUMN notes text",
    "ALTER TABLE message ADD COLUMN stars integer NOT NULL DEFAULT 0",
    "CREATE TABLE label (id bigint PRIMARY KEY)",
    "UPDATE alembic_version SET version_num = '9999'",
)


def test_a_database_that_a_newer_version_has_migrated_is_served(
    settings: Settings, server: Server, sign_in: SignIn, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a rollback of the application, which takes no migration back."""
    asyncio.run(run_migrations(settings))
    for statement in LATER:
        server.sql(statement, settings.postgres_db)
    caplog.set_level("INFO")
    with serving_app(settings) as client:
        ada = Person(client, {"Authorization": f"Bearer {sign_in.token('ada')}"})
        ada.post("/api/chat", json={"message": "add milk"})
        assert [task["title"] for task in ada.get("/api/tasks").json()] == ["milk"]
        [conversation] = ada.get("/api/conversations").json()
        answer = ada.get(f"/api/conversations/{conversation['id']}/messages")
        assert [message["role"] for message in answer.json()] == ["user", "assistant"]
    [said] = [one for one in caplog.records if one.msg == "the database is newer than this version"]
    assert vars(said)["revision"] == "9999"
    version = server.sql("SELECT version_num FROM alembic_version", settings.postgres_db)
    assert version == [("9999",)]


def test_an_unknown_database_without_what_is_needed_is_a_failure(
    settings: Settings, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    asyncio.run(run_migrations(settings))
    for statement in (*LATER, "ALTER TABLE task DROP COLUMN due", "DROP TABLE message"):
        server.sql(statement, settings.postgres_db)
    failures: list[None] = []
    with TestClient(create_app(settings, on_failure=lambda: failures.append(None))) as client:
        until(lambda: failures, bool)
        assert client.get("/api/health").status_code == 503
    assert "revision 9999 is not known and lacks message.answering_until, " in caplog.text
    assert ", task.due\n" in caplog.text
