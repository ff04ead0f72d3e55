"""ChatKit's protocol, by the requests that its client makes."""

import json
from typing import Any

import httpx2
import pytest

from app.answer import FAILED
from app.conversation import LONGEST_MESSAGE
from app.settings import Settings
from tests.conftest import Server, serving_app
from tests.person import Person
from tests.provider import Say, providing
from tests.sign_in import SignIn
from tests.sse import events, said
from tests.test_chat import also_say

type Event = dict[str, Any]


def ask(person: Person, kind: str, params: dict[str, Any], **more: Any) -> httpx2.Response:
    return person.post("/chatkit", json={"type": kind, "params": params} | more)


def words(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"input": {"content": content, "attachments": [], "inference_options": {}} | more}


def streamed(answer: httpx2.Response) -> list[Event]:
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    return [json.loads(block.removeprefix("data: ")) for block in answer.text.split("\n\n")[:-1]]


def begin(person: Person, text: str, **more: Any) -> list[Event]:
    return streamed(ask(person, "threads.create", words(text), **more))


def go_on(person: Person, thread_id: str, text: str) -> list[Event]:
    params = words(text) | {"thread_id": thread_id}
    return streamed(ask(person, "threads.add_user_message", params))


def thread_of(told: list[Event]) -> str:
    assert told[0]["type"] == "thread.created"
    return told[0]["thread"]["id"]


def of(told: list[Event], kind: str) -> list[Event]:
    return [event for event in told if event["type"] == kind]


def deltas(told: list[Event]) -> str:
    updates = [event["update"] for event in of(told, "thread.item.updated")]
    return "".join(
        update["delta"]
        for update in updates
        if update["type"] == "assistant_message.content_part.text_delta"
    )


def texts(person: Person, thread_id: str, **params: Any) -> list[str]:
    page = ask(person, "items.list", {"thread_id": thread_id, **params}).json()
    return [item["content"][0]["text"] for item in page["data"]]


def test_a_thread_is_created_and_answered_by_a_stream(ada: Person) -> None:
    told = begin(ada, "add milk")
    thread_id = thread_of(told)
    done = of(told, "thread.item.done")
    assert [event["item"]["type"] for event in done] == ["user_message", "assistant_message"]
    asked, answered = (event["item"] for event in done)
    assert asked["content"] == [{"type": "input_text", "text": "add milk"}]
    assert answered["content"][0]["text"] == deltas(told) == "Added “milk”."
    [added] = of(told, "thread.item.added")
    assert added["item"]["id"] == answered["id"] != asked["id"]
    assert {event["item_id"] for event in of(told, "thread.item.updated")} == {answered["id"]}
    [options] = of(told, "stream_options")
    assert options["stream_options"] == {"allow_cancel": False}
    assert of(told, "thread.updated")[-1]["thread"]["title"] == "add milk"
    assert not of(told, "error")
    assert [task["title"] for task in ada.get("/api/tasks").json()] == ["milk"]

    # What was streamed is what is there afterwards.
    thread = ask(ada, "threads.get_by_id", {"thread_id": thread_id}).json()
    assert (thread["id"], thread["title"]) == (thread_id, "add milk")
    assert [item["id"] for item in thread["items"]["data"]] == [asked["id"], answered["id"]]


def test_both_ways_to_chat_are_one_conversation(ada: Person) -> None:
    thread_id = thread_of(begin(ada, "add milk"))
    [conversation] = ada.get("/api/conversations").json()
    assert conversation | {"id": int(thread_id), "title": "add milk"} == conversation
    body = {"message": "what is left?", "conversation_id": int(thread_id)}
    assert said(events(ada.post("/api/chat", json=body).text)).startswith("You have 1 open task:")
    assert deltas(go_on(ada, thread_id, "done with 1")) == "Done: “milk”."
    messages = ada.get(f"/api/conversations/{thread_id}/messages").json()
    assert [message["text"] for message in messages] == texts(ada, thread_id, order="asc")
    assert messages[-1]["tools"][0]["name"] == "complete_task"


def test_two_messages_at_once_are_each_answered(ada: Person, server: Server) -> None:
    thread_id = thread_of(begin(ada, "help"))
    also_say(server, ada, int(thread_id), "add bread")
    assert deltas(go_on(ada, thread_id, "add milk")) == "Added “milk”."


