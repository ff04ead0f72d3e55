"""The public keys that the sign-in signs its tokens with, fetched from it and kept.

Keys rotate: an unknown key id, or an old answer, is reason to ask again, but no stream of made-up
key ids makes this ask often, and an unreachable sign-in takes no key away that was known.
It knows nothing of tokens or users.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable

import httpx2
from jwt import PyJWK, PyJWTError

log = logging.getLogger(__name__)

# A key that the sign-in no longer publishes is believed for this long.
MAX_AGE_SECONDS = 300.0
# Between two fetches, whatever asks for them.
MIN_INTERVAL_SECONDS = 2.0
FETCH_SECONDS = 3.0
MAX_BYTES = 65_536

# The algorithm follows from the key, never from a token. No symmetric key is among these: one that
# was published is no secret.
_ALGORITHMS = {("OKP", "Ed25519"): "EdDSA", ("EC", "P-256"): "ES256", ("RSA", ""): "RS256"}


class UnknownKeyError(Exception):
    """The sign-in publishes no key of that id."""


class KeysUnavailableError(Exception):
    """The sign-in could not be asked for its keys, and the one wanted is not known."""


class KeySet:
    """The keys at one address. Safe to share by all requests of one event loop."""

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._attempted_at: float | None = None
        self._fetched_at: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> PyJWK:
        """The key of that id. Raises UnknownKeyError and KeysUnavailableError."""
        if (known := self._keys.get(key_id)) is not None:
            if self._is_old():
                # Nobody waits for this: the key is good until the sign-in says otherwise.
                self._fetch_soon()
            return known
        if (fetch := self._fetch_soon()) is not None:
            # One request that is cancelled must not take the answer away from the others.
            await asyncio.shield(fetch)
        if (found := self._keys.get(key_id)) is not None:
            return found
        if self._failed:
            raise KeysUnavailableError
        raise UnknownKeyError

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _is_old(self) -> bool:
        return self._fetched_at is None or self._clock() - self._fetched_at >= MAX_AGE_SECONDS

    def _fetch_soon(self) -> asyncio.Task[None] | None:
        """The fetch under way, or a new one; None when the last one was only just now."""
        if self._fetching is not None:
            return self._fetching
        now = self._clock()
        if self._attempted_at is not None and now - self._attempted_at < MIN_INTERVAL_SECONDS:
            return None
        self._attempted_at = now
        self._fetching = asyncio.create_task(self._fetch())
        self._fetching.add_done_callback(self._forget)
        return self._fetching

    def _forget(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _fetch(self) -> None:
        try:
            self._keys = _read(await _get(self._url))
        except (httpx2.HTTPError, TimeoutError, ValueError) as error:
            self._failed = True
            log.warning(
                "the sign-in's keys cannot be fetched",
                extra={"url": self._url, "reason": str(error) or type(error).__name__},
            )
        else:
            self._failed = False
            self._fetched_at = self._clock()


async def _get(url: str) -> object:
    """The JSON there. No proxy, no redirect: the address is a neighbour's in the cluster."""
    async with (
        asyncio.timeout(FETCH_SECONDS),
        httpx2.AsyncClient(trust_env=False, timeout=FETCH_SECONDS) as client,
        client.stream("GET", url, headers={"Accept": "application/json"}) as answer,
    ):
        if answer.status_code != httpx2.codes.OK:
            raise ValueError(f"HTTP status {answer.status_code}")
        body = bytearray()
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError(f"more than {MAX_BYTES} bytes")
        return json.loads(body)


def _read(document: object) -> dict[str, PyJWK]:
    """The usable signing keys of a JSON Web Key Set by their ids; what is unusable is passed over.
    Raises ValueError when it is no such set."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("no JSON Web Key Set")
    keys: dict[str, PyJWK] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
            continue
        algorithm = _ALGORITHMS.get((str(entry.get("kty")), str(entry.get("crv", ""))))
        if algorithm is None or entry.get("use", "sig") != "sig":
            continue
        try:
            keys[entry["kid"]] = PyJWK(entry, algorithm)
        except (PyJWTError, TypeError, ValueError):
            log.warning("a key of the sign-in cannot be read", extra={"kid": entry["kid"]})
    return keys
