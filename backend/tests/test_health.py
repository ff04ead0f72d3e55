"""What health says while the database is there, is not, and comes back."""

import socket

import asyncpg
import pytest
from fastapi.testclient import TestClient

from app.database import passing
from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, fail
from tests.sign_in import SignIn
from tests.waiting import until


def test_says_the_process_the_database_and_the_environment(client: TestClient) -> None:
    answer = until(lambda: client.get("/api/health"), lambda got: got.status_code == 200)
    assert answer.json() == {
        "status": "ok",
        "database": "ok",
        "reason": None,
        "environment": "test-marker",
        "version": "0.1.0",
    }


def test_starts_before_the_database_and_recovers_from_its_restart(
    server: Server, settings: Settings, sign_in: SignIn
) -> None:
    def tasks() -> int:
        headers = {"Authorization": f"Bearer {sign_in.token('ada')}"}
        answer = client.get("/api/tasks", headers=headers)
        assert (answer.status_code == 503) == ("Retry-After" in answer.headers)
        return answer.status_code

    server.stop()
    try:
        with TestClient(create_app(settings, on_failure=fail)) as client:
            down = client.get("/api/health")
            assert down.status_code == 503
            assert down.json()["status"] == "ok"
            assert down.json()["database"] == "unavailable"
            assert down.json()["reason"] == "PostgreSQL cannot be reached"
            assert client.get("/api/health/live").status_code == 200
            assert tasks() == 503
            server.start()
            until(lambda: client.get("/api/health"), lambda got: got.status_code == 200)
            assert tasks() == 200
            server.stop()
            until(lambda: client.get("/api/health"), lambda got: got.status_code == 503)
            assert tasks() == 503
            assert client.get("/api/health/live").status_code == 200
            server.start()
            until(lambda: client.get("/api/health"), lambda got: got.status_code == 200)
    finally:
        server.stop()
        server.start()


def test_a_wrong_password_is_named_and_not_shown(settings: Settings) -> None:
    wrong = Settings.model_validate(settings.model_dump() | {"postgres_password": "hunter2"})
    with TestClient(create_app(wrong, on_failure=fail)) as client:
        answer = client.get("/api/health")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "PostgreSQL refuses the user or the password"
    assert "hunter2" not in answer.text


def test_a_database_that_takes_connections_and_never_answers_is_named(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = {"postgres_port": mute.getsockname()[1]}
        silent = Settings.model_validate(settings.model_dump() | port)
        with TestClient(create_app(silent, on_failure=fail)) as client:
            answer = client.get("/api/health")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "PostgreSQL does not answer in time"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.CannotConnectNowError("starting"), "PostgreSQL is starting or stopping"),
        (asyncpg.AdminShutdownError("stopping"), "PostgreSQL is starting or stopping"),
        (asyncpg.CrashShutdownError("crashed"), "PostgreSQL is starting or stopping"),
        (ConnectionRefusedError(), "PostgreSQL cannot be reached"),
        (TimeoutError(), "PostgreSQL does not answer in time"),
        (asyncpg.UndefinedTableError("no table"), None),
    ],
)
def test_what_waiting_can_heal_is_told_from_what_it_cannot(
    error: Exception, reason: str | None
) -> None:
    assert passing(error) == reason
