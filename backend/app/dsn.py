"""Turns the forms in which people are given a PostgreSQL address into one that asyncpg takes.

It knows URLs and nothing of where they come from, nor does it connect.
"""

from dataclasses import dataclass

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_LAST_PORT = 65535
_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}
_SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
# libpq asks for channel binding with this; asyncpg authenticates by SCRAM without it, so "require"
# is met by TLS alone, as with every driver that is not libpq.
_CHANNEL_BINDING = {"disable", "prefer", "require"}


@dataclass(frozen=True)
class Address:
    """An address for SQLAlchemy, and the TLS mode that asyncpg gets beside it."""

    url: URL
    ssl: str | None


def parse(text: str) -> Address:
    """Parse DATABASE_URL. Raises ValueError with a reason that never repeats the text."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ValueError("is not a URL like postgresql://user:password@host:5432/name") from None
    if url.drivername not in _SCHEMES:
        wanted = "postgresql://, postgres:// or postgresql+asyncpg://"
        raise ValueError(f"must begin with {wanted}")
    if not url.host:
        raise ValueError("names no host")
    if url.port is not None and not 1 <= url.port <= _LAST_PORT:
        raise ValueError(f"names a port other than 1 to {_LAST_PORT}")
    if not url.database:
        raise ValueError("names no database after the host")
    query = dict(url.query)
    ssl = _one_of(query, "sslmode", _SSL_MODES)
    _one_of(query, "channel_binding", _CHANNEL_BINDING)
    _one_of(query, "sslrootcert", {"system"})
    if query:
        raise ValueError(f"has a parameter that is not understood: {min(query)}")
    return Address(url.set(drivername="postgresql+asyncpg", query={}), ssl)


def compose(*, user: str, password: str, host: str, port: int, database: str) -> Address:
    """Put an address together from its parts, whatever characters they hold."""
    url = URL.create("postgresql+asyncpg", user, password, host, port, database)
    return Address(url, None)


def _one_of(query: dict[str, str | tuple[str, ...]], name: str, allowed: set[str]) -> str | None:
    value = query.pop(name, None)
    if value is None:
        return None
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"has a value of {name} other than {', '.join(sorted(allowed))}")
    return value
