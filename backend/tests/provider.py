"""A provider of models for the tests: a real HTTP server on loopback that speaks the streaming of
chat completions. It says what it was told to say; what a model would say is not what is tested."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import DEADLINE_SECONDS


@dataclass(frozen=True)
class Say:
    """Pieces of text."""

    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Use:
    """A call of a tool; the arguments as the model writes them."""

    tool: str
    arguments: str


@dataclass(frozen=True)
class Wait:
    """Waits, after its pieces were sent, until the test lets it go on."""

    pieces: tuple[str, ...]
    rest: tuple[str, ...] = ()


@dataclass(frozen=True)
class Break:
    """Ends the connection in the middle, after its pieces."""

    pieces: tuple[str, ...]


@dataclass(frozen=True)
class Refuse:
    """An HTTP error."""

    status: int


type Reply = Say | Use | Wait | Break | Refuse


@dataclass
class Provider:
    """What it will reply, in turn, and what it was asked."""

    url: str
    replies: list[Reply] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)


@contextmanager
def providing() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        # Only chunks let a client tell an end from a connection that broke.
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            provider.paths.append(self.path)
            provider.asked.append(json.loads(body))
            provider.keys.append(self.headers["Authorization"])
            reply = provider.replies.pop(0)
            if isinstance(reply, Refuse):
                self.send_error(reply.status, "internals of the provider")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self._stream(reply)

        def _stream(self, reply: Say | Use | Wait | Break) -> None:
            match reply:
                case Use(tool, arguments):
                    function = {"name": tool, "arguments": arguments}
                    call = {"index": 0, "id": f"call-{len(provider.asked)}", "type": "function"}
                    self._chunk({"tool_calls": [call | {"function": function}]})
                    self._chunk({}, "tool_calls")
                case Say(pieces):
                    self._pieces(pieces)
                    self._chunk({}, "stop")
                case Wait(pieces, rest):
                    self._pieces(pieces)
                    provider.go_on.wait(DEADLINE_SECONDS)
                    self._pieces(rest)
                    self._chunk({}, "stop")
                case Break(pieces):
                    self._pieces(pieces)
                    self.close_connection = True
                    return
            self._send(b"data: [DONE]\n\n")
            self._send(b"")

        def _pieces(self, pieces: tuple[str, ...]) -> None:
            for piece in pieces:
                self._chunk({"content": piece})

        def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> None:
            choice = {"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": finish}
            chunk = {
                "id": "chunk",
                "object": "chat.completion.chunk",
                "created": 0,
                "model": "some-model",
                "choices": [choice],
            }
            self._send(f"data: {json.dumps(chunk)}\n\n".encode())

        def _send(self, data: bytes) -> None:
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                self.wfile.flush()
            except OSError:
                # Whoever asked has gone.
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(f"http://127.0.0.1:{server.server_port}/v1")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield provider
        finally:
            provider.go_on.set()
            server.shutdown()
            thread.join()
