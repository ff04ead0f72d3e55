"""DATABASE_URL in the forms that people are given it, and what is refused."""

import pytest

from app.dsn import compose, parse

PLAIN = "postgresql+asyncpg://u:p@h:5432/d"
PLAIN_PORT = "postgresql+asyncpg://u:p@h/d"


@pytest.mark.parametrize(
    ("given", "url", "ssl"),
    [
        ("postgresql://u:p@h:5432/d", PLAIN, None),
        ("postgres://u:p@h:5432/d", PLAIN, None),
        ("postgresql+asyncpg://u:p@h:5432/d", PLAIN, None),
        ("postgres://u:p@h/d?sslmode=require", "postgresql+asyncpg://u:p@h/d", "require"),
        (
            "postgresql://u:p@h/d?sslmode=verify-full&channel_binding=require",
            "postgresql+asyncpg://u:p@h/d",
            "verify-full",
        ),
        ("postgres://u:p@h/d?sslmode=verify-ca&sslrootcert=system", PLAIN_PORT, "verify-ca"),
        ("postgresql://u:p@h:1/d", "postgresql+asyncpg://u:p@h:1/d", None),
        ("postgresql://u:p@h:65535/d", "postgresql+asyncpg://u:p@h:65535/d", None),
        ("postgresql://u:p%40%2F@h/d", "postgresql+asyncpg://u:p%40%2F@h/d", None),
    ],
)
def test_accepts(given: str, url: str, ssl: str | None) -> None:
    address = parse(given)
    assert address.url.render_as_string(hide_password=False) == url
    assert address.ssl == ssl


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("hunter2", "is not a URL like"),
        ("mysql://u:hunter2@h/d", "must begin with"),
        ("postgresql+psycopg://u:hunter2@h/d", "must begin with"),
        ("postgresql:///d", "names no host"),
        ("postgresql://u:hunter2@h", "names no database"),
        ("postgresql://u:hunter2@h:port/d", "is not a URL like"),
        ("postgresql://u:hunter2@h:0/d", "names a port other than 1 to 65535"),
        ("postgresql://u:hunter2@h:65536/d", "names a port other than 1 to 65535"),
        ("postgresql://u:hunter2@h:-1/d", "names a port other than 1 to 65535"),
        ("postgresql://u:hunter2@h/d?sslmode=maybe", "has a value of sslmode other"),
        (
            "postgresql://u:hunter2@h/d?sslmode=require&sslmode=disable",
            "has a value of sslmode other",
        ),
        ("postgresql://u:hunter2@h/d?channel_binding=1", "has a value of channel_binding other"),
        (
            "postgresql://u:hunter2@h/d?sslrootcert=/x",
            "has a value of sslrootcert other",
        ),
        ("postgresql://u:hunter2@h/d?timeout=1", "parameter that is not understood: timeout"),
    ],
)
def test_refuses_without_repeating_it(given: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse(given)
    assert "hunter2" not in str(refused.value)


def test_composes_whatever_the_password_holds() -> None:
    parts = {"user": "u@", "password": "p@/:%?#", "host": "h", "port": 1, "database": "d"}
    url = compose(**parts).url
    assert (url.username, url.password, url.host) == ("u@", "p@/:%?#", "h")
