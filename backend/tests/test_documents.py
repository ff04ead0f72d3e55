"""The documents that follow from the code say what the code says."""

from pathlib import Path

import pytest

from tools.documents import documents


@pytest.mark.parametrize(("path", "text"), documents().items(), ids=["api", "data-model"])
def test_is_current(path: Path, text: str) -> None:
    assert path.read_text() == text, (
        "run: uv run --frozen --directory backend python -m tools.documents"
    )
