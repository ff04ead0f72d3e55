"""No user sees or changes what is another's, by any route there is.

The routes are taken from the application itself: one that is added and is neither named public nor
has a row here fails.
"""

from collections.abc import Callable, Iterator

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from app.main import create_app
from app.settings import Settings
from tests.conftest import KEY
from tests.person import Person

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
    if theirs.status_code != 422:
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


@pytest.mark.parametrize("test", ROWS.values(), ids=[" ".join(route) for route in ROWS])
def test_nobody_reaches_what_is_anothers(ada: Person, grace: Person, test: Row) -> None:
    test(ada, grace)


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
    concrete = path.replace("{task_id}", "1")
    answer = client.request(method, concrete, headers=headers, json={"title": "milk"})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