def test_threads_and_items_come_in_pages(ada: Person) -> None:
    threads = [thread_of(begin(ada, f"add task {number}")) for number in range(3)]
    first = ask(ada, "threads.list", {"limit": 2}).json()
    assert [thread["id"] for thread in first["data"]] == [threads[2], threads[1]]
    assert (first["has_more"], first["after"]) == (True, threads[1])
    rest = ask(ada, "threads.list", {"limit": 2, "after": threads[1]}).json()
    assert ([thread["id"] for thread in rest["data"]], rest["has_more"]) == ([threads[0]], False)
    oldest = ask(ada, "threads.list", {"order": "asc", "limit": 1}).json()
    assert [thread["id"] for thread in oldest["data"]] == [threads[0]]
    behind = ask(ada, "threads.list", {"order": "asc", "after": threads[0]}).json()
    assert [thread["id"] for thread in behind["data"]] == threads[1:]

    go_on(ada, threads[0], "help")
    in_order = texts(ada, threads[0], order="asc")
    assert (len(in_order), in_order[0], in_order[2]) == (4, "add task 0", "help")
    assert texts(ada, threads[0], order="desc") == in_order[::-1]
    page = ask(ada, "items.list", {"thread_id": threads[0], "order": "asc", "limit": 3}).json()
    assert (len(page["data"]), page["has_more"]) == (3, True)
    assert texts(ada, threads[0], order="asc", after=page["after"]) == in_order[3:]
    # However much is asked for, a page has its bounds.
    assert len(texts(ada, threads[0], limit=10**9)) == 4
    assert len(texts(ada, threads[0], limit=-1)) == 1


def test_a_thread_is_renamed_and_deleted(ada: Person) -> None:
    thread_id = thread_of(begin(ada, "add milk"))
    renamed = ask(ada, "threads.update", {"thread_id": thread_id, "title": " Shopping "}).json()
    assert (renamed["id"], renamed["title"]) == (thread_id, "Shopping")
    assert ada.get("/api/conversations").json()[0]["title"] == "Shopping"
    assert ask(ada, "threads.delete", {"thread_id": thread_id}).json() == {}
    assert ask(ada, "threads.list", {}).json()["data"] == []
    assert ask(ada, "threads.get_by_id", {"thread_id": thread_id}).status_code == 404


def test_an_answer_can_be_tried_again(ada: Person) -> None:
    told = begin(ada, "add milk")
    thread_id = thread_of(told)
    go_on(ada, thread_id, "help")
    asked = of(told, "thread.item.done")[0]["item"]
    again = {"thread_id": thread_id, "item_id": asked["id"]}
    told = streamed(ask(ada, "threads.retry_after_item", again))
    assert deltas(told) == "Added “milk”."
    assert texts(ada, thread_id, order="asc") == ["add milk", "Added “milk”."]


def test_a_model_that_fails_is_one_error(settings: Settings, sign_in: SignIn) -> None:
    with providing() as provider:
        given = {"openai_api_key": "sk-secret", "openai_base_url": provider.url}
        with serving_app(Settings.model_validate(settings.model_dump() | given)) as client:
            ada = Person(client, {"Authorization": f"Bearer {sign_in.token('ada')}"})
            provider.replies = [Say(())]
            told = begin(ada, "hello")
            [error] = of(told, "error")
            assert error == {
                "type": "error",
                "code": "custom",
                "message": FAILED,
                "allow_retry": True,
            }
            assert texts(ada, thread_of(told), order="asc") == ["hello", FAILED]


def test_what_is_quoted_and_tagged_belongs_to_the_message(ada: Person) -> None:
    params = words("done with it", quoted_text="milk")
    params["input"]["content"].append({"type": "input_tag", "id": "1", "text": "!", "data": {}})
    thread_id = thread_of(streamed(ask(ada, "threads.create", params)))
    assert texts(ada, thread_id, order="asc")[0] == "“milk”\ndone with it!"


@pytest.mark.parametrize("metadata", [{"timezone": "Pacific/Kiritimati"}, {"timezone": 5}, {}])
def test_metadata_may_say_the_time_zone(ada: Person, metadata: dict[str, object]) -> None:
    assert deltas(begin(ada, "add milk for today", metadata=metadata)).startswith("Added “milk”")


