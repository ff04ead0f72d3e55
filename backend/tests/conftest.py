"""A real PostgreSQL for the tests: Debian's binaries, a folder of its own, gone afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import URL, create_engine, text

from app.main import create_app
from app.settings import Settings
from tests.person import Person
from tests.sign_in import ORIGIN, SignIn, serving
from tests.waiting import until

PASSWORD = "p@ss/word:%#?"
KEY = "mcp-key"
KEY_USER = "the-keys-own-user"


class Server:
    """One PostgreSQL that can be stopped and started again on the same port and data."""

    def __init__(self, folder: Path) -> None:
        self._bin = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._data = folder / "data"
        # PostgreSQL refuses to run as root; Debian's package brings the user.
        self._as = "postgres" if os.geteuid() == 0 else None
        if self._as:
            shutil.chown(folder, self._as)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["--username=todo", "--auth=scram-sha-256", "--no-sync", "--encoding=UTF8"]
        self._run("initdb", "--pgdata", self._data, f"--pwfile={secret}", *options)
        self.configure(
            port=self.port, listen_addresses="127.0.0.1", unix_socket_directories="", fsync="off"
        )

    def configure(self, **settings: object) -> None:
        """Add settings for the next start."""
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        log = self._data / "log"
        self._run("pg_ctl", "start", "--wait", "--pgdata", self._data, "--log", log)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--pgdata", self._data, "--mode=fast")

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement outside a transaction and return its rows."""
        url = URL.create("postgresql+psycopg", "todo", PASSWORD, "127.0.0.1", self.port, database)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                result = connection.execute(text(statement))
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self._bin / program), *(str(argument) for argument in arguments)]
        # Output goes nowhere: a pipe would stay open in the server that pg_ctl leaves behind.
        subprocess.run(
            command, user=self._as, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=None
        )


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory() as folder:
        started = Server(Path(folder))
        started.start()
        yield started
        started.stop()


@pytest.fixture(scope="session")
def sign_in() -> Iterator[SignIn]:
    """A sign-in that every test may use and none may change."""
    with serving() as served:
        yield served


def settings_for_new_database(server: Server, sign_in: SignIn) -> Settings:
    name = f"test_{uuid.uuid4().hex}"
    server.sql(f"CREATE DATABASE {name}")
    return Settings(
        postgres_host="127.0.0.1",
        postgres_port=server.port,
        postgres_user="todo",
        postgres_password=PASSWORD,
        postgres_db=name,
        better_auth_url=sign_in.url,
        cors_origins=ORIGIN,
        mcp_api_key=KEY,
        mcp_default_user_id=KEY_USER,
        environment="test-marker",
    )


@pytest.fixture
def settings(server: Server, sign_in: SignIn) -> Settings:
    """Settings for a database of the test's own."""
    return settings_for_new_database(server, sign_in)


def fail() -> None:
    raise AssertionError("the application asked to be stopped")


@contextmanager
def serving_app(settings: Settings) -> Iterator[TestClient]:
    """A client of the application with these settings, once its database is there."""
    with TestClient(create_app(settings, on_failure=fail)) as opened:
        until(lambda: opened.get("/api/health"), lambda got: got.status_code == 200)
        yield opened


@pytest.fixture(scope="session")
def client(server: Server, sign_in: SignIn) -> Iterator[TestClient]:
    """A client of one application that the tests share: each brings users of its own."""
    with serving_app(settings_for_new_database(server, sign_in)) as opened:
        yield opened


@pytest.fixture
def ada(client: TestClient, sign_in: SignIn) -> Person:
    return somebody_new(client, sign_in, "ada")


@pytest.fixture
def grace(client: TestClient, sign_in: SignIn) -> Person:
    return somebody_new(client, sign_in, "grace")


def somebody_new(client: TestClient, sign_in: SignIn, name: str) -> Person:
    """A user who has nothing yet."""
    token = sign_in.token(f"{name}-{uuid.uuid4().hex}")
    return Person(client, {"Authorization": f"Bearer {token}"})
