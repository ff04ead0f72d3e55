"""The connection to PostgreSQL and what its failures mean."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.dsn import Address

PROBE_SECONDS = 2


def connect(address: Address) -> AsyncEngine:
    """An engine that has not connected yet: PostgreSQL may still be starting."""
    arguments: dict[str, object] = {
        "timeout": 5,
        # A pooler in transaction mode hands each transaction another server connection, where a
        # statement prepared by name before does not exist.
        "prepared_statement_name_func": lambda: "",
        "statement_cache_size": 0,
    }
    if address.ssl is not None:
        arguments["ssl"] = address.ssl
    return create_async_engine(
        address.url,
        connect_args=arguments,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=5,
        pool_timeout=5,
    )


async def unavailable(engine: AsyncEngine) -> str | None:
    """Why the database does not answer, or None when it does. Says nothing of the address."""
    try:
        async with asyncio.timeout(PROBE_SECONDS), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except Exception as error:
        if (reason := passing(error)) is None:
            raise
        return reason
    return None


def passing(error: BaseException) -> str | None:
    """A reason in few words when waiting can heal this failure; None when it cannot."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    while cause.__cause__ is not None and not isinstance(cause, asyncpg.PostgresError):
        cause = cause.__cause__
    if isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError):
        return "PostgreSQL refuses the user or the password"
    if isinstance(cause, asyncpg.InvalidCatalogNameError):
        return "the database does not exist"
    if isinstance(cause, asyncpg.CannotConnectNowError):
        return "PostgreSQL is starting or stopping"
    if isinstance(cause, asyncpg.TooManyConnectionsError):
        return "PostgreSQL has no free connection"
    if isinstance(cause, TimeoutError):
        return "PostgreSQL does not answer in time"
    if isinstance(cause, (OSError, asyncpg.PostgresConnectionError)):
        return "PostgreSQL cannot be reached"
    if isinstance(cause, asyncpg.InterfaceError) or isinstance(error, InterfaceError):
        return "the connection to PostgreSQL broke"
    return None


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    """One session a request; committed by the route, rolled back by anything it raises."""
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]
