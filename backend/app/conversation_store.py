"""A user's conversations in the database, for the routes, the chat and ChatKit alike.

Every function takes the user and names them in its query: a conversation of someone else is not
there. A function that changes something commits it.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, case, delete, func, literal, tuple_, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from app.conversation import Conversation, Message, Role
from app.database import may_be_id

# The most conversations, or messages of one, that an answer holds.
MOST = 500
# How long an answer may take, and how long until one that has ended, or was stopped, is kept.
ANSWER_SECONDS = 120
KEEP_SECONDS = 10


class NoSuchConversationError(Exception):
    """The user has no conversation of that number."""


class NoSuchMessageError(Exception):
    """The conversation has no message of that number."""


async def begin(
    database: AsyncSession, user: str, title: str, conversation_id: int | None = None
) -> Conversation:
    """A new conversation; under the number that was taken for it, if one was."""
    conversation = Conversation(id=conversation_id, user_id=user, title=title)
    database.add(conversation)
    await database.commit()
    await database.refresh(conversation)
    return conversation


async def add_question(
    database: AsyncSession,
    user: str,
    conversation_id: int,
    said: str,
    message_id: int | None = None,
) -> Message:
    """Append what the person said, which is to be answered; under the number that was taken for
    it, if one was. Raises NoSuchConversationError."""
    message = Message(
        id=message_id,
        conversation_id=conversation_id,
        user_id=user,
        role=Role.USER,
        text=said,
        tools=[],
        answering_until=_after(ANSWER_SECONDS + KEEP_SECONDS),
    )
    return await _add(database, message)


async def add_answer(
    database: AsyncSession,
    user: str,
    conversation_id: int,
    question_id: int,
    said: str,
    tools: list[dict[str, Any]],
    message_id: int | None = None,
) -> Message:
    """Append the answer to a message of the person, which is not waited for from then on; under
    the number that was taken for it, if one was. Raises NoSuchConversationError."""
    message = Message(
        id=message_id,
        conversation_id=conversation_id,
        user_id=user,
        role=Role.ASSISTANT,
        text=said,
        tools=tools,
    )
    return await _add(database, message, question_id)


async def _add(database: AsyncSession, message: Message, answered: int | None = None) -> Message:
    """Append the message, which answers that other one. Raises NoSuchConversationError, also when
    the conversation was deleted meanwhile."""
    conversation_id, user = message.conversation_id, message.user_id
    database.add(message)
    try:
        await database.flush()
    except IntegrityError:
        await database.rollback()
        raise NoSuchConversationError(conversation_id) from None
    # Only now that the conversation is held: whoever deletes it takes it first and then its
    # messages, and in another order the two would wait for each other.
    if answered is not None:
        await database.exec(
            update(Message)
            .where(col(Message.user_id) == user, col(Message.id) == answered)
            .values(answering_until=None)
        )
    await database.exec(
        update(Conversation)
        .where(col(Conversation.id) == conversation_id, col(Conversation.user_id) == user)
        .values(updated_at=func.now())
    )
    await database.commit()
    await database.refresh(message)
    return message


async def take_number(database: AsyncSession, table: str) -> int:
    """A number that nothing else in the table will have."""
    sequence = func.pg_get_serial_sequence(table, "id")
    return int((await database.exec(select(func.nextval(sequence)))).one())


async def find(
    database: AsyncSession,
    user: str,
    limit: int = MOST,
    *,
    after: int | None = None,
    newest_first: bool = True,
) -> list[Conversation]:
    """The user's conversations in the order in which they were last spoken in; those behind
    `after`, if it is given. Raises NoSuchConversationError when there is no `after`."""
    place = tuple_(col(Conversation.updated_at), col(Conversation.id))
    query = select(Conversation).where(Conversation.user_id == user)
    if after is not None:
        last = await get(database, user, after)
        seen = tuple_(literal(last.updated_at), literal(last.id))
        query = query.where(place < seen if newest_first else place > seen)
    keys = (col(Conversation.updated_at), col(Conversation.id))
    order = [key.desc() if newest_first else key.asc() for key in keys]
    return list(await database.exec(query.order_by(*order).limit(limit)))


async def get(
    database: AsyncSession, user: str, conversation_id: int, *, hold: bool = False
) -> Conversation:
    """With `hold` nobody else changes or deletes it until the end of the transaction. Raises
    NoSuchConversationError."""
    query = select(Conversation).where(
        Conversation.user_id == user, Conversation.id == conversation_id
    )
    if hold:
        query = query.with_for_update(key_share=True)
    found = (await database.exec(query)).one_or_none() if may_be_id(conversation_id) else None
    if found is None:
        raise NoSuchConversationError(conversation_id)
    return found


async def rename(
    database: AsyncSession, user: str, conversation_id: int, title: str
) -> Conversation:
    """Raises NoSuchConversationError."""
    conversation = await get(database, user, conversation_id, hold=True)
    conversation.title = title
    await database.commit()
    return conversation


async def messages(
    database: AsyncSession,
    user: str,
    conversation_id: int,
    limit: int = MOST,
    *,
    after: int | None = None,
    newest_first: bool = False,
) -> list[Message]:
    """The messages of the conversation; those behind `after`, if it is given."""
    number = col(Message.id)
    query = select(Message).where(
        Message.user_id == user, Message.conversation_id == conversation_id
    )
    if after is not None:
        query = query.where(number < after if newest_first else number > after)
    order = number.desc() if newest_first else number.asc()
    return list(await database.exec(query.order_by(order).limit(limit)))


async def last_messages(
    database: AsyncSession,
    user: str,
    conversation_id: int,
    limit: int = MOST,
    *,
    until: int | None = None,
) -> list[Message]:
    """The newest messages of the conversation, oldest first; up to `until`, if it is given."""
    behind = None if until is None else until + 1
    newest = await messages(database, user, conversation_id, limit, after=behind, newest_first=True)
    return newest[::-1]


async def stop_answer(
    database: AsyncSession, user: str, conversation_id: int, message_id: int
) -> None:
    """Say that the answer to the message is not wanted any more. Waits for what the answer is
    just changing; once this has returned, it changes nothing. Raises NoSuchMessageError."""
    # One that is there already stays so.
    until = case(
        (
            col(Message.answering_until).is_not(None),
            func.least(Message.answering_until, _after(KEEP_SECONDS)),
        )
    )
    stopped = {"stopped": True, "answering_until": until}
    await _change_question(database, user, conversation_id, message_id, stopped)


async def ask_again(
    database: AsyncSession, user: str, conversation_id: int, message_id: int
) -> None:
    """Say that the message is to be answered once more. Raises NoSuchMessageError."""
    asked = {"stopped": False, "answering_until": _after(ANSWER_SECONDS + KEEP_SECONDS)}
    await _change_question(database, user, conversation_id, message_id, asked)


def _after(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def _change_question(
    database: AsyncSession,
    user: str,
    conversation_id: int,
    message_id: int,
    values: dict[str, Any],
) -> None:
    changed: CursorResult[Any] | None = None
    if may_be_id(conversation_id) and may_be_id(message_id):
        changed = await database.exec(
            update(Message)
            .where(
                col(Message.user_id) == user,
                col(Message.conversation_id) == conversation_id,
                col(Message.id) == message_id,
                col(Message.role) == Role.USER,
            )
            .values(values)
        )
        await database.commit()
    if changed is None or not changed.rowcount:
        raise NoSuchMessageError(message_id)


async def is_wanted(
    database: AsyncSession, user: str, message_id: int, *, hold: bool = False
) -> bool:
    """Whether the message is still there and its answer was not stopped. With `hold` that stays so
    until the end of the transaction, on whichever replica it is stopped."""
    query = select(Message.stopped).where(Message.user_id == user, Message.id == message_id)
    if hold:
        query = query.with_for_update(read=True)
    return (await database.exec(query)).one_or_none() is False


async def get_message(
    database: AsyncSession, user: str, conversation_id: int, message_id: int
) -> Message:
    """Raises NoSuchMessageError."""
    query = select(Message).where(
        Message.user_id == user,
        Message.conversation_id == conversation_id,
        Message.id == message_id,
    )
    found = (await database.exec(query)).one_or_none()
    if found is None:
        raise NoSuchMessageError(message_id)
    return found


async def remove(database: AsyncSession, user: str, conversation_id: int) -> None:
    """Its messages go with it. Raises NoSuchConversationError."""
    await database.delete(await get(database, user, conversation_id))
    await database.commit()


async def remove_message(
    database: AsyncSession, user: str, conversation_id: int, message_id: int
) -> None:
    """Raises NoSuchMessageError."""
    removed: CursorResult[Any] = await database.exec(
        delete(Message).where(
            col(Message.user_id) == user,
            col(Message.conversation_id) == conversation_id,
            col(Message.id) == message_id,
        )
    )
    await database.commit()
    if not removed.rowcount:
        raise NoSuchMessageError(message_id)
