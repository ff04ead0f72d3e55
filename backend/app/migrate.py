"""Brings the database to the newest migration, once however many replicas start together.

A database that a newer version has migrated is served as it is: after a rollback there is nobody
else to serve it. What makes that right is the rule that docs/data-model.md tells of migrations.
"""

import asyncio
import logging

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel import SQLModel

from app import conversation, task  # noqa: F401  register their tables
from app.database import passing

log = logging.getLogger(__name__)

# Any number does, as long as nothing else in this database takes the same lock.
LOCK = 7_305_011_922
RETRY_SECONDS = 1.0


class UnknownSchemaError(Exception):
    """The database is at a revision that this version does not know, and it lacks what it needs."""


async def migrate(engine: AsyncEngine) -> str | None:
    """Run what is missing. The lock ends with the transaction, so poolers may sit between. Returns
    the database's revision when it is one of a newer version, and is left as it is; raises
    UnknownSchemaError when this version cannot serve that."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        return await connection.run_sync(_upgrade)


async def migrate_when_possible(engine: AsyncEngine) -> None:
    """As `migrate`, waiting for a database that is not up yet. Each new reason is logged once."""
    said = None
    while True:
        try:
            newer = await migrate(engine)
        except Exception as error:
            if (reason := passing(error)) is None:
                raise
            if reason != said:
                log.warning("waiting for the database", extra={"reason": reason})
                said = reason
            await asyncio.sleep(RETRY_SECONDS)
        else:
            if newer is None:
                log.info("the database is at the newest migration")
            else:
                log.warning("the database is newer than this version", extra={"revision": newer})
            return


def _upgrade(connection: Connection) -> str | None:
    config = Config()
    config.set_main_option("script_location", "app:migrations")
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_heads()
    if unknown := ", ".join(sorted(set(current) - known)):
        if lacking := _lacking(connection):
            raise UnknownSchemaError(f"revision {unknown} is not known and lacks {lacking}")
        return unknown
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return None


def _lacking(connection: Connection) -> str:
    """The columns that the models name and the database does not have."""
    inspector = inspect(connection)
    lacking = []
    for name, table in sorted(SQLModel.metadata.tables.items()):
        there = inspector.get_columns(name) if inspector.has_table(name) else []
        missing = {column.name for column in table.columns} - {column["name"] for column in there}
        lacking += [f"{name}.{column}" for column in sorted(missing)]
    return ", ".join(lacking)
