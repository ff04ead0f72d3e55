"""`python -m tools.documents`: writes the documents that follow from the code."""

from pathlib import Path

from sqlmodel import SQLModel

from app.main import create_app
from app.settings import Settings
from tools import api_document, data_model

FOLDER = Path(__file__).parents[2] / "docs"


def documents() -> dict[Path, str]:
    """What each of them says today."""
    # The contract hangs on no setting, and nothing connects before the application is served.
    settings = Settings.model_construct(cors_origins="")
    app = create_app(settings, on_failure=lambda: None)
    return {
        FOLDER / "api.md": api_document.render(app.openapi()),
        FOLDER / "data-model.md": data_model.render(SQLModel.metadata),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in documents().items():
        path.write_text(text)
