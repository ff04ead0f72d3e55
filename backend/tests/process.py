"""The application as a process of its own, as it runs in its container."""

import http.client
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.settings import Settings
from tests.conftest import PASSWORD
from tests.waiting import DEADLINE_SECONDS


@dataclass(frozen=True)
class Running:
    """The process, the port that it listens on, and the file that it writes to."""

    process: subprocess.Popen[bytes]
    port: int
    written: Path

    def end(self) -> tuple[int, str]:
        """Wait for its end: its status, and all that it has written."""
        return self.process.wait(DEADLINE_SECONDS), self.written.read_text()


@contextmanager
def running(settings: Settings, **environment: str) -> Iterator[Running]:
    """Start it; it is killed at the end of the block, should it still run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    whole = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "POSTGRES_HOST": settings.postgres_host,
        "POSTGRES_PORT": str(settings.postgres_port),
        "POSTGRES_DB": settings.postgres_db,
        "POSTGRES_PASSWORD": PASSWORD,
        "BETTER_AUTH_URL": str(settings.better_auth_url),
        "CORS_ORIGINS": settings.cors_origins,
        **environment,
    }
    command = [sys.executable, "-m", "app"]
    # A file, where a pipe that nobody reads would fill up and hold the process.
    with (
        tempfile.NamedTemporaryFile() as written,
        subprocess.Popen(command, env=whole, stdout=written) as process,
    ):
        try:
            yield Running(process, port, Path(written.name))
        finally:
            process.kill()


def answer(port: int, path: str, authorization: str | None = None) -> int | None:
    """The status of a GET, or None when nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    headers = {} if authorization is None else {"Authorization": authorization}
    try:
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
