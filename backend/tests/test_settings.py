"""A wrong environment is one line at start that names the variable and never its value."""

import os
import subprocess
import sys

import pytest

from app.settings import Settings

GOOD = {
    "POSTGRES_PASSWORD": "hunter2",
    "BETTER_AUTH_URL": "http://todo-frontend",
    "CORS_ORIGINS": "http://localhost:30080",
}


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {},
            "DATABASE_URL is not set, and POSTGRES_PASSWORD is not set either; "
            "BETTER_AUTH_URL is not set; "
            "CORS_ORIGINS is not set, and AUTH_ISSUER is not set either",
        ),
        (
            GOOD | {"POSTGRES_PASSWORD": "", "DATABASE_URL": ""},
            "DATABASE_URL is not set, and POSTGRES_PASSWORD is not set either",
        ),
        (GOOD | {"BETTER_AUTH_URL": ""}, "BETTER_AUTH_URL is not set"),
        *(
            (
                GOOD | {"BETTER_AUTH_URL": wrong},
                "BETTER_AUTH_URL wants an address like http://todo-frontend",
            )
            for wrong in ("todo-frontend", "ftp://hunter2", "http://", "http://h:port", "http://[x")
        ),
        (
            GOOD | {"CORS_ORIGINS": " , "},
            "CORS_ORIGINS is not set, and AUTH_ISSUER is not set either",
        ),
        (
            GOOD | {"DATABASE_URL": "mysql://u:hunter2@h/d"},
            "DATABASE_URL must begin with postgresql://, postgres:// or postgresql+asyncpg://",
        ),
        (
            GOOD | {"POSTGRES_PORT": "hunter2"},
            "POSTGRES_PORT Input should be a valid integer, unable to parse string as an integer",
        ),
        (
            GOOD | {"CORS_ORIGINS": "localhost:30080"},
            "CORS_ORIGINS wants origins like http://localhost:30080, separated by commas",
        ),
        *(
            (
                GOOD | {"OPENAI_BASE_URL": wrong},
                "OPENAI_BASE_URL wants an address like http://todo-frontend",
            )
            for wrong in ("hunter2.example/v1", "file:///hunter2", "https://", "https://h/v1?key=k")
        ),
    ],
)
def test_one_clear_line(environment: dict[str, str], line: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "app"],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "", f"error: {line}\n")


# What browsers make of it, and `new URL(…).origin` of the sign-in, which issues the tokens.
ORIGINS = {
    "http://localhost:30080": "http://localhost:30080",
    "https://todo.example:443": "https://todo.example",
    "http://todo.example:80": "http://todo.example",
    "http://todo.example:443": "http://todo.example:443",
    "HTTP://Todo.Local": "http://todo.local",
    "http://192.168.49.2:030080": "http://192.168.49.2:30080",
    "http://[0:0:0:0:0:0:0:1]:3000": "http://[::1]:3000",
    "http://todo.example.": "http://todo.example.",
}


@pytest.mark.parametrize(("written", "normal"), ORIGINS.items())
def test_an_origin_counts_however_it_is_written(written: str, normal: str) -> None:
    settings = Settings(
        postgres_password="p", better_auth_url="http://f", cors_origins=f"{written}, http://b:80"
    )
    assert (settings.issuer, settings.origins) == (normal, [normal, "http://b"])


@pytest.mark.parametrize(
    "wrong",
    [
        "http://",
        "http://h/",
        "http://h/path",
        "http://u@h",
        "http://h?q",
        "http://h:port",
        "http://h:65536",
        "http://[x]",
        # Browsers read 127.0.0.1 and xn--bcher-kva.example there.
        "http://127.1",
        "http://0x7f.1",
        "http://bücher.example",
    ],
)
def test_what_is_no_origin_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="wants origins like"):
        Settings(postgres_password="p", better_auth_url="http://f", cors_origins=wrong)
