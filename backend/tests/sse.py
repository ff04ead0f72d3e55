"""Reads text/event-stream."""

import json
from typing import Any

type Event = tuple[str, Any]


def events(text: str) -> list[Event]:
    """Each event's name and data, without the comments between."""
    found = []
    for block in text.split("\n\n"):
        if block and not block.startswith(":"):
            name, data = block.split("\n")
            found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def said(told: list[Event]) -> str:
    return "".join(data["text"] for name, data in told if name == "delta")


def of(told: list[Event], name: str) -> list[Any]:
    return [data for kind, data in told if kind == name]
