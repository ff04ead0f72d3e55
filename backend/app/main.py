"""Puts the application together: routes, middleware, and what lives as long as the process."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware

from app import VERSION, health, tasks
from app.auth import Identification
from app.database import connect
from app.logs import request_id
from app.migrate import migrate_when_possible
from app.settings import Settings

log = logging.getLogger(__name__)

# Far more than a task or a message to the assistant holds.
MAX_BODY_BYTES = 262_144


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Serve at once, migrate beside it: readiness says when the database has been reached."""
    app.state.engine = connect(app.state.settings.database)
    app.state.identification = Identification(app.state.settings)
    app.state.migrated = asyncio.Event()
    migrating = asyncio.create_task(_migrate(app))
    yield
    migrating.cancel()
    with suppress(asyncio.CancelledError):
        await migrating
    await app.state.identification.close()
    await app.state.engine.dispose()


async def _migrate(app: FastAPI) -> None:
    try:
        await migrate_when_possible(app.state.engine)
    except Exception:
        # No request can be served from a schema that is not there: end, and be seen to have failed.
        log.exception("a migration failed")
        app.state.on_failure()
    else:
        app.state.migrated.set()


async def _log_request(
    request: Request, call_next: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Give the request an id, answer with it, and log how the request went, health checks aside."""
    token = request_id.set(uuid.uuid4().hex)
    began = time.perf_counter()
    try:
        response = await call_next(request)
        response.headers["X-Request-Id"] = request_id.get() or ""
        if not request.url.path.startswith("/api/health"):
            log.info(
                "request",
                extra={
                    "method": request.method,
                    "path": request.url.path,
                    "status": response.status_code,
                    "milliseconds": round((time.perf_counter() - began) * 1000, 1),
                },
            )
        return response
    finally:
        request_id.reset(token)


def create_app(settings: Settings, on_failure: Callable[[], None]) -> FastAPI:
    """The application for these settings. Connects only when it is served; `on_failure` is called
    when it can never serve, because a migration failed."""
    app = FastAPI(
        title="Todo Chatbot",
        version=VERSION,
        lifespan=_lifespan,
        # The pages about the API load their scripts from strangers; /openapi.json is enough.
        docs_url=None,
        redoc_url=None,
        max_body_size=MAX_BODY_BYTES,
    )
    app.state.settings = settings
    app.state.on_failure = on_failure
    app.include_router(health.router)
    app.include_router(tasks.router)
    app.middleware("http")(_log_request)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
    )
    return app
