"""The parts of the chat that are heavy to import, made after the start.

The SDKs of agents and of MCP take seconds of a processor to import, longer than all the rest. So
the process serves without them first, and what needs them waits for `parts`. They are made when
somebody asks for them, or when the start and the rollout around it have had the processors.
"""

import asyncio
import importlib
import logging
from contextlib import suppress
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Self

from sqlalchemy.ext.asyncio import AsyncEngine

from app.answer import Answers
from app.settings import Settings

if TYPE_CHECKING:
    from app.agent import TaskAgent
    from app.chatkit import Chat
    from app.mcp_server import Endpoint

log = logging.getLogger(__name__)

# As long as other pods of a small rollout take to start.
PAUSE_SECONDS = 10.0


@dataclass(frozen=True)
class Parts:
    agent: "TaskAgent"
    mcp: "Endpoint"
    chatkit: "Chat"


class Assistant:
    """Lives as long as the application is served: `async with Assistant(…) as assistant`."""

    def __init__(self, settings: Settings, engine: AsyncEngine, answers: Answers) -> None:
        self._settings = settings
        self._engine = engine
        self._answers = answers
        self._stopped = asyncio.Event()
        self._wanted = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._parts: asyncio.Future[Parts] = asyncio.get_running_loop().create_future()
        # One task makes them and ends them: what MCP's server opens, the same task must close.
        self._living = asyncio.create_task(self._live(), name="assistant")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped.set()
        self._wanted.set()
        await self._living

    async def parts(self) -> Parts:
        """Waits until they are made; raises what kept them from being made."""
        self._wanted.set()
        return await asyncio.shield(self._parts)

    async def _live(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), PAUSE_SECONDS)
        if self._stopped.is_set():
            self._parts.cancel()
            return
        try:
            # Threads share the interpreter fairly, so that health checks are answered meanwhile.
            agent, mcp_server, chatkit = await asyncio.to_thread(_import)
            server = mcp_server.build(self._engine)
            endpoint = mcp_server.Endpoint(server)
            task_agent = agent.TaskAgent(self._settings, server)
            chat = chatkit.Chat(self._engine, self._answers)
            async with endpoint.running():
                self._parts.set_result(Parts(task_agent, endpoint, chat))
                await self._stopped.wait()
            await task_agent.close()
        except Exception as error:
            log.exception("the assistant cannot be had")
            if not self._parts.done():
                self._parts.set_exception(error)


def _import() -> list[ModuleType]:
    return [importlib.import_module(f"app.{name}") for name in ("agent", "mcp_server", "chatkit")]
