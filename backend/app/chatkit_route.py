"""ChatKit's protocol at /chatkit: one route, whose requests say themselves what they want."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from app.assistant import Assistant
from app.auth import User
from app.chat import thinking, today_in
from app.database import migrated

router = APIRouter()


@router.post("/chatkit", include_in_schema=False)
async def chatkit(
    request: Request, user: User, _tables: Annotated[None, Depends(migrated)]
) -> Response:
    assistant: Assistant = request.app.state.assistant
    body = await request.body()
    parts = await assistant.parts()
    return await parts.chatkit.serve(
        user, body, lambda timezone: thinking(assistant, today_in(timezone))
    )
