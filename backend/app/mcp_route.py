"""The MCP server over stateless streamable HTTP at /mcp.

Each POST stands for itself, so that any replica may answer it; there is nothing to GET, no session
to delete. Every request carries a bearer, which is why a Host header is not checked: a page that
rebinds a name to this address has no bearer to send. A browser's Origin is checked all the same.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request, Response, status
from starlette.types import Receive, Scope, Send

from app.assistant import Assistant
from app.auth import User
from app.database import migrated

# What the protocol's clients send beside the body.
HEADERS = ["Mcp-Method", "Mcp-Name", "Mcp-Protocol-Version"]

router = APIRouter()


@router.post("/mcp", include_in_schema=False)
async def mcp(
    request: Request, user: User, _tables: Annotated[None, Depends(migrated)]
) -> Response:
    origin = request.headers.get("origin")
    if origin is not None and origin not in request.app.state.settings.origins:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "Calls from this origin are not allowed")
    return _Answered(request.app.state.assistant, user)


class _Answered(Response):
    """Lets the MCP server answer the request itself, acting as the user."""

    def __init__(self, assistant: Assistant, user: str) -> None:
        super().__init__()
        self._assistant = assistant
        self._user = user

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts = await self._assistant.parts()
        await parts.mcp.serve(self._user, scope, receive, send)
