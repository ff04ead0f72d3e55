"""These tests are formatted and linted as the backend's are."""

import subprocess
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(command: list[str]) -> None:
    folder = Path(__file__).parent
    said = subprocess.run(["ruff", *command, folder], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
