"""The application as a process of its own, as it runs in its container."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.settings import Settings
from tests.conftest import PASSWORD


@contextmanager
def running(settings: Settings, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The process and its port. It is killed at the end, should it still run."""
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
    with subprocess.Popen(command, env=whole, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, port
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
