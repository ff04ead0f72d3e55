"""How the sign-in's keys are fetched, kept, and replaced."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from app.jwks import MAX_AGE_SECONDS, MIN_INTERVAL_SECONDS, KeySet, KeysUnavailableError
from app.jwks import UnknownKeyError as Unknown
from tests.sign_in import SignIn, ec_key, ed25519_key, rsa_key, serving


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def with_keys(
    test: Callable[[KeySet, SignIn, Clock], Awaitable[None]], sign_in: SignIn | None = None
) -> None:
    """Run a test on a set of keys that has asked nothing yet."""

    async def run(served: SignIn) -> None:
        clock = Clock()
        keys = KeySet(f"{served.url}/api/auth/jwks", clock)
        try:
            await test(keys, served, clock)
        finally:
            await keys.close()

    if sign_in is not None:
        asyncio.run(run(sign_in))
    else:
        with serving() as served:
            asyncio.run(run(served))


def test_is_asked_once_by_however_many_requests() -> None:
    async def test(keys: KeySet, sign_in: SignIn, _: Clock) -> None:
        found = await asyncio.gather(*(keys.key("first") for _ in range(50)))
        assert len({id(key) for key in found}) == 1
        await keys.key("first")
        assert sign_in.asked == 1

    with_keys(test)


def test_made_up_key_ids_do_not_make_it_ask_often() -> None:
    async def test(keys: KeySet, sign_in: SignIn, clock: Clock) -> None:
        for number in range(50):
            with pytest.raises(Unknown):
                await keys.key(f"made up {number}")
        assert sign_in.asked == 1
        clock.now += MIN_INTERVAL_SECONDS
        for number in range(50):
            with pytest.raises(Unknown):
                await keys.key(f"made up {number}")
        assert sign_in.asked == 2

    with_keys(test)


def test_a_new_key_is_found_and_the_one_before_it_still_known() -> None:
    async def test(keys: KeySet, sign_in: SignIn, clock: Clock) -> None:
        await keys.key("first")
        sign_in.publish(sign_in.key, ec_key("second"))
        clock.now += MIN_INTERVAL_SECONDS
        assert (await keys.key("second")).algorithm_name == "ES256"
        assert (await keys.key("first")).algorithm_name == "EdDSA"
        assert sign_in.asked == 2

    with_keys(test)


def test_a_key_that_is_published_no_more_is_forgotten_when_the_answer_is_old() -> None:
    async def test(keys: KeySet, sign_in: SignIn, clock: Clock) -> None:
        await keys.key("first")
        sign_in.publish(ec_key("second"))
        clock.now += MAX_AGE_SECONDS
        # This one still gets the old key, and nobody waits; the fetch that it began ends by itself.
        await keys.key("first")
        await keys.key("second")
        with pytest.raises(Unknown):
            await keys.key("first")
        assert sign_in.asked == 2

    with_keys(test)


def test_a_known_key_outlives_a_sign_in_that_is_down() -> None:
    async def test(keys: KeySet, sign_in: SignIn, clock: Clock) -> None:
        known = await keys.key("first")
        sign_in.status = 503
        for _ in range(3):
            clock.now += MAX_AGE_SECONDS
            assert await keys.key("first") is known
            with pytest.raises(KeysUnavailableError):
                await keys.key("second")
        assert sign_in.asked == 4
        sign_in.status = 200
        clock.now += MIN_INTERVAL_SECONDS
        with pytest.raises(Unknown):
            await keys.key("second")
        assert await keys.key("first") is not known

    with_keys(test)


def test_a_sign_in_that_is_not_there_is_no_unknown_key() -> None:
    with serving() as gone:
        pass

    async def test(keys: KeySet, _: SignIn, clock: Clock) -> None:
        for _ in range(2):
            with pytest.raises(KeysUnavailableError):
                await keys.key("first")

    with_keys(test, gone)


@pytest.mark.parametrize(
    "published",
    [
        None,
        [],
        {"keys": None},
        {"keys": {}},
        {"error": "x" * 100_000},
    ],
)
def test_an_answer_that_is_no_key_set_is_a_failure(published: object) -> None:
    async def test(keys: KeySet, sign_in: SignIn, _: Clock) -> None:
        sign_in.published = published
        with pytest.raises(KeysUnavailableError):
            await keys.key("first")

    with_keys(test)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        {},
        {"kid": 1},
        {"kid": "bad"},
        {"kid": "bad", "kty": []},
        {"kid": "bad", "kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        {"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kid": "bad", "kty": "OKP", "crv": "Ed25519", "x": 7},
        {"kid": "bad", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kid": "bad", "kty": "RSA", "n": "AQ"},
        ed25519_key("bad").public() | {"use": "enc"},
    ],
)
def test_an_unusable_key_spoils_no_other(entry: object) -> None:
    async def test(keys: KeySet, sign_in: SignIn, _: Clock) -> None:
        sign_in.published = {"keys": [entry, sign_in.key.public()]}
        assert (await keys.key("first")).algorithm_name == "EdDSA"
        with pytest.raises(Unknown):
            await keys.key("bad")

    with_keys(test)


@pytest.mark.parametrize("make", [ed25519_key, ec_key, rsa_key])
def test_the_algorithm_is_the_keys_whatever_it_claims(make: Callable[[str], object]) -> None:
    async def test(keys: KeySet, sign_in: SignIn, _: Clock) -> None:
        key = make("other")
        sign_in.published = {"keys": [key.public() | {"alg": "HS256"}]}
        assert (await keys.key("other")).algorithm_name == key.algorithm

    with_keys(test)
