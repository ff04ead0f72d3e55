"""A wrong environment is one line at start that names the variable and never its value."""

import os
import subprocess
import sys

import pytest

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
