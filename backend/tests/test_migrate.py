"""Migrations run once however many start, match the models, and leave others' tables alone."""

import asyncio
from collections.abc import Callable

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi.testclient import TestClient
from sqlalchemy import Connection

from app.database import connect
from app.main import create_app
from app.migrate import migrate
from app.settings import Settings
from tests.conftest import Server, serving_app
from tests.person import Person
from tests.sign_in import SignIn
from tests.waiting import until

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


def heads() -> list[str]:
    config = Config()
    config.set_main_option("script_location", "app:migrations")
    return ScriptDirectory.from_config(config).get_heads()


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
    assert "revision 9999 is not known and lacks message.conversation_id, " in caplog.text
    assert ", task.due\n" in caplog.text
