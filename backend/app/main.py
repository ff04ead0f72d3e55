"""Puts the application together: routes, middleware, and what lives as long as the process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from app import VERSION, chat, chatkit_route, conversations, health, mcp_route, tasks
from app.answer import Answers
from app.assistant import Assistant
from app.auth import Identification
from app.database import connect
from app.migrate import migrate_when_possible
from app.problem import handle_problems
from app.request_log import RequestLog
from app.settings import Settings

log = logging.getLogger(__name__)

# Far more than a task or a message to the assistant holds.
MAX_BODY_BYTES = 262_144


# Said once, before the routes, in the API's description.
ABOUT = """\
People reach the API through the frontend, under the same origin: it keeps their session and sends
their token along. A request shows who it acts for as `Authorization: Bearer TOKEN`. TOKEN is a
JSON Web Token of the sign-in, with the public origin as its issuer and audience, or MCP_API_KEY,
which acts for MCP_DEFAULT_USER_ID.

Whatever is another user's is not there: 404. A 503 says with `Retry-After` when to come back.
Every answer has an `X-Request-Id`, the request's own when that is well-formed (up to 64 letters,
digits, `.`, `_`, `-`), and the log names it.
"""


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Serve at once, migrate beside it: readiness says when the database has been reached."""
    app.state.engine = connect(app.state.settings.database)
    app.state.identification = Identification(app.state.settings)
    app.state.migrated = asyncio.Event()
    migrating = asyncio.create_task(_migrate(app))
    app.state.answers = answers = Answers(app.state.engine)
    async with Assistant(app.state.settings, app.state.engine, answers) as app.state.assistant:
        yield
        await answers.stop()
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


def create_app(settings: Settings, on_failure: Callable[[], None]) -> FastAPI:
    """The application for these settings. Connects only when it is served; `on_failure` is called
    when it can never serve, because a migration failed."""
    app = FastAPI(
        title="Todo Chatbot",
        version=VERSION,
        description=ABOUT,
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
    app.include_router(conversations.router)
    app.include_router(chat.router)
    app.include_router(chatkit_route.router)
    app.include_router(mcp_route.router)
    handle_problems(app)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.origins,
        allow_methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "X-Request-Id", *mcp_route.HEADERS],
        expose_headers=["X-Request-Id"],
    )
    # The last is the outermost: every answer has an id.
    app.add_middleware(RequestLog)
    return app
