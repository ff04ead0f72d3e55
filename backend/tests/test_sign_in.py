"""A user's token is what gives them their tasks, and nothing that merely looks like one."""

import time
from collections.abc import Callable

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from fastapi.testclient import TestClient

from app.settings import Settings
from tests.conftest import KEY, KEY_USER, serving_app
from tests.sign_in import ORIGIN, Key, SignIn, ec_key, ed25519_key, rsa_key, serving, unsigned


def status(client: TestClient, token: str) -> int:
    return client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"}).status_code


@pytest.mark.parametrize("make", [ed25519_key, ec_key, rsa_key])
def test_a_token_of_the_sign_in_is_believed(settings: Settings, make: Callable[[str], Key]) -> None:
    key = make("its")
    with serving() as sign_in:
        sign_in.publish(key)
        with serving_app(settings.model_copy(update={"better_auth_url": sign_in.url})) as client:
            assert status(client, key.token("ada")) == 200


def claims(**changed: object) -> dict[str, object]:
    return {"sub": "ada", "iss": ORIGIN, "aud": ORIGIN, "exp": int(time.time()) + 900} | changed


def public_pem(key: Key) -> bytes:
    return key.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def by_hmac(sign_in: SignIn) -> str:
    """The confusion of a public key with a secret: signed by HMAC with what anybody can read."""
    header, secret = {"kid": "first"}, public_pem(sign_in.key)
    honest = jwt.encode(claims(), secret.hex(), "HS256", header)
    body = honest.rpartition(".")[0]
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        body.encode(), secret
    )
    return f"{body}.{jwt.utils.base64url_encode(signature).decode()}"


FALSE: dict[str, Callable[[SignIn], str]] = {
    "signed with another key": lambda _: ed25519_key("first").token("ada"),
    "signed with a key that is not published": lambda _: ed25519_key("other").token("ada"),
    "another issuer": lambda its: its.token("ada", iss="http://evil.test"),
    "no issuer": lambda its: its.token("ada", iss=None),
    "another audience": lambda its: its.token("ada", aud="http://evil.test"),
    "no audience": lambda its: its.token("ada", aud=None),
    "expired": lambda its: its.token("ada", exp=int(time.time()) - 60),
    "no expiry": lambda its: its.token("ada", exp=None),
    "an expiry that is no time": lambda its: its.token("ada", exp="never"),
    "not valid yet": lambda its: its.token("ada", nbf=int(time.time()) + 600),
    "no user": lambda its: its.token("ada", sub=None),
    "an empty user": lambda its: its.token(""),
    "a user that no database can hold": lambda its: its.token("a\x00da"),
    "no algorithm": lambda _: unsigned({"alg": "none", "kid": "first"}, claims()),
    "no algorithm, oddly spelled": lambda _: unsigned({"alg": "nOnE", "kid": "first"}, claims()),
    "no key id": lambda _: unsigned({"alg": "EdDSA"}, claims(), b"x" * 64),
    "a key id that is no text": lambda _: unsigned({"alg": "EdDSA", "kid": 1}, claims(), b"x"),
    "by HMAC with the public key": by_hmac,
    "another algorithm than its key's": lambda _: unsigned(
        {"alg": "ES256", "kid": "first"}, claims(), b"x" * 64
    ),
    "a changed claim": lambda its: (
        unsigned({"alg": "EdDSA", "kid": "first"}, claims(sub="grace")).rstrip(".")
        + "."
        + its.token("ada").rpartition(".")[2]
    ),
    "the signature cut off": lambda its: its.token("ada").rpartition(".")[0] + ".",
    "no token": lambda _: "a.b.c",
}


@pytest.mark.parametrize("make", FALSE.values(), ids=FALSE.keys())
def test_what_only_looks_like_a_token_is_refused(
    client: TestClient, sign_in: SignIn, make: Callable[[SignIn], str]
) -> None:
    assert status(client, sign_in.token("ada")) == 200
    assert status(client, make(sign_in)) == 401


def test_the_clocks_may_differ_a_little(client: TestClient, sign_in: SignIn) -> None:
    now = int(time.time())
    assert status(client, sign_in.token("ada", exp=now - 1, iat=now + 4, nbf=now + 4)) == 200


def test_the_issuer_can_be_another_than_the_first_origin(settings: Settings) -> None:
    other = Settings.model_validate(settings.model_dump() | {"auth_issuer": "urn:todo"})
    with serving() as sign_in:
        at = other.model_copy(update={"better_auth_url": sign_in.url})
        with serving_app(at) as client:
            assert status(client, sign_in.token("ada", iss="urn:todo", aud="urn:todo")) == 200
            assert status(client, sign_in.token("ada")) == 401


def test_without_the_keys_it_is_not_the_user_who_is_at_fault(settings: Settings) -> None:
    with serving() as sign_in:
        token = sign_in.token("ada")
    at = settings.model_copy(update={"better_auth_url": sign_in.url})
    with serving_app(at) as client:
        answer = client.get("/api/tasks", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
        # Who shows the key needs no sign-in.
        assert status(client, KEY) == 200


def test_the_key_acts_for_nobody_without_a_user_and_the_user_is_nobody_without_a_key(
    settings: Settings,
) -> None:
    for missing in ("mcp_api_key", "mcp_default_user_id"):
        with serving_app(settings.model_copy(update={missing: None})) as client:
            for shown in (KEY, KEY_USER, "", "None"):
                assert status(client, shown) == 401
