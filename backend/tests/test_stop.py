"""How the process ends: told to, it answers first; by itself, it says why."""

import http.client
import signal
from concurrent.futures import ThreadPoolExecutor

import psycopg

from app.settings import Settings
from tests.conftest import PASSWORD, Server
from tests.process import answer, running
from tests.sign_in import SignIn
from tests.waiting import DEADLINE_SECONDS, until


def test_a_kept_connection_is_answered_and_closed_after_sigterm(settings: Settings) -> None:
    with running(settings) as app:
        until(lambda: answer(app.port, "/api/health"), lambda status: status == 200)
        kept = http.client.HTTPConnection("127.0.0.1", app.port)
        kept.request("GET", "/api/health/live")
        before = kept.getresponse()
        before.read()
        assert not before.will_close

        app.process.send_signal(signal.SIGTERM)

        # The signal is handled between two requests: ask until one is told to close.
        def ask() -> bool:
            kept.request("GET", "/api/health/live")
            answer = kept.getresponse()
            answer.read()
            assert answer.status == 200
            return answer.will_close

        until(ask, bool)
        assert app.end()[0] == 0


def test_a_request_under_way_is_answered_after_sigterm(
    settings: Settings, server: Server, sign_in: SignIn
) -> None:
    """It waits for a lock in the database, which is let go only once the process is stopping."""
    address = {"host": "127.0.0.1", "port": server.port, "dbname": settings.postgres_db}
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with running(settings) as app, ThreadPoolExecutor() as threads:
        until(lambda: answer(app.port, "/api/health"), lambda status: status == 200)
        with psycopg.connect(user="todo", password=PASSWORD, **address) as holder:
            holder.execute("LOCK TABLE task")
            asked = threads.submit(answer, app.port, "/api/tasks", f"Bearer {sign_in.token('ada')}")
            until(lambda: server.sql(waiting, settings.postgres_db), lambda rows: rows == [(1,)])
            app.process.send_signal(signal.SIGTERM)
            # A new connection is refused once the process has begun to end.
            until(lambda: answer(app.port, "/api/health/live"), lambda status: status is None)
        assert asked.result(DEADLINE_SECONDS) == 200
        assert app.end()[0] == 0


def test_a_migration_that_fails_ends_the_process(settings: Settings, server: Server) -> None:
    server.sql("CREATE TABLE task (id int)", settings.postgres_db)
    with running(settings) as app:
        status, output = app.end()
        assert status == 1
    assert '"message": "a migration failed"' in output
    assert PASSWORD not in output
