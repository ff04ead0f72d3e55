"""The connection to PostgreSQL and what its failures mean."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
from fastapi import Depends, Request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from app.dsn import Address

PROBE_SECONDS = 2


class DatabaseUnavailableError(Exception):
    """Why the database cannot serve now, in few words; later it may."""


def connect(address: Address) -> AsyncEngine:
    """An engine that has not connected yet: PostgreSQL may still be starting."""
    arguments: dict[str, object] = {
        "timeout": 5,
        # A pooler in transaction mode hands each transaction another server connection, where a
        # statement prepared by name before does not exist. Without a cache asyncpg names none.
        "statement_cache_size": 0,
    }
    if address.ssl is not None:
        arguments["ssl"] = _tls(address.ssl)
    return create_async_engine(
        address.url,
        connect_args=arguments,
        # What users write stays out of errors, and so out of logs.
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=5,
        max_overflow=5,
        pool_timeout=5,
    )


def may_be_id(number: int) -> bool:
    """Whether a row can have this id. PostgreSQL refuses to compare what its column cannot hold."""
    return 0 < number < 2**63


def _tls(mode: str) -> str | ssl.SSLContext:
    """What asyncpg takes for libpq's sslmode. Certificates are verified with the system's
    authorities, which public hosts need; asyncpg would want a file in a home directory."""
    if not mode.startswith("verify-"):
        return mode
    context = ssl.create_default_context()
    context.check_hostname = mode == "verify-full"
    return context


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
    # What is behind a PostgresError says less, and behind a timeout there is only a cancelled wait.
    telling = (asyncpg.PostgresError, TimeoutError)
    while cause.__cause__ is not None and not isinstance(cause, telling):
        cause = cause.__cause__
    if isinstance(cause, asyncpg.InvalidAuthorizationSpecificationError):
        return "PostgreSQL refuses the user or the password"
    if isinstance(cause, asyncpg.InvalidCatalogNameError):
        return "the database does not exist"
    # The last two end connections that are open, as when the server is stopped or crashes.
    coming_or_going = (
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
    )
    if isinstance(cause, coming_or_going):
        return "PostgreSQL is starting or stopping"
    if isinstance(error, PoolTimeoutError):
        return "every connection to PostgreSQL is in use"
    if isinstance(cause, asyncpg.TooManyConnectionsError):
        return "PostgreSQL has no free connection"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return "PostgreSQL's certificate is not to be trusted"
    if isinstance(cause, TimeoutError):
        return "PostgreSQL does not answer in time"
    if isinstance(cause, (OSError, asyncpg.PostgresConnectionError)):
        return "PostgreSQL cannot be reached"
    if isinstance(cause, asyncpg.InterfaceError) or isinstance(error, InterfaceError):
        return "the connection to PostgreSQL broke"
    return None


@asynccontextmanager
async def open_session(engine: AsyncEngine) -> AsyncIterator[AsyncSession]:
    """A session that is rolled back by anything raised in it. Raises DatabaseUnavailableError for
    what waiting can heal."""
    try:
        async with AsyncSession(engine, expire_on_commit=False) as opened:
            yield opened
    except (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        if (reason := passing(error)) is None:
            raise
        raise DatabaseUnavailableError(reason) from error


async def migrated(request: Request) -> None:
    """Raises DatabaseUnavailableError until the tables are what this version wants."""
    if not request.app.state.migrated.is_set():
        raise DatabaseUnavailableError("the database is not at the newest migration yet")


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    """One session a request, once the tables are what this version wants."""
    await migrated(request)
    async with open_session(request.app.state.engine) as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]
