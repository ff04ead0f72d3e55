"""ChatKit's threads and items over the tables of conversations and messages.

A thread's id is its conversation's number, and an item's id its message's: both ways to chat show
the same. This module knows ChatKit's types, and nothing of requests or of what answers.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chatkit.store import NotFoundError, Store, StoreItemType
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageItem,
    Attachment,
    InferenceOptions,
    Page,
    ThreadItem,
    ThreadMetadata,
    UserMessageItem,
    UserMessageTextContent,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from app import conversation_store
from app.answer import Think
from app.conversation import Conversation, Message, Role
from app.conversation_store import NoSuchConversationError, NoSuchMessageError
from app.database import open_session

LARGEST_PAGE = 100


@dataclass(frozen=True)
class Context:
    """What one request is about. ChatKit asks for ids where nothing can be awaited, so those that
    the request may need were taken before. The message is the person's, new or tried again."""

    user: str
    think: Think
    said: str = ""
    title: str = ""
    conversation_id: int = 0
    message_id: int = 0


class ConversationStore(Store[Context]):
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    def generate_thread_id(self, context: Context) -> str:
        return str(context.conversation_id)

    def generate_item_id(
        self, item_type: StoreItemType, thread: ThreadMetadata, context: Context
    ) -> str:
        return str(context.message_id)

    async def load_thread(self, thread_id: str, context: Context) -> ThreadMetadata:
        async with self._database() as database:
            return _thread(await conversation_store.get(database, context.user, _number(thread_id)))

    async def save_thread(self, thread: ThreadMetadata, context: Context) -> None:
        number = _number(thread.id)
        async with self._database() as database:
            if thread.title is None:
                await conversation_store.begin(database, context.user, context.title, number)
            else:
                await conversation_store.rename(database, context.user, number, thread.title)

    async def delete_thread(self, thread_id: str, context: Context) -> None:
        async with self._database() as database:
            await conversation_store.remove(database, context.user, _number(thread_id))

    async def load_threads(
        self, limit: int, after: str | None, order: str, context: Context
    ) -> Page[ThreadMetadata]:
        size = _size(limit)
        async with self._database() as database:
            found = await conversation_store.find(
                database,
                context.user,
                size + 1,
                after=None if after is None else _number(after),
                newest_first=order == "desc",
            )
        return _page([_thread(conversation) for conversation in found], size)

    async def load_thread_items(
        self, thread_id: str, after: str | None, limit: int, order: str, context: Context
    ) -> Page[ThreadItem]:
        size, number = _size(limit), _number(thread_id)
        async with self._database() as database:
            await conversation_store.get(database, context.user, number)
            found = await conversation_store.messages(
                database,
                context.user,
                number,
                size + 1,
                after=None if after is None else _number(after),
                newest_first=order == "desc",
            )
        return _page([as_item(message) for message in found], size)

    async def load_item(self, thread_id: str, item_id: str, context: Context) -> ThreadItem:
        async with self._database() as database:
            return as_item(
                await conversation_store.get_message(
                    database, context.user, _number(thread_id), _number(item_id)
                )
            )

    async def add_thread_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        """An answer is not saved here: it has been, by the task that made it."""
        if not isinstance(item, UserMessageItem):
            return
        async with self._database() as database:
            await conversation_store.add_question(
                database, context.user, _number(thread_id), context.said, _number(item.id)
            )

    async def delete_thread_item(self, thread_id: str, item_id: str, context: Context) -> None:
        async with self._database() as database:
            await conversation_store.remove_message(
                database, context.user, _number(thread_id), _number(item_id)
            )

    async def save_item(self, thread_id: str, item: ThreadItem, context: Context) -> None:
        raise NotImplementedError("a message that was said is never changed")

    async def save_attachment(self, attachment: Attachment, context: Context) -> None:
        raise NotImplementedError("there are no attachments")

    async def load_attachment(self, attachment_id: str, context: Context) -> Attachment:
        raise NotFoundError("there are no attachments")

    async def delete_attachment(self, attachment_id: str, context: Context) -> None:
        raise NotFoundError("there are no attachments")

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[AsyncSession]:
        try:
            async with open_session(self._engine) as database:
                yield database
        except (NoSuchConversationError, NoSuchMessageError) as error:
            raise NotFoundError(f"there is no {error}") from None


def as_item(message: Message) -> ThreadItem:
    """A message as ChatKit shows it."""
    own = {
        "id": str(message.id),
        "thread_id": str(message.conversation_id),
        "created_at": message.created_at,
    }
    if message.role == Role.USER:
        content = [UserMessageTextContent(text=message.text)]
        return UserMessageItem(content=content, inference_options=InferenceOptions(), **own)
    return AssistantMessageItem(content=[AssistantMessageContent(text=message.text)], **own)


def _thread(conversation: Conversation) -> ThreadMetadata:
    return ThreadMetadata(
        id=str(conversation.id), title=conversation.title, created_at=conversation.created_at
    )


def _number(shown: str) -> int:
    """The number that an id is. Raises NotFoundError for what is none of ours."""
    if not (shown.isascii() and shown.isdecimal() and len(shown) < len(str(2**63))):
        raise NotFoundError("that is no id")
    return int(shown)


def _size(limit: int) -> int:
    return max(1, min(limit, LARGEST_PAGE))


def _page[T: (ThreadMetadata, ThreadItem)](found: list[T], size: int) -> Page[T]:
    """One more than the size was asked for, to know whether there are more."""
    shown, more = found[:size], len(found) > size
    return Page(data=shown, has_more=more, after=shown[-1].id if more else None)
