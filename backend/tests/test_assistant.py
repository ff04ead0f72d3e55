"""The heavy parts come beside the start, not before it."""

import subprocess
import sys

HEAVY = ["agents", "chatkit", "mcp", "openai"]


def test_the_application_is_there_before_the_sdks_are() -> None:
    """They take several times as long to import as all the rest, and a start waits for imports."""
    program = "import sys, app.main; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert [name for name in ended.stdout.split() if name in HEAVY] == []
