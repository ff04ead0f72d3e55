"""Who is asking. Routes and tools take the user from here and from nowhere else."""

import hmac
import logging
from typing import Annotated

from fastapi import Depends, HTTPException, Request, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from app.jwks import KeySet, KeysUnavailableError
from app.settings import Settings
from app.tokens import BadTokenError, Tokens

log = logging.getLogger(__name__)

_bearer = HTTPBearer(auto_error=False)


class NotSignedInError(Exception):
    """What was shown is nobody's."""


class Identification:
    """Turns what a request shows into the id of the user that it acts for."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.mcp_api_key
        self._key_user = settings.mcp_default_user_id
        self._key_set = KeySet(settings.jwks_url)
        self._tokens = Tokens(self._key_set, settings.issuer)

    async def user(self, shown: str | None) -> str:
        """`shown` is what follows "Bearer": a user's token, or MCP_API_KEY, which acts for
        MCP_DEFAULT_USER_ID. Raises NotSignedInError, and KeysUnavailableError when that cannot be
        known now."""
        if not shown:
            raise NotSignedInError
        if self._key is not None and self._key_user is not None:
            expected = self._key.get_secret_value().encode()
            if hmac.compare_digest(shown.encode(), expected):
                return self._key_user
        try:
            return await self._tokens.user(shown)
        except BadTokenError as error:
            log.info("a token was refused", extra={"reason": str(error)})
            raise NotSignedInError from None

    async def close(self) -> None:
        await self._key_set.close()


async def current_user(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> str:
    """The id of the user that the request acts for; 401 without one."""
    identification: Identification = request.app.state.identification
    try:
        return await identification.user(credentials.credentials if credentials else None)
    except NotSignedInError:
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "Not signed in", {"WWW-Authenticate": "Bearer"}
        ) from None
    except KeysUnavailableError:
        raise HTTPException(
            status.HTTP_503_SERVICE_UNAVAILABLE,
            "The sign-in's keys cannot be reached",
            {"Retry-After": "2"},
        ) from None


User = Annotated[str, Depends(current_user)]
