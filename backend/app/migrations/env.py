"""Alembic's entry: within the running app on a connection that it is given, else on its own."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlmodel import SQLModel

from app import conversation, task  # noqa: F401  register their tables
from app.database import connect
from app.settings import load


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    """Tables of others in the same database, such as the sign-in's, are left alone."""
    return kind != "table" or name in SQLModel.metadata.tables


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=SQLModel.metadata, include_name=_ours)
    with context.begin_transaction():
        context.run_migrations()


async def _alone() -> None:
    engine = connect(load().database)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


if (given := context.config.attributes.get("connection")) is not None:
    _run(given)
else:
    asyncio.run(_alone())
