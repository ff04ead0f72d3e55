"""Stops a server without losing a request of those who keep connections open.

A server that simply closes its idle connections races with a client that is just sending on one.
So, told to stop, this one goes on answering for a while and asks every client to close; clients
that send nothing meanwhile have let go by themselves.
"""

import signal
import time
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Longer than idle connections are kept by the clients that matter: Node's fetch keeps them for 4 s.
IDLE_SECONDS = 5
# For requests that are under way after that.
REQUEST_SECONDS = 15


class Server(uvicorn.Server):
    """Serves an application; SIGTERM drains and ends it, SIGINT ends it at once."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        config = uvicorn.Config(
            self._serve_or_close(app),
            host="0.0.0.0",  # noqa: S104  a container's own network
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=REQUEST_SECONDS,
        )
        super().__init__(config)
        self._drained_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM:
            # Not passed on: it would be raised again at the end, and a stop that was asked for is
            # no failure.
            self._drained_at = self._drained_at or time.monotonic() + IDLE_SECONDS
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._drained_at is not None and time.monotonic() >= self._drained_at:
            self.should_exit = True
        return await super().on_tick(counter)

    def _serve_or_close(self, app: ASGIApp) -> ASGIApp:
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_and_close(message: Message) -> None:
                if message["type"] == "http.response.start" and self._drained_at is not None:
                    headers = [*message.get("headers", []), (b"connection", b"close")]
                    message = {**message, "headers": headers}
                await send(message)

            await app(scope, receive, send_and_close if scope["type"] == "http" else send)

        return serve
