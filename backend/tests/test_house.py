"""The rules of the house: what can be seen without running anything is seen by these programs."""

import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "arguments",
    [("ruff", "check", "--quiet"), ("ruff", "format", "--check", "--quiet"), ("mypy",)],
    ids=" ".join,
)
def test_nothing_to_complain_about(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", *arguments]
    ended = subprocess.run(command, cwd=BACKEND, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
