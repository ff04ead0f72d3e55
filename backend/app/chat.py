"""The routes by which a person speaks with the assistant.

Nothing is kept between two requests: the conversation is in the database, so that any replica can
answer the next message.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from datetime import UTC, date, datetime, tzinfo
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from app import conversation_store
from app.answer import Answered, Answers, Delta, Event, Failed, Question, Think, ToolUse
from app.assistant import Assistant
from app.auth import User
from app.conversation import Conversation, Message, MessageText, title_of
from app.conversations import MISSING, missing_is_404
from app.database import session
from app.event_stream import EventStream
from app.problem import SIGNED_IN, WITH_BODY, Responses
from app.settings import Settings

router = APIRouter(prefix="/api", tags=["chat"], responses=SIGNED_IN)
# What each event of the stream is.
EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["conversation", "delta", "tool", "done", "error"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
    "required": ["event", "data"],
}
STREAM: Responses = {
    200: {
        "description": "The events of the answer",
        "content": {"text/event-stream": {"schema": EVENT}},
    }
}


# Closed when the route returns: one that lived as long as the stream would hold its connection.
BriefSession = Annotated[AsyncSession, Depends(session, scope="function")]


class AssistantOut(BaseModel):
    """Which model answers: a provider's, or the one that is built in."""

    kind: Literal["openai", "local"]
    model: str


class ChatIn(BaseModel):
    conversation_id: int | None = Field(
        default=None, description="Which conversation to go on with; null begins one."
    )
    message: MessageText
    timezone: str = Field(
        default="UTC",
        max_length=64,
        description="Where the person is, for “today” and “tomorrow”, like Europe/Berlin; one that"
        " is not known counts as UTC.",
    )


@router.get("/assistant")
async def get_assistant(request: Request, _user: User) -> AssistantOut:
    settings: Settings = request.app.state.settings
    if settings.openai_api_key is None:
        return AssistantOut(kind="local", model="built-in")
    return AssistantOut(kind="openai", model=settings.openai_model)


@router.post(
    "/chat",
    response_class=StreamingResponse,
    responses=STREAM | MISSING | WITH_BODY,
)
async def chat(request: Request, user: User, database: BriefSession, body: ChatIn) -> EventStream:
    """Say something, and be answered by a stream of events: `conversation` first, which names the
    message as well, then `delta` (a piece of the answer) and `tool` (what was done), and `done` or
    `error` at the end. Who leaves the stream does not stop the answer."""
    with missing_is_404():
        if body.conversation_id is None:
            title = title_of(body.message)
            conversation = await conversation_store.begin(database, user, title)
        else:
            conversation = await conversation_store.get(database, user, body.conversation_id)
        number = conversation.id or 0
        asked = await conversation_store.add_question(database, user, number, body.message)
    answers: Answers = request.app.state.answers
    think = thinking(request.app.state.assistant, today_in(body.timezone))
    question = Question(user, number, asked.id or 0)
    events = answers.begin(question, think)
    return EventStream(_stream(conversation, question, events))


def today_in(timezone: str) -> date:
    """Browsers may know zones that are newer than ours: a chat should not fail for that."""
    try:
        zone: tzinfo = ZoneInfo(timezone)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        zone = UTC
    return datetime.now(zone).date()


def thinking(assistant: Assistant, today: date) -> Think:
    """How an answer is come to, on that day."""

    async def think(user: str, messages: list[Message]) -> AsyncGenerator[Delta | ToolUse]:
        parts = await assistant.parts()
        async with aclosing(parts.agent.answer(user, messages, today)) as events:
            async for event in events:
                yield event

    return think


async def _stream(
    conversation: Conversation, question: Question, events: AsyncIterator[Event]
) -> AsyncIterator[str]:
    about = {"id": conversation.id, "title": conversation.title, "message_id": question.message_id}
    yield _event("conversation", about)
    async for event in events:
        match event:
            case Delta(text):
                yield _event("delta", {"text": text})
            case ToolUse(name, arguments, result):
                yield _event("tool", {"name": name, "arguments": arguments, "result": result})
            case Answered(message):
                yield _event("done", {"message_id": message.id})
            case Failed(reason):
                yield _event("error", {"message": reason})


def _event(name: str, data: dict[str, Any]) -> str:
    """One event of text/event-stream; JSON holds no line end, so neither does its data."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