NONE = ["7000000", "0", "-1", "thr_1", "", "9" * 40, "\u0661"]


@pytest.mark.parametrize("thread_id", NONE)
@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("threads.get_by_id", {}),
        ("threads.update", {"title": "mine"}),
        ("threads.delete", {}),
        ("threads.add_user_message", words("hi")),
        ("threads.retry_after_item", {"item_id": "1"}),
        ("items.list", {}),
    ],
)
def test_an_id_that_is_none_is_not_found(
    ada: Person, thread_id: str, kind: str, params: dict[str, Any]
) -> None:
    answer = ask(ada, kind, params | {"thread_id": thread_id})
    assert (answer.status_code, answer.json()) == (404, {"detail": "No such thread or item"})


@pytest.mark.parametrize(
    ("kind", "params", "status"),
    [
        ("threads.create", words(""), 422),
        ("threads.create", words("x" * (LONGEST_MESSAGE + 1)), 422),
        ("threads.create", words("a\x00b"), 422),
        ("threads.create", words("hi", attachments=["atc_1"]), 400),
        ("threads.create", {}, 422),
        ("threads.explode", {}, 422),
        ("attachments.create", {"name": "a", "size": 1, "mime_type": "text/plain"}, 400),
        ("input.transcribe", {"audio_base64": "", "mime_type": "audio/webm"}, 400),
        ("threads.add_client_tool_output", {"thread_id": "1", "result": {}}, 400),
        (
            "threads.custom_action",
            {"thread_id": "1", "action": {"type": "buy", "payload": {}}},
            400,
        ),
        ("items.feedback", {"thread_id": "1", "item_ids": ["1"], "kind": "positive"}, 400),
    ],
)
def test_what_is_not_served_is_refused(
    ada: Person, kind: str, params: dict[str, Any], status: int
) -> None:
    assert ask(ada, kind, params).status_code == status
    assert ask(ada, "threads.list", {}).json()["data"] == []


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"{}", b'{"type": 5}', b"\xff"])
def test_what_is_no_request_is_refused(ada: Person, body: bytes) -> None:
    answer = ada.post("/chatkit", content=body)
    assert answer.status_code == 422
    assert answer.json() == {"detail": "That is no request of ChatKit's protocol"}


def test_a_title_that_is_none_is_refused(ada: Person) -> None:
    thread_id = thread_of(begin(ada, "add milk"))
    for title in (" ", "a\x00b"):
        params = {"thread_id": thread_id, "title": title}
        assert ask(ada, "threads.update", params).status_code == 422
    assert ada.get("/api/conversations").json()[0]["title"] == "add milk"


OTHERS = [
    ("threads.get_by_id", {}),
    ("threads.update", {"title": "theirs"}),
    ("threads.delete", {}),
    ("threads.add_user_message", words("show all")),
    ("threads.retry_after_item", {}),
    ("items.list", {}),
]


@pytest.mark.parametrize(("kind", "params"), OTHERS, ids=[kind for kind, _ in OTHERS])
def test_nobody_reaches_anothers_thread(
    ada: Person, grace: Person, kind: str, params: dict[str, Any]
) -> None:
    told = begin(ada, "add mine")
    thread_id = thread_of(told)
    asked = of(told, "thread.item.done")[0]["item"]
    before = ask(ada, "threads.get_by_id", {"thread_id": thread_id}).json()
    own = thread_of(begin(grace, "add theirs"))
    answer = ask(grace, kind, {"thread_id": thread_id, "item_id": asked["id"]} | params)
    assert (answer.status_code, "mine" in answer.text) == (404, False)
    # Nor by an item's id in a thread of one's own.
    if kind == "threads.retry_after_item":
        stolen = ask(grace, kind, {"thread_id": own, "item_id": asked["id"]})
        assert stolen.status_code == 404
    assert ask(ada, "threads.get_by_id", {"thread_id": thread_id}).json() == before
    assert [one["id"] for one in ask(grace, "threads.list", {}).json()["data"]] == [own]
    # A page that begins behind another's thread shows nothing of it.
    assert ask(grace, "threads.list", {"after": thread_id}).status_code == 404
