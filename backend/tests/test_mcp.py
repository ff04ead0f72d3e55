"""The MCP server as a client of the protocol finds it: the SDK's own, over HTTP on loopback."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult

from app.settings import Settings
from tests.conftest import KEY, KEY_USER, Server, settings_for_new_database
from tests.process import answer, running
from tests.serving import serving
from tests.sign_in import ORIGIN, SignIn
from tests.waiting import DEADLINE_SECONDS, until

TOOLS = ["add_task", "complete_task", "delete_task", "list_tasks", "update_task"]
# The handshake that clients of today begin with, and the newest protocol's way without one.
MODES = ["legacy", "auto"]


class Alternating(httpx2.AsyncHTTPTransport):
    """Sends each request to the next of several servers, as a load balancer does."""

    def __init__(self, ports: list[int]) -> None:
        super().__init__()
        self._next = itertools.cycle(ports)
        self.sent: list[int] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        port = next(self._next)
        request.url = request.url.copy_with(port=port)
        self.sent.append(port)
        return await super().handle_async_request(request)


@asynccontextmanager
async def connected(
    url: str,
    bearer: str,
    mode: str = "auto",
    transport: httpx2.AsyncHTTPTransport | None = None,
) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {bearer}"}
    async with (
        httpx2.AsyncClient(headers=headers, transport=transport, timeout=DEADLINE_SECONDS) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def given(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def titles(client: Client, **wanted: object) -> list[str]:
    listed = given(await client.call_tool("list_tasks", wanted))
    return [task["title"] for task in listed["tasks"]]


@pytest.fixture(scope="module")
def url(server: Server, sign_in: SignIn) -> Iterator[str]:
    """One server for the tests that each bring users of their own."""
    with serving(settings_for_new_database(server, sign_in)) as served:
        yield served.url


@pytest.fixture
def ada(sign_in: SignIn) -> str:
    """The token of somebody who has nothing yet."""
    return sign_in.token(f"ada-{uuid.uuid4().hex}")


@pytest.fixture
def grace(sign_in: SignIn) -> str:
    return sign_in.token(f"grace-{uuid.uuid4().hex}")


@pytest.mark.parametrize("mode", MODES)
def test_a_task_from_adding_to_deleting(url: str, ada: str, mode: str) -> None:
    async def use() -> None:
        async with connected(url, ada, mode) as client:
            assert sorted(tool.name for tool in (await client.list_tools()).tools) == TOOLS
            wanted = {"title": " milk ", "due": "2030-01-31", "priority": "high"}
            added = given(await client.call_tool("add_task", wanted))
            assert added | wanted | {"title": "milk", "completed": False} == added
            mine = {"task_id": added["id"]}
            changed = given(await client.call_tool("update_task", mine | {"title": "oat milk"}))
            assert changed == added | {"title": "oat milk"}
            bare = {"remove_due": True, "priority": "low"}
            changed = given(await client.call_tool("update_task", mine | bare))
            assert (changed["due"], changed["priority"]) == (None, "low")
            done = given(await client.call_tool("complete_task", mine))
            assert done == changed | {"completed": True}
            assert await titles(client, completed=True) == ["oat milk"]
            assert await titles(client, completed=False) == []
            reopened = await client.call_tool("complete_task", mine | {"completed": False})
            assert given(reopened) == changed
            assert given(await client.call_tool("delete_task", mine)) == changed
            assert await titles(client) == []

    asyncio.run(use())


def test_list_tasks_filters_searches_and_sorts(url: str, ada: str) -> None:
    async def use() -> None:
        async with connected(url, ada) as client:
            for title, due, priority in [
                ("milk", "2030-01-03", "low"),
                ("Oat milk", "2030-01-01", "high"),
                ("rent", None, "medium"),
            ]:
                task = {"title": title, "due": due, "priority": priority}
                given(await client.call_tool("add_task", task))
            assert await titles(client, query="MILK") == ["milk", "Oat milk"]
            assert await titles(client, sort="due", order="desc") == ["milk", "Oat milk", "rent"]
            assert await titles(client, priority="medium") == ["rent"]
            assert await titles(client, due_from="2030-01-02") == ["milk"]
            assert await titles(client, due_until="2030-01-02") == ["Oat milk"]
            some = given(await client.call_tool("list_tasks", {"limit": 2}))
            assert (len(some["tasks"]), some["more"]) == (2, True)
            every = given(await client.call_tool("list_tasks", {"limit": 3}))
            assert (len(every["tasks"]), every["more"]) == (3, False)

    asyncio.run(use())


def test_no_tool_takes_a_user(url: str, ada: str, grace: str) -> None:
    async def use() -> None:
        async with connected(url, ada) as client:
            for tool in (await client.list_tools()).tools:
                assert not [name for name in tool.input_schema["properties"] if "user" in name]
            # One that is named all the same counts for nothing.
            await client.call_tool("add_task", {"title": "milk", "user_id": "grace"})
            assert await titles(client, user_id="grace") == ["milk"]
        async with connected(url, grace) as client:
            assert await titles(client) == []

    asyncio.run(use())


OTHERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "update_task": lambda task_id: {"task_id": task_id, "title": "theirs"},
    "complete_task": lambda task_id: {"task_id": task_id},
    "delete_task": lambda task_id: {"task_id": task_id},
    "list_tasks": lambda _: {},
    "add_task": lambda _: {"title": "theirs"},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_nobody_reaches_anothers_tasks_by_a_tool(url: str, ada: str, grace: str, tool: str) -> None:
    async def use() -> None:
        async with (
            connected(url, ada) as owner,
            connected(url, grace) as other,
        ):
            mine = given(await owner.call_tool("add_task", {"title": "mine"}))
            result = await other.call_tool(tool, OTHERS[tool](mine["id"]))
            assert "mine" not in str(result)
            assert result.is_error is (tool not in {"list_tasks", "add_task"})
            listed = given(await owner.call_tool("list_tasks", {}))
            assert listed == {"tasks": [mine], "more": False}

    asyncio.run(use())


def test_users_that_call_at_the_same_time_stay_apart(url: str, sign_in: SignIn) -> None:
    async def add_some(user: str) -> list[str]:
        async with connected(url, sign_in.token(user)) as client:
            tasks = [{"title": f"{user} {number}"} for number in range(5)]
            await asyncio.gather(*(client.call_tool("add_task", task) for task in tasks))
            return sorted(await titles(client))

    async def use() -> None:
        users = ["ada", "grace", "joan"]
        found = await asyncio.gather(*(add_some(user) for user in users))
        for user, listed in zip(users, found, strict=True):
            assert listed == [f"{user} {number}" for number in range(5)]

    asyncio.run(use())


@pytest.mark.parametrize("mode", MODES)
def test_two_processes_share_nothing_but_the_database(
    settings: Settings, ada: str, mode: str
) -> None:
    async def use(ports: list[int]) -> None:
        transport = Alternating(ports)
        url = f"http://127.0.0.1:{ports[0]}"
        async with connected(url, ada, mode, transport) as client:
            for number in range(3):
                given(await client.call_tool("add_task", {"title": f"task {number}"}))
            listed = given(await client.call_tool("list_tasks", {}))["tasks"]
            assert [task["title"] for task in listed] == ["task 0", "task 1", "task 2"]
            for task in listed:
                given(await client.call_tool("complete_task", {"task_id": task["id"]}))
            assert await titles(client, completed=False) == []
        one, other = (transport.sent.count(port) for port in ports)
        assert other >= 4
        assert one - other in {0, 1}

    with running(settings) as one, running(settings) as other:
        ports = [one.port, other.port]
        for port in ports:
            until(partial(answer, port, "/api/health"), lambda status: status == 200)
        asyncio.run(use(ports))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "title"),
        ({"title": " "}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"title": "milk", "priority": "urgent"}, "priority"),
        ({"title": "milk", "due": "tomorrow"}, "due"),
    ],
)
def test_arguments_that_are_none_are_refused(
    url: str, ada: str, arguments: dict[str, str], reason: str
) -> None:
    async def use() -> None:
        async with connected(url, ada) as client:
            result = await client.call_tool("add_task", arguments)
            assert (result.is_error, reason in str(result.content)) == (True, True)
            assert await titles(client) == []

    asyncio.run(use())


@pytest.mark.parametrize("task_id", [0, -1, 7, 2**63, 2**200])
def test_a_number_that_is_no_tasks_is_said_to_be_none(url: str, ada: str, task_id: int) -> None:
    async def use() -> None:
        async with connected(url, ada) as client:
            result = await client.call_tool("delete_task", {"task_id": task_id})
            assert result.is_error
            assert "There is no task with the id" in str(result.content)

    asyncio.run(use())


def test_what_breaks_inside_is_not_told(settings: Settings, ada: str, server: Server) -> None:
    async def use(url: str) -> None:
        async with connected(url, ada) as client:
            result = await client.call_tool("add_task", {"title": "milk"})
            assert result.is_error
            assert str(result.content).count("Error executing tool add_task") == 1
            assert "relation" not in str(result.content)

    with serving(settings) as serves:
        server.sql("DROP TABLE task", settings.postgres_db)
        asyncio.run(use(serves.url))


def initialize(url: str, bearer: str, **headers: str) -> httpx2.Response:
    """The handshake, by hand."""
    parameters = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "by hand", "version": "1"},
    }
    return httpx2.post(
        f"{url}/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": parameters},
        headers={
            "Authorization": f"Bearer {bearer}",
            "Accept": "application/json, text/event-stream",
        }
        | headers,
        timeout=DEADLINE_SECONDS,
    )


def test_the_key_acts_for_the_default_user(url: str, sign_in: SignIn) -> None:
    async def use() -> None:
        async with connected(url, KEY) as client:
            await client.call_tool("add_task", {"title": "by key"})
        async with connected(url, sign_in.token(KEY_USER)) as client:
            assert await titles(client) == ["by key"]

    asyncio.run(use())


@pytest.mark.parametrize(
    "changed",
    [{"mcp_api_key": None}, {"mcp_default_user_id": None}],
    ids=["no key", "no default user"],
)
def test_the_key_and_its_user_count_only_together(
    settings: Settings, changed: dict[str, None]
) -> None:
    with serving(Settings.model_validate(settings.model_dump() | changed)) as server:
        assert initialize(server.url, KEY).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        # Whatever name the service has in a cluster.
        ({"Host": "todo-backend:8000"}, 200),
        ({"Host": "release-todo-chatbot-backend.shop.svc.cluster.local"}, 200),
        ({"Origin": ORIGIN}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
    ],
)
def test_who_may_call(url: str, headers: dict[str, str], status: int) -> None:
    assert initialize(url, KEY, **headers).status_code == status


def test_a_browsers_client_may_send_what_the_protocol_has(url: str) -> None:
    asked = "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version"
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
    }
    assert httpx2.options(f"{url}/mcp", headers=headers).status_code == 200


def test_there_is_no_session_and_each_answer_is_json(url: str) -> None:
    answer = initialize(url, KEY)
    assert answer.headers["Content-Type"] == "application/json"
    assert "Mcp-Session-Id" not in answer.headers
    headers = {"Authorization": f"Bearer {KEY}", "Accept": "text/event-stream"}
    assert httpx2.get(f"{url}/mcp", headers=headers).status_code == 405
    assert httpx2.delete(f"{url}/mcp", headers=headers).status_code == 405
