"""The running application does what its OpenAPI document says, for whatever that document allows
and forbids: requests made by schemathesis, against a process of its own with a real PostgreSQL."""

from collections.abc import Iterator

import hypothesis
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from app.main import create_app
from app.settings import Settings
from tests.conftest import Server, settings_for_new_database
from tests.process import answer, running
from tests.sign_in import SignIn
from tests.waiting import until

EXAMPLES = 20


@pytest.fixture(scope="session")
def served(server: Server, sign_in: SignIn) -> Iterator[str]:
    """The address of the application."""
    settings = settings_for_new_database(server, sign_in)
    with running(settings) as app:
        until(lambda: answer(app.port, "/api/health"), lambda status: status == 200)
        yield f"http://127.0.0.1:{app.port}"


# The document hangs on no setting.
_APP = create_app(
    Settings(postgres_password="none", better_auth_url="http://none", cors_origins="http://none"),
    on_failure=lambda: None,
)
schema = schemathesis.openapi.from_dict(_APP.openapi(), config=SchemathesisConfig(seed=1))


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, print_blob=False
)
def test_answers_as_it_says(case: schemathesis.Case, served: str, sign_in: SignIn) -> None:
    case.call_and_validate(
        base_url=served, headers={"Authorization": f"Bearer {sign_in.token('ada')}"}
    )
