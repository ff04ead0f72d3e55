"""A stream whose events are far apart stays awake, and one that is over ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message

from app import event_stream
from app.event_stream import COMMENT, EventStream
from app.settings import Settings
from tests.caller import Caller
from tests.provider import Wait, providing
from tests.serving import serving
from tests.sign_in import SignIn
from tests.sse import events, said
from tests.waiting import DEADLINE_SECONDS


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SILENCE_SECONDS", 0.05)


@pytest.mark.parametrize("way", ["/api/chat", "/chatkit"])
def test_a_model_that_thinks_for_long_loses_no_reader(
    settings: Settings, sign_in: SignIn, way: str
) -> None:
    content = [{"type": "input_text", "text": "hello"}]
    given = {"input": {"content": content, "attachments": [], "inference_options": {}}}
    bodies = {
        "/api/chat": {"message": "hello"},
        "/chatkit": {"type": "threads.create", "params": given},
    }
    told = ""
    with providing() as provider:
        chosen = {"openai_api_key": "sk-secret", "openai_base_url": provider.url}
        provider.replies = [Wait(("Hel",), ("lo!",))]
        with serving(Settings.model_validate(settings.model_dump() | chosen)) as app:
            ada = Caller(app.url, sign_in)
            with ada.http.stream("POST", way, json=bodies[way]) as answer:
                for text in answer.iter_text():
                    told += text
                    # It goes on only when its reader was told that somebody is there.
                    if "Hel" in told and told.endswith(COMMENT):
                        provider.go_on.set()
    assert COMMENT in told
    assert "lo!" in told
    if way == "/api/chat":
        assert said(events(told)) == "Hello!"


async def sent(pieces: AsyncIterator[str]) -> list[bytes]:
    """What an answer of these pieces sends."""
    bodies: list[bytes] = []

    async def send(message: Message) -> None:
        bodies.append(message.get("body", b""))

    await EventStream(pieces).stream_response(send)
    return [body for body in bodies if body]


def test_events_come_as_they_are_and_in_their_order() -> None:
    async def pieces() -> AsyncIterator[str]:
        for number in range(3):
            yield f"data: {number}\n\n"

    assert asyncio.run(sent(pieces())) == [b"data: 0\n\n", b"data: 1\n\n", b"data: 2\n\n"]


def test_what_fails_in_the_middle_fails_the_answer() -> None:
    async def pieces() -> AsyncIterator[str]:
        yield "data: 0\n\n"
        raise ValueError("the rest is lost")

    with pytest.raises(ValueError, match="the rest is lost"):
        asyncio.run(sent(pieces()))


def test_who_leaves_ends_what_makes_the_events() -> None:
    async def leave() -> None:
        waiting, ended = asyncio.Event(), asyncio.Event()

        async def pieces() -> AsyncIterator[str]:
            yield "data: 0\n\n"
            waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        reading = asyncio.create_task(sent(pieces()))
        await waiting.wait()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        async with asyncio.timeout(DEADLINE_SECONDS):
            await ended.wait()

    asyncio.run(leave())
