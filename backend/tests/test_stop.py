"""How the process ends: told to, it answers first; by itself, it says why."""

import http.client
import signal

from app.settings import Settings
from tests.conftest import PASSWORD, Server
from tests.process import answer, running
from tests.waiting import until


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


def test_a_migration_that_fails_ends_the_process(settings: Settings, server: Server) -> None:
    server.sql("CREATE TABLE task (id int)", settings.postgres_db)
    with running(settings) as app:
        status, output = app.end()
        assert status == 1
    assert '"message": "a migration failed"' in output
    assert PASSWORD not in output
