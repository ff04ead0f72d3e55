"""Tasks over HTTP: what each route does."""

import pytest

from app.main import MAX_BODY_BYTES
from tests.person import Person
from tests.sign_in import ORIGIN


def test_a_task_from_adding_to_deleting(ada: Person) -> None:
    body = {"title": " milk ", "due": "2030-01-31", "priority": "high"}
    added = ada.post("/api/tasks", json=body)
    assert added.status_code == 201
    task = added.json()
    assert (task["title"], task["due"], task["completed"]) == ("milk", "2030-01-31", False)
    at = f"/api/tasks/{task['id']}"

    changed = ada.patch(at, json={"completed": True, "due": None}).json()
    assert changed == task | {"completed": True, "due": None}
    assert ada.get(at).json() == changed
    assert ada.get("/api/tasks", params={"completed": True}).json() == [changed]
    assert ada.get("/api/tasks", params={"completed": False}).json() == []

    assert ada.delete(at).status_code == 204
    assert ada.get(at).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ""},
        {"title": "   "},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"title": "milk", "priority": "urgent"},
        {"title": "milk", "due": "tomorrow"},
        {"title": "milk", "due": "2030-02-30"},
        {"title": "milk", "due": "2030-01-31T00:00:00"},
        {"title": "milk", "due": 0},
    ],
)
def test_refuses_what_is_no_task(ada: Person, body: dict[str, object]) -> None:
    assert ada.post("/api/tasks", json=body).status_code == 422
    assert ada.get("/api/tasks").json() == []


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), str(2**200)])
def test_a_number_that_is_no_tasks_is_not_found(ada: Person, number: str) -> None:
    assert ada.get(f"/api/tasks/{number}").status_code == 404


TASKS = [
    {"title": "buy milk", "priority": "low", "due": "2030-02-01"},
    {"title": "Äpfel 100%", "priority": "high"},
    {"title": "Call_Zoe", "priority": "medium", "due": "2030-01-01"},
    {"title": "back\\slash", "priority": "high", "due": "2030-01-01", "completed": True},
]
MILK, APPLES, CALL, SLASH = (str(task["title"]) for task in TASKS)


@pytest.fixture
def with_tasks(ada: Person) -> Person:
    for task in TASKS:
        body = {key: value for key, value in task.items() if key != "completed"}
        added = ada.post("/api/tasks", json=body).json()
        if task.get("completed"):
            ada.patch(f"/api/tasks/{added['id']}", json={"completed": True})
    return ada


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("", [MILK, APPLES, CALL, SLASH]),
        ("order=desc", [SLASH, CALL, APPLES, MILK]),
        ("sort=title", [APPLES, SLASH, MILK, CALL]),
        ("sort=title&order=desc", [CALL, MILK, SLASH, APPLES]),
        ("sort=due", [CALL, SLASH, MILK, APPLES]),
        ("sort=due&order=desc", [MILK, CALL, SLASH, APPLES]),
        ("sort=priority", [MILK, CALL, APPLES, SLASH]),
        ("sort=priority&order=desc", [APPLES, SLASH, CALL, MILK]),
        ("completed=true", [SLASH]),
        ("completed=false&sort=due", [CALL, MILK, APPLES]),
        ("priority=high", [APPLES, SLASH]),
        ("priority=high&completed=false", [APPLES]),
        ("q=MILK", [MILK]),
        ("q=äPFEL", [APPLES]),
        ("q=%25", [APPLES]),
        ("q=_", [CALL]),
        ("q=%5C", [SLASH]),
        ("q=", [MILK, APPLES, CALL, SLASH]),
        ("q=nothing", []),
        ("limit=2", [MILK, APPLES]),
    ],
)
def test_a_list_is_filtered_and_sorted(with_tasks: Person, query: str, titles: list[str]) -> None:
    found = with_tasks.get(f"/api/tasks?{query}")
    assert [task["title"] for task in found.json()] == titles


@pytest.mark.parametrize(
    "query",
    ["priority=urgent", "sort=id", "order=up", "limit=0", "limit=501", "q=%00", "q=" + "x" * 201],
)
def test_a_list_refuses_what_it_does_not_know(ada: Person, query: str) -> None:
    assert ada.get(f"/api/tasks?{query}").status_code == 422


def test_a_body_of_any_size_is_not_read_into_memory(ada: Person) -> None:
    answer = ada.post("/api/tasks", json={"title": "x" * MAX_BODY_BYTES})
    assert answer.status_code == 413


@pytest.mark.parametrize(("origin", "allowed"), [(ORIGIN, ORIGIN), ("http://evil.test", None)])
def test_browsers_may_call_from_the_origins_that_are_set(
    ada: Person, origin: str, allowed: str | None
) -> None:
    answer = ada.client.get("/api/tasks", headers=ada.headers | {"Origin": origin})
    assert answer.headers.get("Access-Control-Allow-Origin") == allowed
