"""An assistant with a provider's model: how it is asked, and what stays when things go wrong."""

import threading
from collections.abc import Iterator

import httpx2
import pytest
from agents import trace
from agents.tracing.traces import NoOpTrace

import app.agent  # noqa: F401  turns tracing off
from app.answer import DELETED, FAILED, INTERRUPTED
from app.settings import Settings
from tests.caller import Caller
from tests.conftest import Server
from tests.process import answer, running
from tests.provider import Break, Provider, Refuse, Reply, Say, Use, Wait, providing
from tests.serving import serving
from tests.sign_in import SignIn
from tests.sse import events, of, said
from tests.waiting import until

KEY = "sk-provider-secret"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as served:
        yield served


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    given = {
        "openai_api_key": KEY,
        "openai_base_url": provider.url,
        "openai_model": "some-model",
    }
    return Settings.model_validate(settings.model_dump() | given)


@pytest.fixture
def ada(settings: Settings, sign_in: SignIn) -> Iterator[Caller]:
    with serving(settings) as server:
        yield Caller(server.url, sign_in)


def test_the_model_is_asked_as_the_settings_say(ada: Caller, provider: Provider) -> None:
    provider.replies = [Use("add_task", '{"title": "milk"}'), Say(("Added ", "milk."))]
    told = ada.say("Milk, please!")

    assert [name for name, _ in told] == ["conversation", "tool", "delta", "delta", "done"]
    assert said(told) == "Added milk."
    [tool] = of(told, "tool")
    assert (tool["name"], tool["arguments"]) == ("add_task", {"title": "milk"})
    assert [tool["result"]] == ada.http.get("/api/tasks").json()
    tools = [{"name": "add_task", "arguments": {"title": "milk"}}]
    assert ada.messages() == [
        ("user", "Milk, please!", []),
        ("assistant", "Added milk.", tools),
    ]

    first, second = provider.asked
    assert provider.paths == ["/v1/chat/completions"] * 2
    assert provider.keys == [f"Bearer {KEY}"] * 2
    assert (first["model"], first["stream"]) == ("some-model", True)
    assert sorted(tool["function"]["name"] for tool in first["tools"]) == [
        "add_task",
        "complete_task",
        "delete_task",
        "list_tasks",
        "update_task",
    ]
    system, question = first["messages"]
    assert (system["role"], "Today is " in system["content"]) == ("system", True)
    assert question == {"role": "user", "content": "Milk, please!"}
    *_, call, result = second["messages"]
    assert call["tool_calls"][0]["function"]["name"] == "add_task"
    assert (result["role"], '"title": "milk"' in result["content"]) == ("tool", True)


def test_the_model_is_told_the_conversation_with_what_its_tools_gave(
    ada: Caller, provider: Provider
) -> None:
    provider.replies = [Use("add_task", '{"title": "milk"}'), Say(("Added.",)), Say(("One.",))]
    number = ada.say("add milk")[0][1]["id"]
    ada.say("how many?", number)
    told = provider.asked[-1]["messages"]
    assert [message["role"] for message in told] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
    ]
    assert '"title": "milk"' in told[3]["content"]


def test_nothing_is_traced() -> None:
    assert isinstance(trace("a run"), NoOpTrace)


@pytest.mark.parametrize(
    ("replies", "text"),
    [
        ([Refuse(401)], FAILED),
        # The client asks once more before it gives up.
        ([Refuse(500), Refuse(500)], FAILED),
        ([Break(("I ", "think"))], f"I think\n\n{FAILED}"),
        ([Say(())], FAILED),
        ([Use("drop_database", "{}")], FAILED),
    ],
    ids=["refused", "broken", "cut off", "silent", "unknown tool"],
)
def test_a_model_that_fails(
    ada: Caller, provider: Provider, replies: list[Reply], text: str
) -> None:
    provider.replies = list(replies)
    told = ada.say("hello")
    assert told[-1] == ("error", {"message": FAILED})
    assert len(of(told, "error")) == 1
    assert not of(told, "done")
    for internal in ("internals", KEY, provider.url, "drop_database"):
        assert internal not in str(told)
    # What the person saw is what is kept, and they can go on.
    assert [(role, kept) for role, kept, _ in ada.messages()] == [
        ("user", "hello"),
        ("assistant", text),
    ]
    provider.replies = [Say(("Hello!",))]
    assert said(ada.say("hello", told[0][1]["id"])) == "Hello!"


