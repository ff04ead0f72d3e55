"""Who is asking. Routes take the user from here and from nowhere else."""

import hmac
from typing import Annotated

from fastapi import Depends, HTTPException, Request, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from app.settings import Settings

_bearer = HTTPBearer(auto_error=False)


def current_user(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """The id of the user that the request acts for: MCP_API_KEY acts for MCP_DEFAULT_USER_ID."""
    settings: Settings = request.app.state.settings
    key, user = settings.mcp_api_key, settings.mcp_default_user_id
    if credentials is None or key is None or user is None or not _same(credentials, key):
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Not signed in", {"WWW-Authenticate": "Bearer"}
        )
    return user


def _same(credentials: HTTPAuthorizationCredentials, key: SecretStr) -> bool:
    expected = key.get_secret_value()
    return hmac.compare_digest(credentials.credentials.encode(), expected.encode())


User = Annotated[str, Depends(current_user)]
