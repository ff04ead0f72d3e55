"""The heavy parts come after the start, not before it."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from types import ModuleType

import pytest

from app import assistant
from app.answer import Answers
from app.assistant import Assistant
from app.database import connect
from app.settings import Settings
from tests.waiting import DEADLINE_SECONDS

HEAVY = ["agents", "chatkit", "mcp", "openai"]


def test_the_application_is_there_before_the_sdks_are() -> None:
    """They take several times as long to import as all the rest, and a start waits for imports."""
    program = "import sys, app.main; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert [name for name in ended.stdout.split() if name in HEAVY] == []


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[list[ModuleType]]:
    """What was imported, each time."""
    imports: list[list[ModuleType]] = []
    real = assistant._import

    def noted() -> list[ModuleType]:
        imports.append(real())
        return imports[-1]

    monkeypatch.setattr(assistant, "_import", noted)
    return imports


def served(settings: Settings, use: Callable[[Assistant], Awaitable[object]]) -> None:
    """An assistant's life, with `use` in it."""

    async def live() -> None:
        engine = connect(settings.database)
        async with asyncio.timeout(DEADLINE_SECONDS):
            async with Assistant(settings, engine, Answers(engine)) as living:
                await use(living)
            await engine.dispose()

    asyncio.run(live())


def test_whoever_asks_for_them_waits_for_nothing_else(
    settings: Settings, imports: list[list[ModuleType]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant, "PAUSE_SECONDS", 2 * DEADLINE_SECONDS)
    served(settings, Assistant.parts)
    assert len(imports) == 1


def test_they_are_made_in_the_end_though_nobody_asks(
    settings: Settings, imports: list[list[ModuleType]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant, "PAUSE_SECONDS", 0.0)

    async def look(living: Assistant) -> None:
        # Not by `parts`, which is how one asks.
        await living._parts

    served(settings, look)
    assert len(imports) == 1


def test_a_process_that_is_stopped_soon_imports_nothing(
    settings: Settings, imports: list[list[ModuleType]]
) -> None:
    served(settings, lambda _: asyncio.sleep(0))
    assert imports == []
