"""A sign-in for the tests: a real HTTP server on loopback that publishes real keys, and tokens
signed with them, as Better Auth's are."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ORIGIN = "http://localhost:30080"

type Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Key:
    """A key pair under an id."""

    key_id: str
    algorithm: str
    private: Private

    def public(self) -> dict[str, object]:
        """As it is published, without `alg`, as Better Auth does for the older of its versions."""
        public = self.private.public_key()
        match public:
            case ed25519.Ed25519PublicKey():
                shown = OKPAlgorithm.to_jwk(public)
            case ec.EllipticCurvePublicKey():
                shown = ECAlgorithm.to_jwk(public)
            case rsa.RSAPublicKey():
                shown = RSAAlgorithm.to_jwk(public)
        return {**json.loads(shown), "kid": self.key_id}

    def token(self, user: str, **changed: object) -> str:
        """A token for the user. A claim that is changed to None is left out."""
        now = int(time.time())
        claims = {"sub": user, "iss": ORIGIN, "aud": ORIGIN, "iat": now, "exp": now + 900} | changed
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, self.private, self.algorithm, {"kid": self.key_id})


def ed25519_key(key_id: str) -> Key:
    return Key(key_id, "EdDSA", ed25519.Ed25519PrivateKey.generate())


def ec_key(key_id: str) -> Key:
    return Key(key_id, "ES256", ec.generate_private_key(ec.SECP256R1()))


def rsa_key(key_id: str) -> Key:
    return Key(key_id, "RS256", rsa.generate_private_key(65537, 2048))


def unsigned(header: dict[str, object], claims: dict[str, object], signature: bytes = b"") -> str:
    """A token put together by hand, as no honest library would."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


class SignIn:
    """What is published, and how often it was asked for."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.key = ed25519_key("first")
        self.published: object = {"keys": [self.key.public()]}
        self.status = 200
        self.asked = 0

    def token(self, user: str, **changed: object) -> str:
        return self.key.token(user, **changed)

    def publish(self, *keys: Key) -> None:
        self.published = {"keys": [key.public() for key in keys]}


@contextmanager
def serving(port: int = 0) -> Iterator[SignIn]:
    """Serve /api/auth/jwks until the end of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/api/auth/jwks":
                self.send_error(404)
                return
            sign_in.asked += 1
            body = json.dumps(sign_in.published).encode()
            self.send_response(sign_in.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        sign_in = SignIn(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield sign_in
        finally:
            server.shutdown()
            thread.join()
