"""ChatKit's own protocol over the same conversations, assistant and tools.

Importing this costs as much as the agents' SDK: `app.assistant` does it after the start.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime

from chatkit.errors import CustomStreamError
from chatkit.server import ChatKitServer, NonStreamingResult
from chatkit.store import NotFoundError
from chatkit.types import (
    AssistantMessageContent,
    AssistantMessageContentPartAdded,
    AssistantMessageContentPartDone,
    AssistantMessageContentPartTextDelta,
    AssistantMessageItem,
    ChatKitReq,
    ItemsListReq,
    StreamOptions,
    ThreadItem,
    ThreadItemAddedEvent,
    ThreadItemDoneEvent,
    ThreadItemUpdate,
    ThreadItemUpdatedEvent,
    ThreadMetadata,
    ThreadsAddUserMessageReq,
    ThreadsCreateReq,
    ThreadsDeleteReq,
    ThreadsGetByIdReq,
    ThreadsListReq,
    ThreadsRetryAfterItemReq,
    ThreadStreamEvent,
    ThreadsUpdateReq,
    UserMessageInput,
    UserMessageItem,
)
from fastapi import HTTPException, Response, status
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from app import conversation_store
from app.answer import Answered, Answers, Delta, Failed, Question, Think
from app.chatkit_store import Context, ConversationStore, as_item
from app.conversation import MessageText, title_of
from app.database import open_session
from app.event_stream import EventStream

# What the protocol has beyond these is about attachments, widgets and speech: there are none.
Served = (
    ThreadsCreateReq
    | ThreadsAddUserMessageReq
    | ThreadsRetryAfterItemReq
    | ThreadsListReq
    | ThreadsGetByIdReq
    | ThreadsUpdateReq
    | ThreadsDeleteReq
    | ItemsListReq
)

_request: TypeAdapter[ChatKitReq] = TypeAdapter(ChatKitReq)
_text: TypeAdapter[str] = TypeAdapter(MessageText)


class Chat(ChatKitServer[Context]):
    def __init__(self, engine: AsyncEngine, answers: Answers) -> None:
        super().__init__(ConversationStore(engine))
        self._engine = engine
        self._answers = answers

    async def serve(self, user: str, body: bytes, think_in: Callable[[str], Think]) -> Response:
        """Answer one request of the user. `think_in` says how an answer is come to in a time zone,
        which a client may name in the request's metadata."""
        request = _read(body)
        zone = request.metadata.get("timezone")
        context = Context(user, think_in(zone if isinstance(zone, str) else "UTC"))
        try:
            context = await self._prepared(request, context)
            result = await self.process(request.model_dump_json(), context)
        except NotFoundError:
            raise HTTPException(status.HTTP_404_NOT_FOUND, "No such thread or item") from None
        if isinstance(result, NonStreamingResult):
            return Response(result.json, media_type="application/json")
        return EventStream(result)

    async def _prepared(self, request: Served, context: Context) -> Context:
        """The context with the numbers that a stream will need; what would make the stream fail is
        found before it begins. Raises NotFoundError."""
        match request:
            case ThreadsCreateReq():
                said = _said(request.params.input)
                async with open_session(self._engine) as database:
                    return replace(
                        context,
                        said=said,
                        title=title_of(said),
                        conversation_id=await conversation_store.take_number(
                            database, "conversation"
                        ),
                        message_id=await conversation_store.take_number(database, "message"),
                    )
            case ThreadsAddUserMessageReq():
                said = _said(request.params.input)
                await self.store.load_thread(request.params.thread_id, context)
                async with open_session(self._engine) as database:
                    number = await conversation_store.take_number(database, "message")
                return replace(context, said=said, message_id=number)
            case ThreadsRetryAfterItemReq():
                params = request.params
                item = await self.store.load_item(params.thread_id, params.item_id, context)
                if not isinstance(item, UserMessageItem):
                    raise HTTPException(
                        status.HTTP_400_BAD_REQUEST, "Only a person's message can be tried again"
                    )
                thread, number = int(params.thread_id), int(item.id)
                async with open_session(self._engine) as database:
                    await conversation_store.ask_again(database, context.user, thread, number)
                return replace(context, message_id=number)
            case ThreadsUpdateReq():
                request.params.title = title_of(_checked(request.params.title))
        return context

    async def respond(
        self,
        thread: ThreadMetadata,
        input_user_message: UserMessageItem | None,
        context: Context,
    ) -> AsyncIterator[ThreadStreamEvent]:
        async with open_session(self._engine) as database:
            number = await conversation_store.take_number(database, "message")
        # A thread that was just begun is not told its title before it is changed.
        thread.title = thread.title or context.title
        item_id = str(number)

        def updated(update: ThreadItemUpdate) -> ThreadStreamEvent:
            return ThreadItemUpdatedEvent(item_id=item_id, update=update)

        yield ThreadItemAddedEvent(
            item=AssistantMessageItem(
                id=item_id, thread_id=thread.id, created_at=datetime.now(UTC), content=[]
            )
        )
        nothing = AssistantMessageContent(text="")
        yield updated(AssistantMessageContentPartAdded(content_index=0, content=nothing))
        question = Question(context.user, int(thread.id), context.message_id, number)
        events = self._answers.begin(question, context.think)
        async for event in events:
            match event:
                case Delta(text):
                    yield updated(AssistantMessageContentPartTextDelta(content_index=0, delta=text))
                case Answered(message):
                    content = AssistantMessageContent(text=message.text)
                    yield updated(AssistantMessageContentPartDone(content_index=0, content=content))
                    yield ThreadItemDoneEvent(item=as_item(message))
                case Failed(reason):
                    raise CustomStreamError(reason, allow_retry=True)

    def get_stream_options(self, thread: ThreadMetadata, context: Context) -> StreamOptions:
        """ChatKit stops by leaving, which a closed page does as well: an answer goes on then."""
        return StreamOptions(allow_cancel=False)

    async def handle_stream_cancelled(
        self, thread: ThreadMetadata, pending_items: list[ThreadItem], context: Context
    ) -> None:
        """Nothing: the task that makes the answer saves it."""


def _read(body: bytes) -> Served:
    try:
        request = _request.validate_json(body)
    except ValidationError:
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_CONTENT, "That is no request of ChatKit's protocol"
        ) from None
    if not isinstance(request, Served):
        raise HTTPException(status.HTTP_400_BAD_REQUEST, f"{request.type} is not served here")
    return request


def _said(given: UserMessageInput) -> str:
    """What the person wrote, with what they quote before it."""
    if given.attachments:
        raise HTTPException(status.HTTP_400_BAD_REQUEST, "Attachments are not served here")
    text = "".join(part.text for part in given.content)
    return _checked(f"“{given.quoted_text}”\n{text}" if given.quoted_text else text)


def _checked(text: str) -> str:
    try:
        return _text.validate_python(text)
    except ValidationError:
        raise HTTPException(
            status.HTTP_422_UNPROCESSABLE_CONTENT, "That text is empty or too long"
        ) from None
