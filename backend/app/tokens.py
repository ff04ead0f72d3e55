"""Verifies the tokens that the sign-in issues to its users.

It knows keys and claims, and nothing of requests.
"""

import jwt

from app.jwks import KeySet, UnknownKeyError

# How far the clocks of the sign-in and of this machine may be apart.
LEEWAY_SECONDS = 10


class BadTokenError(Exception):
    """Why a token is not believed, in words that repeat nothing of it."""


class Tokens:
    """Believes tokens of one issuer that are meant for that same origin."""

    def __init__(self, keys: KeySet, issuer: str) -> None:
        self._keys = keys
        self._issuer = issuer

    async def user(self, token: str) -> str:
        """The id of the user that the token was issued to. Raises BadTokenError, and
        KeysUnavailableError when that cannot be known now."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except jwt.InvalidTokenError:
            raise BadTokenError("it is no JSON Web Token") from None
        if not isinstance(key_id, str):
            raise BadTokenError("it names no key")
        try:
            key = await self._keys.key(key_id)
        except UnknownKeyError:
            raise BadTokenError("its key is not one of the sign-in's") from None
        try:
            claims = jwt.decode(
                token,
                key,
                # The key says which algorithm; a token that says another is refused.
                algorithms=[key.algorithm_name],
                audience=self._issuer,
                issuer=self._issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
        except jwt.InvalidTokenError as error:
            raise BadTokenError(_reason(error)) from None
        user = claims["sub"]
        if not isinstance(user, str) or not user or "\x00" in user:
            raise BadTokenError("it names no user")
        return user


def _reason(error: jwt.InvalidTokenError) -> str:
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.InvalidIssuerError():
            return "it is of another issuer"
        case jwt.InvalidAudienceError():
            return "it is for another audience"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet"
        case jwt.MissingRequiredClaimError():
            return f"it has no {error.claim}"
        case jwt.InvalidAlgorithmError():
            return "its algorithm is not its key's"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case _:
            return "it is malformed"
