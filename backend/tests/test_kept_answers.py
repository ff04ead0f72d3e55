"""An answer that is being saved: what happens to its conversation or to the process meanwhile."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from sqlmodel import col, select

from app import answer, conversation_store
from app.answer import Answers, Delta, Question, ToolUse
from app.conversation import Conversation, Message
from app.conversation_store import NoSuchConversationError
from app.database import open_session
from app.settings import Settings
from tests.asked import Asked, asked, until_held_up
from tests.conftest import Server, serving_app


async def hello(_user: str, _messages: list[Message]) -> AsyncGenerator[Delta | ToolUse]:
    yield Delta("Hello!")


async def texts(question: Asked) -> list[str]:
    async with open_session(question.engine) as database:
        found = await conversation_store.messages(database, "ada", question.conversation)
        return [message.text for message in found]


def test_an_answer_and_a_deletion_of_its_conversation_never_wait_for_each_other(
    settings: Settings, server: Server
) -> None:
    async def save(question: Asked) -> None:
        async with open_session(question.engine) as database:
            await conversation_store.add_answer(
                database, "ada", question.conversation, question.message, "Hello!", []
            )

    async def use() -> None:
        async with asked(settings) as question:
            async with open_session(question.engine) as database:
                # What a deletion takes first.
                taken = select(Conversation).where(col(Conversation.id) == question.conversation)
                await database.exec(taken.with_for_update())
                saving = asyncio.create_task(save(question))
                await until_held_up(settings, server, saving)
                await conversation_store.remove(database, "ada", question.conversation)
            with pytest.raises(NoSuchConversationError):
                await saving

    with serving_app(settings):
        asyncio.run(use())


def test_a_stop_of_the_process_loses_no_answer_that_is_being_saved(
    settings: Settings, server: Server
) -> None:
    async def use() -> None:
        async with asked(settings) as question:
            answers = Answers(question.engine)
            async with open_session(question.engine) as database:
                taken = select(Conversation).where(col(Conversation.id) == question.conversation)
                await database.exec(taken.with_for_update())
                answers.begin(Question("ada", question.conversation, question.message), hello)
                await until_held_up(settings, server)
                stopping = asyncio.create_task(answers.stop())
                # It has begun by the time at which the database has answered.
                await database.commit()
            await stopping
            assert await texts(question) == ["hello", "Hello!"]

    with serving_app(settings):
        asyncio.run(use())


def test_a_stop_of_the_process_does_not_wait_for_a_database_that_saves_nothing(
    settings: Settings, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer, "SAVE_SECONDS", 0.0)

    async def use() -> None:
        async with asked(settings) as question:
            answers = Answers(question.engine)
            async with open_session(question.engine) as database:
                taken = select(Conversation).where(col(Conversation.id) == question.conversation)
                await database.exec(taken.with_for_update())
                answers.begin(Question("ada", question.conversation, question.message), hello)
                await until_held_up(settings, server)
                await answers.stop()
            assert await texts(question) == ["hello"]

    with serving_app(settings):
        asyncio.run(use())
