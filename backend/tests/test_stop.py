"""How the process ends: told to, it answers first; by itself, it says why."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from app.settings import Settings
from tests.conftest import PASSWORD, Server
from tests.sign_in import ORIGIN
from tests.waiting import DEADLINE_SECONDS, until


@contextmanager
def running(settings: Settings) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(port),
        "POSTGRES_HOST": settings.postgres_host,
        "POSTGRES_PORT": str(settings.postgres_port),
        "POSTGRES_DB": settings.postgres_db,
        "POSTGRES_PASSWORD": PASSWORD,
        "BETTER_AUTH_URL": "http://127.0.0.1:9",
        "CORS_ORIGINS": ORIGIN,
    }
    command = [sys.executable, "-m", "app"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process, port
        finally:
            process.kill()


def answers(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def test_a_kept_connection_is_answered_and_closed_after_sigterm(settings: Settings) -> None:
    with running(settings) as (process, port):
        until(lambda: answers(port), lambda status: status == 200)
        kept = http.client.HTTPConnection("127.0.0.1", port)
        kept.request("GET", "/api/health/live")
        before = kept.getresponse()
        before.read()
        assert not before.will_close

        process.send_signal(signal.SIGTERM)

        # The signal is handled between two requests: ask until one is told to close.
        def ask() -> bool:
            kept.request("GET", "/api/health/live")
            answer = kept.getresponse()
            answer.read()
            assert answer.status == 200
            return answer.will_close

        until(ask, bool)
        assert process.wait(DEADLINE_SECONDS) == 0


def test_a_migration_that_fails_ends_the_process(settings: Settings, server: Server) -> None:
    server.sql("CREATE TABLE task (id int)", settings.postgres_db)
    with running(settings) as (process, _):
        output, _ = process.communicate(timeout=DEADLINE_SECONDS)
        assert process.returncode == 1
    assert '"message": "a migration failed"' in output
    assert PASSWORD not in output
