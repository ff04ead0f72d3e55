"""What is deleted while it is being changed is not found, as if it had been deleted before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx2
import psycopg
import pytest

from app.settings import Settings
from tests.asked import WAITING
from tests.conftest import PASSWORD, Server, serving_app
from tests.person import Person
from tests.sign_in import SignIn
from tests.waiting import DEADLINE_SECONDS, until


def change_task(ada: Person, number: int) -> httpx2.Response:
    return ada.patch(f"/api/tasks/{number}", json={"title": "bread"})


def rename_conversation(ada: Person, number: int) -> httpx2.Response:
    title = {"thread_id": str(number), "title": "bread"}
    return ada.post("/chatkit", json={"type": "threads.update", "params": title})


@pytest.mark.parametrize(
    ("path", "deletion", "change"),
    [
        ("/api/tasks", "DELETE FROM task", change_task),
        ("/api/conversations", "DELETE FROM conversation", rename_conversation),
    ],
)
def test_a_change_that_comes_too_late_is_not_found(
    settings: Settings,
    server: Server,
    sign_in: SignIn,
    path: str,
    deletion: str,
    change: Callable[[Person, int], httpx2.Response],
) -> None:
    address = {"host": "127.0.0.1", "port": server.port, "dbname": settings.postgres_db}
    waiting = WAITING.format(settings.postgres_db)
    with serving_app(settings) as client, ThreadPoolExecutor() as threads:
        ada = Person(client, {"Authorization": f"Bearer {sign_in.token('ada')}"})
        ada.post("/api/chat", json={"message": "add milk"})
        [found] = ada.get(path).json()
        with psycopg.connect(user="todo", password=PASSWORD, **address) as holder:
            holder.execute(deletion)
            asked = threads.submit(change, ada, found["id"])
            until(lambda: server.sql(waiting), lambda rows: rows == [(1,)])
        assert asked.result(DEADLINE_SECONDS).status_code == 404
        assert change(ada, found["id"]).status_code == 404
