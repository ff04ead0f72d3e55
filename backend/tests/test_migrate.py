"""Migrations run once however many start, match the models, and leave others' tables alone."""

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlmodel import SQLModel

from app.database import connect
from app.migrate import migrate
from app.settings import Settings
from tests.conftest import Server


def test_many_replicas_at_once_migrate_once(settings: Settings, server: Server) -> None:
    async def start_together() -> None:
        engines = [connect(settings.database) for _ in range(8)]
        await asyncio.gather(*(migrate(engine) for engine in engines))
        for engine in engines:
            await engine.dispose()

    asyncio.run(start_together())
    version = server.sql("SELECT version_num FROM alembic_version", settings.postgres_db)
    assert version == [("0001",)]


def test_the_migrations_make_what_the_models_say(settings: Settings) -> None:
    async def differences() -> list[object]:
        engine = connect(settings.database)
        await migrate(engine)
        async with engine.connect() as connection:
            found = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync), SQLModel.metadata)
            )
        await engine.dispose()
        return found

    assert asyncio.run(differences()) == []


def test_a_table_of_the_sign_in_is_left_alone(settings: Settings, server: Server) -> None:
    async def around_a_foreign_table() -> None:
        engine = connect(settings.database)
        async with engine.begin() as connection:
            await connection.execute(text('CREATE TABLE "user" (id text PRIMARY KEY)'))
        await migrate(engine)
        await migrate(engine)
        await engine.dispose()

    asyncio.run(around_a_foreign_table())
    assert server.sql('SELECT count(*) FROM "user"', settings.postgres_db) == [(0,)]