@pytest.mark.parametrize(
    "arguments", ["no JSON", "[]", '{"title": ""}', '{"title": "a\\u0000b"}', "{}"]
)
def test_arguments_that_are_none_are_told_to_the_model(
    ada: Caller, provider: Provider, arguments: str
) -> None:
    provider.replies = [Use("add_task", arguments), Say(("I could not.",))]
    told = ada.say("add milk")
    assert said(told) == "I could not."
    assert [list(tool["result"]) for tool in of(told, "tool")] == [["error"]]
    assert len(ada.messages()) == 2
    assert ada.http.get("/api/tasks").json() == []


def test_what_a_model_says_is_kept_without_what_no_database_holds(
    ada: Caller, provider: Provider
) -> None:
    provider.replies = [Say(("a\x00b",))]
    ada.say("hello")
    assert ada.messages()[1][1] == "ab"


def test_a_client_that_goes_away_loses_no_answer(ada: Caller, provider: Provider) -> None:
    provider.replies = [Wait(("Hel",), ("lo!",))]
    ada.leave_after_the_first_piece("hello")
    provider.go_on.set()
    kept = until(ada.messages, lambda found: len(found) == 2)
    assert kept == [("user", "hello", []), ("assistant", "Hello!", [])]


def test_a_stop_in_the_middle_keeps_what_was_said(
    settings: Settings, provider: Provider, sign_in: SignIn
) -> None:
    provider.replies = [Use("add_task", '{"title": "milk"}'), Wait(("I add",))]
    with serving(settings) as server:
        Caller(server.url, sign_in).leave_after_the_first_piece("add milk")
    with serving(settings) as server:
        tools = [{"name": "add_task", "arguments": {"title": "milk"}}]
        assert Caller(server.url, sign_in).messages() == [
            ("user", "add milk", []),
            ("assistant", f"I add\n\n{INTERRUPTED}", tools),
        ]


def test_a_stop_under_the_eyes_of_the_person_keeps_what_was_said(
    settings: Settings, provider: Provider, sign_in: SignIn
) -> None:
    provider.replies = [Wait(("Hel",))]
    seen = threading.Event()
    with serving(settings) as server:
        url = server.url

        def watch() -> None:
            person = Caller(url, sign_in)
            with person.http.stream("POST", "/api/chat", json={"message": "hi"}) as answer:
                try:
                    for line in answer.iter_lines():
                        if line == "event: delta":
                            seen.set()
                except httpx2.TransportError:
                    return

        watching = threading.Thread(target=watch)
        watching.start()
        until(seen.is_set, bool)
    watching.join()
    with serving(settings) as server:
        kept = Caller(server.url, sign_in).messages()
    assert kept == [("user", "hi", []), ("assistant", f"Hel\n\n{INTERRUPTED}", [])]


def test_a_process_that_is_killed_leaves_a_conversation_to_go_on_with(
    settings: Settings, provider: Provider, sign_in: SignIn
) -> None:
    provider.replies = [Wait(("Hel",)), Say(("Hello again!",))]
    chosen = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": provider.url}
    with running(settings, **chosen) as app:
        until(lambda: answer(app.port, "/api/health"), lambda status: status == 200)
        url = f"http://127.0.0.1:{app.port}"
        Caller(url, sign_in).leave_after_the_first_piece("hello")
    with serving(settings) as server:
        ada = Caller(server.url, sign_in)
        assert ada.messages() == [("user", "hello", [])]
        [conversation] = ada.http.get("/api/conversations").json()
        assert said(ada.say("are you there?", conversation["id"])) == "Hello again!"
        assert [role for role, _, _ in ada.messages()] == ["user", "user", "assistant"]


@pytest.mark.parametrize(
    ("meanwhile", "reason"),
    [("DELETE FROM conversation", DELETED), ("DROP TABLE message", FAILED)],
)
def test_an_answer_that_cannot_be_kept_says_so(
    ada: Caller,
    settings: Settings,
    server: Server,
    provider: Provider,
    meanwhile: str,
    reason: str,
) -> None:
    provider.replies = [Wait(("Hel",), ("lo!",))]
    told = ""
    with ada.http.stream("POST", "/api/chat", json={"message": "hello"}) as stream:
        for text in stream.iter_text():
            told += text
            if "event: delta" in told and not provider.go_on.is_set():
                server.sql(meanwhile, settings.postgres_db)
                provider.go_on.set()
    assert events(told)[-1] == ("error", {"message": reason})
    assert "relation" not in told
