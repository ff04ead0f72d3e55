"""Brings the database to the newest migration, once however many replicas start together."""

import asyncio
import logging

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from app.database import passing

log = logging.getLogger(__name__)

# Any number does, as long as nothing else in this database takes the same lock.
LOCK = 7_305_011_922
RETRY_SECONDS = 1.0


async def migrate(engine: AsyncEngine) -> None:
    """Run what is missing. The lock ends with the transaction, so poolers may sit between."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        await connection.run_sync(_upgrade)


async def migrate_when_possible(engine: AsyncEngine) -> None:
    """As `migrate`, waiting for a database that is not up yet. Each new reason is logged once."""
    said = None
    while True:
        try:
            await migrate(engine)
        except Exception as error:
            if (reason := passing(error)) is None:
                raise
            if reason != said:
                log.warning("waiting for the database", extra={"reason": reason})
                said = reason
            await asyncio.sleep(RETRY_SECONDS)
        else:
            log.info("the database is at the newest migration")
            return


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "app:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
