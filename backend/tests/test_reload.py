"""What a page learns that is loaded while an answer is being made, from whichever replica."""

import asyncio
from collections.abc import Iterator

import pytest

from app import conversation_store
from app.conversation_store import ANSWER_SECONDS, KEEP_SECONDS
from app.database import connect, open_session
from app.settings import Settings
from tests.caller import Caller
from tests.conftest import Server
from tests.provider import Provider, Say, Wait, providing
from tests.serving import Serving, serving
from tests.sign_in import SignIn
from tests.waiting import until


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as served:
        yield served


@pytest.fixture
def settings(settings: Settings, provider: Provider) -> Settings:
    chosen = {"openai_api_key": "sk-secret", "openai_base_url": provider.url}
    return Settings.model_validate(settings.model_dump() | chosen)


@pytest.fixture
def other(settings: Settings, provider: Provider, sign_in: SignIn) -> Iterator[Serving]:
    """A replica at which nobody has asked anything, while an answer is made by another one."""
    provider.replies = [Wait(("Hel",), ("lo!",))]
    with serving(settings) as first, serving(settings) as second:
        Caller(first.url, sign_in).leave_after_the_first_piece("hello")
        yield second


def answering(person: Caller) -> list[tuple[str, bool]]:
    [conversation] = person.http.get("/api/conversations").json()
    found = person.http.get(f"/api/conversations/{conversation['id']}/messages").json()
    return [(message["role"], message["answering"]) for message in found]


def test_the_answer_that_is_being_made_is_expected_until_it_is_there(
    other: Serving, provider: Provider, sign_in: SignIn
) -> None:
    ada = Caller(other.url, sign_in)
    assert answering(ada) == [("user", True)]
    provider.go_on.set()
    found = until(lambda: answering(ada), lambda found: len(found) == 2)
    assert found == [("user", False), ("assistant", False)]


def test_an_answer_that_was_stopped_is_expected_until_it_is_kept_as_far_as_it_came(
    other: Serving, sign_in: SignIn
) -> None:
    ada = Caller(other.url, sign_in)
    stop(ada)
    found = until(lambda: answering(ada), lambda found: not any(waits for _, waits in found))
    assert found == [("user", False), ("assistant", False)]


@pytest.mark.parametrize(
    ("seconds", "stopped"),
    [(ANSWER_SECONDS + KEEP_SECONDS, False), (KEEP_SECONDS, True)],
    ids=["left", "stopped"],
)
def test_an_answer_that_nobody_makes_any_more_is_not_expected(
    settings: Settings, server: Server, sign_in: SignIn, seconds: int, stopped: bool
) -> None:
    """As after a process that was killed: its time is over, and nothing was kept."""

    async def ask() -> None:
        engine = connect(settings.database)
        async with open_session(engine) as database:
            number = (await conversation_store.begin(database, "ada", "hello")).id or 0
            await conversation_store.add_question(database, "ada", number, "hello")
        await engine.dispose()

    with serving(settings) as replica:
        asyncio.run(ask())
        ada = Caller(replica.url, sign_in)
        if stopped:
            stop(ada)
        assert answering(ada) == [("user", True)]
        later = (
            f"UPDATE message SET answering_until = answering_until - interval '{seconds} seconds'"  # noqa: S608
        )
        server.sql(later, settings.postgres_db)
        assert answering(ada) == [("user", False)]


def test_of_two_questions_each_is_answered_until_its_own_answer_is_there(
    settings: Settings, provider: Provider, sign_in: SignIn
) -> None:
    """As with two pages that show one conversation."""
    provider.replies = [Wait(("Hel",), ("lo!",)), Say(("Yes.",))]
    with serving(settings) as replica:
        ada = Caller(replica.url, sign_in)
        ada.leave_after_the_first_piece("hello")
        [conversation] = ada.http.get("/api/conversations").json()
        ada.say("are you there?", conversation["id"])
        assert answering(ada) == [("user", True), ("user", False), ("assistant", False)]
        provider.go_on.set()
        until(lambda: answering(ada), lambda found: not any(waits for _, waits in found))


def test_a_question_that_is_asked_again_is_being_answered_however_old_it_is(
    settings: Settings, provider: Provider, server: Server, sign_in: SignIn
) -> None:
    provider.replies = [Say(("Hello!",)), Wait(("Hel",), ("lo!",))]
    with serving(settings) as replica:
        ada = Caller(replica.url, sign_in)
        [(_, asked), *_] = ada.say("hello")
        server.sql("UPDATE message SET created_at = now() - interval '1 day'", settings.postgres_db)
        again = {"thread_id": str(asked["id"]), "item_id": str(asked["message_id"])}
        request = {"type": "threads.retry_after_item", "params": again}
        with ada.http.stream("POST", "/chatkit", json=request) as answer:
            next(line for line in answer.iter_lines() if "text_delta" in line)
            assert answering(ada)[0] == ("user", True)
        provider.go_on.set()
        until(lambda: answering(ada), lambda found: not any(waits for _, waits in found))


def stop(person: Caller) -> None:
    [conversation] = person.http.get("/api/conversations").json()
    [asked] = person.http.get(f"/api/conversations/{conversation['id']}/messages").json()
    path = f"/api/conversations/{conversation['id']}/messages/{asked['id']}/stop"
    assert person.http.post(path).status_code == 204
