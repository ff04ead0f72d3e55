"""Log records as JSON lines on stdout, each with the id of the request that it belongs to.

Nothing here is meant to be given a secret. Should one come along in an exception's text, it is
struck out before the line is written.
"""

import json
import logging
import re
import sys
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import quote, quote_plus

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)

_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "color_message", "taskName"}

STRUCK_OUT = "[secret]"
# Shorter ones cannot be told from ordinary words.
_SHORTEST_SECRET = 6
# What users sign in with, whoever wrote it into a message.
_TOKENS = r"\beyJ[\w-]+\.[\w-]+\.[\w-]*|(?<=[Bb]earer )[^\s\"\\]+"


class JsonLines(logging.Formatter):
    """One JSON object a record; what is passed as `extra` becomes keys of its own."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        forms = {
            form
            for secret in secrets
            if len(secret) >= _SHORTEST_SECRET
            for form in (secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1])
        }
        # The longer first: an address holds its password. As they are written in JSON.
        written = [re.escape(json.dumps(form)[1:-1]) for form in sorted(forms, key=len)[::-1]]
        self._secret = re.compile("|".join([*written, _TOKENS]))

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            line["request_id"] = current
        line |= {key: value for key, value in vars(record).items() if key not in _ORDINARY}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._secret.sub(STRUCK_OUT, json.dumps(line, default=str))


def configure(secrets: Iterable[str]) -> None:
    """Send every logger's records, uvicorn's too, through one handler that knows the secrets."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Alembic announces its plumbing at INFO; the migrations themselves are logged by app.migrate.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # One line for each request to a neighbour, its whole address included.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
