"""Speaking with the built-in assistant over HTTP, through the SDK, the tools and the database."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import IntegrityError

from app.conversation import LONGEST_MESSAGE
from app.settings import Settings
from tests.conftest import Server, serving_app
from tests.person import Person
from tests.sse import Event, events, of, said


def say(
    person: Person, message: str, conversation_id: int | None = None, **more: str
) -> list[Event]:
    body = {"message": message, "conversation_id": conversation_id, **more}
    answer = person.post("/api/chat", json=body)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    return events(answer.text)


def messages(person: Person, conversation_id: int) -> list[dict[str, Any]]:
    return person.get(f"/api/conversations/{conversation_id}/messages").json()


def database_of(person: Person) -> str:
    return person.client.app.state.settings.postgres_db


def test_the_built_in_model_answers_without_a_key(ada: Person) -> None:
    assert ada.get("/api/assistant").json() == {"kind": "local", "model": "built-in"}


def test_a_model_of_openai_answers_with_a_key(settings: Settings, ada: Person) -> None:
    given = {"openai_api_key": "sk-secret", "openai_model": "some-model"}
    with serving_app(Settings.model_validate(settings.model_dump() | given)) as client:
        answer = Person(client, ada.headers).get("/api/assistant")
        assert answer.json() == {"kind": "openai", "model": "some-model"}


def test_a_conversation_with_each_tool(ada: Person) -> None:
    told = say(ada, "add milk")
    assert (told[0][0], told[-1][0]) == ("conversation", "done")
    conversation = told[0][1]
    assert conversation["title"] == "add milk"
    [added] = of(told, "tool")
    assert (added["name"], added["arguments"]) == ("add_task", {"title": "milk"})
    [task] = ada.get("/api/tasks").json()
    assert added["result"] == task
    assert said(told) == "Added “milk”."

    # The conversation alone says what 1 is: nothing else is kept between two requests.
    number = conversation["id"]
    assert said(say(ada, "what is left?", number)).startswith("You have 1 open task:\n1. milk\n")
    assert said(say(ada, "make 1 high priority", number)) == "Changed: “milk”, high priority."
    assert said(say(ada, "done with 1", number)) == "Done: “milk”."
    assert ada.get("/api/tasks").json() == [task | {"priority": "high", "completed": True}]
    assert said(say(ada, "delete it", number)) == "Deleted “milk”."
    assert ada.get("/api/tasks").json() == []
    assert said(say(ada, "delete 1", number)) == "That task is no longer there."

    kept = messages(ada, number)
    assert [message["role"] for message in kept] == ["user", "assistant"] * 6
    assert kept[0]["text"] == "add milk"
    assert kept[1]["tools"] == [{"name": "add_task", "arguments": {"title": "milk"}}]
    assert kept[1]["id"] == told[-1][1]["message_id"]
    assert [message["id"] for message in kept] == sorted(message["id"] for message in kept)
    # What a failed tool did is told, too.
    assert kept[-1]["tools"] == [{"name": "delete_task", "arguments": {"task_id": task["id"]}}]


def test_an_answer_comes_in_pieces(ada: Person) -> None:
    told = say(ada, "help")
    assert len(of(told, "delta")) > 10
    assert messages(ada, told[0][1]["id"])[1]["text"] == said(told)


def also_say(server: Server, person: Person, conversation_id: int, message: str) -> None:
    """A message that another request has kept already and not answered yet."""
    [(user,)] = server.sql(
        f"SELECT user_id FROM conversation WHERE id = {conversation_id}",  # noqa: S608
        database_of(person),
    )
    server.sql(
        "INSERT INTO message (id, conversation_id, user_id, role, text, tools) VALUES"  # noqa: S608
        f" ({10**15 + conversation_id}, {conversation_id}, '{user}', 'user', '{message}', '[]')",
        database_of(person),
    )


def test_two_messages_at_once_are_each_answered(ada: Person, server: Server) -> None:
    number = say(ada, "help")[0][1]["id"]
    also_say(server, ada, number, "add bread")
    assert said(say(ada, "add milk", number)) == "Added “milk”."


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC", None])
def test_tomorrow_is_the_persons(ada: Person, timezone: str | None) -> None:
    def today() -> str:
        return datetime.now(ZoneInfo(timezone) if timezone else UTC).date().isoformat()

    before = today()
    say(ada, "add milk for today", **({"timezone": timezone} if timezone else {}))
    # Midnight may pass meanwhile.
    assert ada.get("/api/tasks").json()[0]["due"] in {before, today()}


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "../../etc/passwd", "Europe", "", "a\x00b"])
def test_a_time_zone_that_is_not_known_counts_as_utc(ada: Person, timezone: str) -> None:
    before = datetime.now(UTC).date().isoformat()
    say(ada, "add milk for today", timezone=timezone)
    assert ada.get("/api/tasks").json()[0]["due"] in {before, datetime.now(UTC).date().isoformat()}


def test_conversations_are_listed_with_the_last_spoken_in_first(ada: Person) -> None:
    first = say(ada, "add milk")[0][1]
    second = say(ada, "add bread\nand more")[0][1]
    assert second["title"] == "add bread"
    listed = ada.get("/api/conversations").json()
    assert [one["id"] for one in listed] == [second["id"], first["id"]]
    say(ada, "help", first["id"])
    again = ada.get("/api/conversations").json()
    assert [one["id"] for one in again] == [first["id"], second["id"]]
    assert again[0]["updated_at"] > again[1]["updated_at"]


def test_a_deleted_conversation_is_gone_with_its_messages(ada: Person, server: Server) -> None:
    number = say(ada, "add milk")[0][1]["id"]
    assert ada.delete(f"/api/conversations/{number}").status_code == 204
    assert ada.get("/api/conversations").json() == []
    assert ada.get(f"/api/conversations/{number}/messages").status_code == 404
    assert ada.delete(f"/api/conversations/{number}").status_code == 404
    left = f"SELECT count(*) FROM message WHERE conversation_id = {number}"  # noqa: S608
    assert server.sql(left, database_of(ada)) == [(0,)]
    # What was done in it stays done.
    assert len(ada.get("/api/tasks").json()) == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"message": ""},
        {"message": "  \n "},
        {"message": "x" * (LONGEST_MESSAGE + 1)},
        {"message": "a\x00b"},
        {"message": 5},
        {"message": "hi", "timezone": "x" * 65},
        {"message": "hi", "conversation_id": "first"},
    ],
)
def test_what_is_no_message_is_refused(ada: Person, body: dict[str, object]) -> None:
    assert ada.post("/api/chat", json=body).status_code == 422
    assert ada.get("/api/conversations").json() == []


def test_half_a_character_is_refused(ada: Person) -> None:
    answer = ada.post(
        "/api/chat",
        content=b'{"message": "\\ud83d"}',
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("message", ["x" * LONGEST_MESSAGE, "🥛" * LONGEST_MESSAGE, "add 🥛 “ü”"])
def test_every_message_is_kept_as_it_was_said(ada: Person, message: str) -> None:
    number = say(ada, message)[0][1]["id"]
    assert messages(ada, number)[0]["text"] == message


@pytest.mark.parametrize("number", [0, -1, 7, 2**63, 2**200])
def test_a_number_that_is_no_conversations_is_not_found(ada: Person, number: int) -> None:
    body = {"message": "hi", "conversation_id": number}
    assert ada.post("/api/chat", json=body).status_code == 404
    assert ada.get(f"/api/conversations/{number}/messages").status_code == 404
    assert ada.delete(f"/api/conversations/{number}").status_code == 404
    assert ada.get("/api/conversations").json() == []


def test_the_database_keeps_a_message_with_the_owner_of_its_conversation(
    ada: Person, server: Server
) -> None:
    number = say(ada, "add milk")[0][1]["id"]
    statement = f"UPDATE message SET user_id = 'grace' WHERE conversation_id = {number}"  # noqa: S608
    with pytest.raises(IntegrityError, match="message_conversation"):
        server.sql(statement, database_of(ada))


def test_nothing_that_is_said_is_logged(ada: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    number = say(ada, "add secretmilk")[0][1]["id"]
    say(ada, "rename secretmilk to " + "secret" * 50, number)
    say(ada, "finish secretmilk", number)
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert logged
    assert "secret" not in logged
