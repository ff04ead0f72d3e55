"""What each sslmode of DATABASE_URL accepts, with a PostgreSQL that has a certificate."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.database import connect, unavailable
from app.dsn import Address, compose
from tests.conftest import PASSWORD, Server

REFUSED = "PostgreSQL's certificate is not to be trusted"


def write_certificate(folder: Path) -> None:
    """An authority that is the server at the same time, for the name localhost only."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "server.crt").write_bytes(certificate.public_bytes(pem))
    private = folder / "server.key"
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    if os.geteuid() == 0:
        shutil.chown(private, "postgres")


@pytest.fixture(scope="module")
def with_tls() -> Iterator[tuple[Server, Path]]:
    """A server of its own, and the authority that its certificate is from."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder)
        write_certificate(folder)
        server.configure(
            ssl="on", ssl_cert_file=folder / "server.crt", ssl_key_file=folder / "server.key"
        )
        server.start()
        yield server, folder / "server.crt"
        server.stop()


@pytest.mark.parametrize(
    ("mode", "trusted", "host", "reason"),
    [
        ("require", False, "127.0.0.1", None),
        ("verify-ca", False, "localhost", REFUSED),
        ("verify-ca", True, "127.0.0.1", None),
        ("verify-full", False, "localhost", REFUSED),
        ("verify-full", True, "127.0.0.1", REFUSED),
        ("verify-full", True, "localhost", None),
    ],
)
def test_a_certificate_is_verified_as_far_as_was_asked(
    with_tls: tuple[Server, Path],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    trusted: bool,
    host: str,
    reason: str | None,
) -> None:
    server, authority = with_tls
    monkeypatch.setenv("SSL_CERT_FILE", str(authority if trusted else os.devnull))
    composed = compose(
        user="todo", password=PASSWORD, host=host, port=server.port, database="postgres"
    )

    async def ask() -> str | None:
        engine = connect(Address(composed.url, mode))
        try:
            return await unavailable(engine)
        finally:
            await engine.dispose()

    assert asyncio.run(ask()) == reason
