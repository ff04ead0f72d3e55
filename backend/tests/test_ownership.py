"""No user sees or changes what is another's, by any route there is.

The routes are taken from the application itself: one that is added and is neither named public nor
has a row here fails.
"""

import re
from collections.abc import Callable, Iterator

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlmodel import SQLModel

from app.main import create_app
from app.settings import Settings
from tests.conftest import KEY
from tests.person import Person
from tests.sse import events, of, said

# What anybody may ask.
PUBLIC = {("GET", "/openapi.json"), ("GET", "/api/health"), ("GET", "/api/health/live")}

type Row = Callable[[Person, Person], None]
ROWS: dict[tuple[str, str], Row] = {}


def row(method: str, path: str) -> Callable[[Row], Row]:
    """Registers a test of one route with an owner, who has something, and another."""

    def register(test: Row) -> Row:
        ROWS[method, path] = test
        return test

    return register


def a_task(owner: Person) -> dict[str, object]:
    return owner.post("/api/tasks", json={"title": "mine", "due": "2030-01-31"}).json()


@row("GET", "/api/tasks")
def _(owner: Person, other: Person) -> None:
    task = a_task(owner)
    for query in ("", "?q=mine", "?completed=false", "?sort=due&order=desc", "?priority=medium"):
        assert owner.get(f"/api/tasks{query}").json() == [task]
        assert other.get(f"/api/tasks{query}").json() == []


@row("POST", "/api/tasks")
def _(owner: Person, other: Person) -> None:
    mine = a_task(owner)
    # A user that is named in the body counts for nothing.
    theirs = other.post("/api/tasks", json={"title": "theirs", "user_id": "ada", "id": mine["id"]})
    assert theirs.json()["id"] != mine["id"]
    assert other.get("/api/tasks").json() == [theirs.json()]
    assert owner.get("/api/tasks").json() == [mine]


@row("GET", "/api/tasks/{task_id}")
def _(owner: Person, other: Person) -> None:
    task = a_task(owner)
    at = f"/api/tasks/{task['id']}"
    assert owner.get(at).json() == task
    assert other.get(at).status_code == 404


@row("PATCH", "/api/tasks/{task_id}")
def _(owner: Person, other: Person) -> None:
    task = a_task(owner)
    at = f"/api/tasks/{task['id']}"
    answer = other.patch(at, json={"title": "theirs", "completed": True})
    assert (answer.status_code, "mine" in answer.text) == (404, False)
    assert owner.get(at).json() == task


@row("DELETE", "/api/tasks/{task_id}")
def _(owner: Person, other: Person) -> None:
    task = a_task(owner)
    at = f"/api/tasks/{task['id']}"
    assert other.delete(at).status_code == 404
    assert owner.get(at).json() == task


def a_conversation(owner: Person) -> dict[str, object]:
    answer = owner.post("/api/chat", json={"message": "add mine"})
    assert of(events(answer.text), "done")
    [conversation] = owner.get("/api/conversations").json()
    return conversation


@row("GET", "/api/assistant")
def _(owner: Person, other: Person) -> None:
    assert owner.get("/api/assistant").json() == other.get("/api/assistant").json()


@row("POST", "/api/chat")
def _(owner: Person, other: Person) -> None:
    conversation = a_conversation(owner)
    at = f"/api/conversations/{conversation['id']}/messages"
    messages = owner.get(at).json()
    body = {"message": "show all", "conversation_id": conversation["id"]}
    assert other.post("/api/chat", json=body).status_code == 404
    assert owner.get(at).json() == messages
    # Nor do the tools that it calls see what is another's.
    told = events(other.post("/api/chat", json={"message": "show all"}).text)
    assert (said(told), "mine" in str(told)) == ("You have no tasks.", False)


@row("GET", "/api/conversations")
def _(owner: Person, other: Person) -> None:
    assert a_conversation(owner)["title"] == "add mine"
    assert other.get("/api/conversations").json() == []


@row("GET", "/api/conversations/{conversation_id}/messages")
def _(owner: Person, other: Person) -> None:
    at = f"/api/conversations/{a_conversation(owner)['id']}/messages"
    assert len(owner.get(at).json()) == 2
    answer = other.get(at)
    assert (answer.status_code, "mine" in answer.text) == (404, False)


@row("POST", "/api/conversations/{conversation_id}/messages/{message_id}/stop")
def _(owner: Person, other: Person) -> None:
    at = f"/api/conversations/{a_conversation(owner)['id']}/messages"
    asked = owner.get(at).json()[0]["id"]
    assert other.post(f"{at}/{asked}/stop").status_code == 404
    assert owner.post(f"{at}/{asked}/stop").status_code == 204


@row("DELETE", "/api/conversations/{conversation_id}")
def _(owner: Person, other: Person) -> None:
    conversation = a_conversation(owner)
    assert other.delete(f"/api/conversations/{conversation['id']}").status_code == 404
    assert owner.get("/api/conversations").json() == [conversation]


# Each of its requests has a row in test_chatkit.
@row("POST", "/chatkit")
def _(owner: Person, other: Person) -> None:
    number = str(a_conversation(owner)["id"])
    body = {"type": "threads.get_by_id", "params": {"thread_id": number}}
    assert owner.post("/chatkit", json=body).json()["title"] == "add mine"
    answer = other.post("/chatkit", json=body)
    assert (answer.status_code, "mine" in answer.text) == (404, False)


# Each of its tools has a row in test_mcp.
@row("POST", "/mcp")
def _(owner: Person, other: Person) -> None:
    def call(person: Person, tool: str, arguments: dict[str, object]) -> str:
        parameters = {"name": tool, "arguments": arguments}
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters}
        answer = person.post("/mcp", json=body)
        assert answer.status_code == 200
        return answer.text

    task = a_task(owner)
    assert "mine" in call(owner, "list_tasks", {})
    assert "mine" not in call(other, "list_tasks", {})
    assert '"isError":true' in call(other, "delete_task", {"task_id": task["id"]})
    assert owner.get("/api/tasks").json() == [task]


@pytest.mark.parametrize("test", ROWS.values(), ids=[" ".join(route) for route in ROWS])
def test_nobody_reaches_what_is_anothers(ada: Person, grace: Person, test: Row) -> None:
    test(ada, grace)


def test_every_row_belongs_to_a_user() -> None:
    columns = [table.columns.get("user_id") for table in SQLModel.metadata.sorted_tables]
    assert columns
    assert all(column is not None and not column.nullable for column in columns)


def routes(settings: Settings) -> Iterator[tuple[str, str]]:
    app = create_app(settings, on_failure=lambda: None)
    for route in iter_route_contexts(app.routes):
        # A mounted application has no methods of its own.
        for method in sorted((route.methods or {"*"}) - {"HEAD"}):
            yield method, str(getattr(route, "path", route))


def test_every_route_is_public_or_has_a_row(settings: Settings) -> None:
    assert sorted(routes(settings)) == sorted(PUBLIC | ROWS.keys())


@pytest.mark.parametrize("header", [None, "Bearer ", "Bearer wrong", f"Basic {KEY}", "Bearer ü"])
@pytest.mark.parametrize(("method", "path"), ROWS.keys())
def test_every_route_that_is_not_public_wants_a_user(
    client: TestClient, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header.encode()}
    concrete = re.sub(r"{\w+}", "1", path)
    answer = client.request(method, concrete, headers=headers, json={"title": "milk"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
