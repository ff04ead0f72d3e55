"""The routes under /api/conversations. A conversation of someone else is not found."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from fastapi import APIRouter, HTTPException, Response, status

from app import conversation_store
from app.auth import User
from app.conversation import ConversationOut, Message, MessageOut
from app.conversation_store import NoSuchConversationError, NoSuchMessageError
from app.database import Session
from app.problem import SIGNED_IN, Problem, Responses

router = APIRouter(prefix="/api/conversations", tags=["chat"], responses=SIGNED_IN)
MISSING: Responses = {404: {"model": Problem, "description": "The user has no such conversation"}}


@router.get("")
async def list_conversations(user: User, database: Session) -> list[ConversationOut]:
    """The one that was last spoken in comes first."""
    found = await conversation_store.find(database, user)
    return [ConversationOut.model_validate(conversation) for conversation in found]


@router.get("/{conversation_id}/messages", responses=MISSING)
async def list_messages(user: User, database: Session, conversation_id: int) -> list[MessageOut]:
    """The newest messages, oldest first. Whoever sees that one is being answered may ask again for
    the answer."""
    with missing_is_404():
        await conversation_store.get(database, user, conversation_id)
    found = await conversation_store.last_messages(database, user, conversation_id)
    return [
        MessageOut.model_validate(message.model_dump() | {"answering": _being_answered(message)})
        for message in found
    ]


def _being_answered(message: Message) -> bool:
    return message.answering_until is not None and message.answering_until > datetime.now(UTC)


@router.post(
    "/{conversation_id}/messages/{message_id}/stop",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=MISSING,
)
async def stop_answer(
    user: User, database: Session, conversation_id: int, message_id: int
) -> Response:
    """Stop the answer to a message of the person. Once this has answered, the assistant changes
    nothing more for it; what it had done stays done."""
    with missing_is_404():
        await conversation_store.stop_answer(database, user, conversation_id, message_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@router.delete("/{conversation_id}", status_code=status.HTTP_204_NO_CONTENT, responses=MISSING)
async def delete_conversation(user: User, database: Session, conversation_id: int) -> Response:
    with missing_is_404():
        await conversation_store.remove(database, user, conversation_id)
    return Response(status_code=status.HTTP_204_NO_CONTENT)


@contextmanager
def missing_is_404() -> Iterator[None]:
    try:
        yield
    except NoSuchConversationError:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "No such conversation") from None
    except NoSuchMessageError:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "No such message") from None
