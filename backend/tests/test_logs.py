"""What is logged of a request, and that no secret ever is."""

import json
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.responses import StreamingResponse

from app.logs import STRUCK_OUT, JsonLines
from app.request_log import RequestLog
from app.settings import Settings
from tests.conftest import PASSWORD, Server
from tests.process import answer, running
from tests.sign_in import SignIn
from tests.waiting import until


class Kept(logging.Handler):
    """Keeps the lines as they would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())
        self.lines: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logger = logging.getLogger("app")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)


def made_app() -> FastAPI:
    made = FastAPI()

    @made.get("/fine")
    async def fine() -> str:
        logging.getLogger("app.somewhere").info("within")
        return "fine"

    @made.get("/broken")
    async def broken() -> None:
        raise RuntimeError("inside")

    @made.get("/broken-off")
    async def broken_off() -> StreamingResponse:
        async def parts() -> Iterator[str]:
            yield "begun"
            raise RuntimeError("inside")

        return StreamingResponse(parts())

    made.add_middleware(RequestLog)
    return made


@pytest.mark.parametrize("given", ["a", "0123456789abcdef", "A-b_c.d", "x" * 64])
def test_a_well_formed_id_is_taken_and_returned(kept: Kept, given: str) -> None:
    answered = TestClient(made_app()).get("/fine?q=private", headers={"X-Request-Id": given})
    assert answered.headers["X-Request-Id"] == given
    assert [(line["message"], line["request_id"]) for line in kept.lines] == [
        ("within", given),
        ("request", given),
    ]
    last = kept.lines[-1]
    assert (last["method"], last["path"], last["status"]) == ("GET", "/fine", 200)
    assert last["milliseconds"] >= 0
    assert "private" not in str(kept.lines)


@pytest.mark.parametrize("given", [None, "", "x" * 65, "a b", "a\tb", "ü", '"', "a\\n"])
def test_any_other_id_is_replaced(kept: Kept, given: str | None) -> None:
    headers = {} if given is None else {"X-Request-Id": given.encode()}
    answered = TestClient(made_app()).get("/fine", headers=headers)
    made = answered.headers["X-Request-Id"]
    assert made != given
    assert len(made) == 32
    assert {line["request_id"] for line in kept.lines} == {made}


def test_what_nobody_caught_is_logged_with_the_id_and_not_shown(kept: Kept) -> None:
    answered = TestClient(made_app()).get("/broken", headers={"X-Request-Id": "its-id"})
    assert (answered.status_code, answered.headers["X-Request-Id"]) == (500, "its-id")
    assert "inside" not in answered.text
    failed, request = kept.lines
    assert "RuntimeError: inside" in str(failed["exception"])
    assert (failed["request_id"], request["status"]) == ("its-id", 500)


def test_an_answer_that_has_begun_breaks_off(kept: Kept) -> None:
    with pytest.raises(RuntimeError):
        TestClient(made_app()).get("/broken-off")
    assert [line["message"] for line in kept.lines] == ["a request failed", "request"]


SECRET = 'p@ss"w\\ö rd/:%'


@pytest.mark.parametrize(
    "text",
    [
        SECRET,
        f"postgresql://u:{quote(SECRET, safe='')}@h/d",
        repr({"password": SECRET}),
        "Authorization: Bearer abc.def",
        "token eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    ],
)
def test_a_secret_that_comes_along_is_struck_out(text: str) -> None:
    record = logging.makeLogRecord({"msg": "got %s", "args": (text,), "extra_key": text})
    try:
        raise ValueError(text)
    except ValueError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    line = JsonLines([SECRET, "short"]).format(record)
    assert json.loads(line)["message"].startswith("got ")
    assert line.count(STRUCK_OUT) >= 3
    for secret in (SECRET, "abc.def", "eyJ", quote(SECRET, safe=""), "w\\\\\\\\"):
        assert secret not in line
    assert "short" in JsonLines(["short"]).format(logging.makeLogRecord({"msg": "short"}))


SECRETS = {
    "MCP_API_KEY": "the-key-of-programs",
    "OPENAI_API_KEY": "the-key-of-the-provider",
    "BETTER_AUTH_SECRET": "what-the-sessions-are-signed-with",
}


def test_the_process_logs_json_lines_without_secrets(
    server: Server, settings: Settings, sign_in: SignIn
) -> None:
    """Through a life with good and bad requests, and the database going away in the middle."""
    token = sign_in.token("ada")
    shown = [SECRETS["MCP_API_KEY"], token, token[:-4] + "AAAA", "not-a-token-but-private"]
    with running(settings, MCP_DEFAULT_USER_ID="ada", **SECRETS) as app:
        until(lambda: answer(app.port, "/api/health"), lambda status: status == 200)
        statuses = [
            answer(app.port, "/api/tasks?q=private-search", f"Bearer {credentials}")
            for credentials in shown
        ]
        assert statuses == [200, 200, 401, 401]
        server.stop()
        try:
            assert answer(app.port, "/api/tasks", f"Bearer {token}") == 503
        finally:
            server.start()
        app.process.terminate()
        _, output = app.end()
    lines = [json.loads(line) for line in output.splitlines()]
    assert {line["status"] for line in lines if line["message"] == "request"} == {200, 401, 503}
    for secret in [*SECRETS.values(), *shown, PASSWORD, quote(PASSWORD, safe=""), "private-search"]:
        assert secret not in output
