"""A person who speaks with the assistant at a URL."""

from typing import Any

import httpx2

from tests.sign_in import SignIn
from tests.sse import Event, events
from tests.waiting import DEADLINE_SECONDS


class Caller:
    """A person at a URL."""

    def __init__(self, url: str, sign_in: SignIn, user: str = "ada") -> None:
        headers = {"Authorization": f"Bearer {sign_in.token(user)}"}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=DEADLINE_SECONDS)

    def say(self, message: str, conversation_id: int | None = None) -> list[Event]:
        body = {"message": message, "conversation_id": conversation_id}
        return events(self.http.post("/api/chat", json=body).text)

    def leave_after_the_first_piece(self, message: str) -> None:
        with self.http.stream("POST", "/api/chat", json={"message": message}) as answer:
            for line in answer.iter_lines():
                if line == "event: delta":
                    return

    def messages(self) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Those of the only conversation."""
        [conversation] = self.http.get("/api/conversations").json()
        found = self.http.get(f"/api/conversations/{conversation['id']}/messages").json()
        return [(message["role"], message["text"], message["tools"]) for message in found]
