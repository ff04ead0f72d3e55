"""Answers that are being made: each in a task of its own, saved however it ends.

A client that goes away does not end its answer: what the tools did is then told by the
conversation, not lost with a connection. The person can stop it, through whichever replica: that
is said in the database, where this process looks. A stop of the process ends it, too. Either way
what was said so far is saved. This module knows the database and nothing of HTTP, of models, or of
their SDKs.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from app import conversation_store
from app.conversation import Message
from app.conversation_store import ANSWER_SECONDS, NoSuchConversationError
from app.database import DatabaseUnavailableError, open_session

log = logging.getLogger(__name__)

# How much of the conversation the assistant is told.
REMEMBERED_MESSAGES = 30
# How often is looked whether the answer is still wanted. Its tools look each time.
LOOK_SECONDS = 1.0
# What a stop of the process leaves to save them, within the time until it is killed.
SAVE_SECONDS = 4.0

FAILED = "The assistant could not answer. Please try again."
INTERRUPTED = "The answer was interrupted. Please try again."
STOPPED = "You stopped this answer. What was done until then stays done."
DELETED = "The conversation was deleted."


@dataclass(frozen=True)
class Delta:
    """A further piece of what the assistant says."""

    text: str


@dataclass(frozen=True)
class ToolUse:
    """A tool that was called and has answered."""

    name: str
    arguments: dict[str, Any]
    result: Any


@dataclass(frozen=True)
class Answered:
    """The end: the answer as it was saved."""

    message: Message


@dataclass(frozen=True)
class Failed:
    """The end: there is no answer, for a reason that can be shown to the person."""

    reason: str


Event = Delta | ToolUse | Answered | Failed
# Answers to the last of the messages as their user.
Think = Callable[[str, list[Message]], AsyncGenerator[Delta | ToolUse]]


@dataclass(frozen=True)
class Question:
    """Whose message is answered, and under which number the answer is saved, if one was taken."""

    user: str
    conversation_id: int
    message_id: int
    answer_id: int | None = None


@dataclass
class _Draft:
    said: str = ""
    tools: list[ToolUse] = field(default_factory=list)
    unwanted: bool = False

    def take(self, event: Delta | ToolUse) -> None:
        if isinstance(event, Delta):
            self.said += event.text
        else:
            self.tools.append(event)


class Answers:
    """Those under way in this process."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._under_way: set[asyncio.Task[None]] = set()
        # Those of them that still think. What they have thought is saved whatever comes.
        self._thinking: set[asyncio.Task[None]] = set()

    def begin(self, question: Question, think: Think) -> AsyncIterator[Event]:
        """Answer it, and tell how that goes: pieces and tools, then one Answered or Failed."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        making = asyncio.create_task(self._make(events, question, think), name="answer")
        self._under_way.add(making)
        self._thinking.add(making)
        making.add_done_callback(self._under_way.discard)
        making.add_done_callback(self._thinking.discard)
        return _told(events)

    async def stop(self) -> None:
        """End them all; each saves what it has, unless that takes longer than there is time."""
        for making in self._thinking:
            making.cancel()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=SAVE_SECONDS)
            for making in late:
                making.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _make(self, events: asyncio.Queue[Event], question: Question, think: Think) -> None:
        draft = _Draft()
        failure = None
        making = asyncio.current_task()
        watching = asyncio.create_task(self._watch(question, draft, making), name="watch")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                async with open_session(self._engine) as database:
                    # What was asked after it has an answer of its own.
                    messages = await conversation_store.last_messages(
                        database,
                        question.user,
                        question.conversation_id,
                        REMEMBERED_MESSAGES,
                        until=question.message_id,
                    )
                async with aclosing(think(question.user, messages)) as thoughts:
                    async for event in thoughts:
                        draft.take(event)
                        events.put_nowait(event)
            if not draft.said.strip():
                log.warning("the model said nothing")
                failure = FAILED
        except asyncio.CancelledError:
            failure = STOPPED if draft.unwanted else INTERRUPTED
        except Exception as error:
            _log("an answer failed", error)
            failure = FAILED
        finally:
            # Nothing was awaited since: from here on only a stop that runs out of time cancels.
            watching.cancel()
            if making is not None:
                self._thinking.discard(making)
        events.put_nowait(await self._save(question, draft, failure))

    async def _watch(
        self, question: Question, draft: _Draft, making: asyncio.Task[None] | None
    ) -> None:
        """Cancel the making once the answer is not wanted any more."""
        wanted = True
        while wanted:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                async with open_session(self._engine) as database:
                    wanted = await conversation_store.is_wanted(
                        database, question.user, question.message_id
                    )
            except DatabaseUnavailableError:
                continue
            except Exception as error:
                _log("it cannot be known whether an answer is wanted", error)
                return
        draft.unwanted = True
        if making is not None:
            making.cancel()

    async def _save(self, question: Question, draft: _Draft, failure: str | None) -> Event:
        """What was said is kept as it was seen, the failure included."""
        said = "\n\n".join(part for part in (draft.said.strip(), failure) if part)
        tools = [asdict(tool) for tool in draft.tools]
        try:
            async with open_session(self._engine) as database:
                message = await conversation_store.add_answer(
                    database,
                    question.user,
                    question.conversation_id,
                    question.message_id,
                    _storable(said),
                    _storable(tools),
                    question.answer_id,
                )
        except NoSuchConversationError:
            return Failed(DELETED)
        except Exception as error:
            _log("an answer failed", error)
            return Failed(FAILED)
        return Answered(message) if failure is None else Failed(failure)


async def _told(events: asyncio.Queue[Event]) -> AsyncIterator[Event]:
    while True:
        event = await events.get()
        yield event
        if isinstance(event, Answered | Failed):
            return


def _storable(value: Any) -> Any:
    """PostgreSQL's text and JSON cannot hold a NUL character, which a model may well emit."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, dict):
        return {_storable(key): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _log(what: str, error: Exception) -> None:
    """What failed, where, and with what kind of error. Its message may repeat what was written."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error(what, extra={"error": type(error).__name__, "where": where})
