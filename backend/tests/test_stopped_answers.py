"""A person stops an answer: through any replica, and from then on it changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from mcp import Client

from app import conversation_store, mcp_server
from app.answer import STOPPED
from app.database import open_session
from app.settings import Settings
from tests.asked import Asked, asked, until_held_up
from tests.caller import Caller
from tests.conftest import Server, serving_app
from tests.person import Person
from tests.provider import Provider, Say, Use, Wait, providing
from tests.serving import serving
from tests.sign_in import SignIn
from tests.sse import events, of, said


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as served:
        yield served


def test_an_answer_is_stopped_through_another_replica(
    settings: Settings, provider: Provider, sign_in: SignIn
) -> None:
    chosen = {"openai_api_key": "sk-secret", "openai_base_url": provider.url}
    settings = Settings.model_validate(settings.model_dump() | chosen)
    # What the model would say and do after the stop is never asked for.
    provider.replies = [Use("add_task", '{"title": "milk"}'), Wait(("And ",), ("more",))]
    told = ""
    with serving(settings) as first, serving(settings) as second:
        ada = Caller(first.url, sign_in)
        with ada.http.stream("POST", "/api/chat", json={"message": "add a lot"}) as stream:
            for text in stream.iter_text():
                told += text
                if "event: delta" in told and "event: error" not in told:
                    [(_, asked), *_] = events(told)
                    path = f"/api/conversations/{asked['id']}/messages/{asked['message_id']}/stop"
                    stopped = Caller(second.url, sign_in).http.post(path)
                    assert stopped.status_code == 204
        assert not provider.go_on.is_set()
        assert events(told)[-1] == ("error", {"message": STOPPED})
        tools = [{"name": "add_task", "arguments": {"title": "milk"}}]
        assert ada.messages() == [
            ("user", "add a lot", []),
            ("assistant", f"And\n\n{STOPPED}", tools),
        ]
        assert [task["title"] for task in ada.http.get("/api/tasks").json()] == ["milk"]
        # And the conversation goes on.
        provider.replies = [Say(("Hello!",))]
        assert said(ada.say("hello", asked["id"])) == "Hello!"


@pytest.mark.parametrize("end", [Asked.stop, Asked.delete], ids=["stopped", "deleted"])
def test_no_tool_of_an_answer_that_is_not_wanted_does_anything(
    settings: Settings, end: Callable[[Asked], Awaitable[None]]
) -> None:
    async def use() -> None:
        async with asked(settings) as question:
            with mcp_server.acting_as("ada", asked=question.message):
                server = mcp_server.build(question.engine)
                async with Client(server, mode="legacy") as client:
                    added = await client.call_tool("add_task", {"title": "milk"})
                    assert not added.is_error
                    assert added.structured_content is not None
                    number = {"task_id": added.structured_content["id"]}
                    await end(question)
                    for tool, arguments in [
                        ("add_task", {"title": "bread"}),
                        ("list_tasks", {}),
                        ("update_task", number | {"title": "bread"}),
                        ("complete_task", number),
                        ("delete_task", number),
                    ]:
                        refused = await client.call_tool(tool, arguments)
                        assert refused.is_error, tool
                        assert "The person has stopped this answer." in str(refused.content)
            assert await question.titles() == ["milk"]

    with serving_app(settings):
        asyncio.run(use())


def test_a_stop_waits_for_what_is_just_being_changed(settings: Settings, server: Server) -> None:
    """So whoever was told that the answer is stopped sees all that it has done."""

    async def use() -> None:
        async with asked(settings) as question:
            async with open_session(question.engine) as database:
                wanted = await conversation_store.is_wanted(
                    database, "ada", question.message, hold=True
                )
                assert wanted
                stopping = asyncio.create_task(question.stop())
                await until_held_up(settings, server, stopping)
                await database.commit()
            await stopping
            async with open_session(question.engine) as database:
                wanted = await conversation_store.is_wanted(database, "ada", question.message)
                assert not wanted

    with serving_app(settings):
        asyncio.run(use())


@pytest.mark.parametrize(("conversation", "message"), [("same", 2**63), ("same", 0), (2**63, 1)])
def test_what_is_no_message_of_the_person_cannot_be_stopped(
    ada: Person, conversation: int | str, message: int
) -> None:
    [(_, began), *_] = told = events(ada.post("/api/chat", json={"message": "help"}).text)
    here = began["id"] if conversation == "same" else conversation
    path = "/api/conversations/{}/messages/{}/stop"
    assert ada.post(path.format(here, message)).status_code == 404
    # Nor an answer, nor a message by another conversation's number.
    [done] = of(told, "done")
    assert ada.post(path.format(began["id"], done["message_id"])).status_code == 404
    assert ada.post(path.format(began["id"] + 1, began["message_id"])).status_code == 404


def test_an_answer_that_was_stopped_can_be_tried_again(ada: Person) -> None:
    [(_, began), *_] = events(ada.post("/api/chat", json={"message": "add milk"}).text)
    path = f"/api/conversations/{began['id']}/messages/{began['message_id']}/stop"
    assert ada.post(path).status_code == 204
    again = {"thread_id": str(began["id"]), "item_id": str(began["message_id"])}
    answer = ada.post("/chatkit", json={"type": "threads.retry_after_item", "params": again})
    assert "Added “milk”." in answer.text
    assert len(ada.get("/api/tasks").json()) == 2
