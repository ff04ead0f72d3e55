"""The application on a real port of loopback, in a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import uvicorn

from app.main import create_app
from app.settings import Settings
from tests.waiting import until


class Serving(uvicorn.Server):
    """Serves in a thread, at `url`, until told to end."""

    def __init__(self, settings: Settings) -> None:
        # Only one that ends a failing process would want to know of the failure.
        app = create_app(settings, on_failure=lambda: None)
        config = uvicorn.Config(
            app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        super().__init__(config)
        self.app = app
        self._thread = threading.Thread(target=self.run)

    @property
    def url(self) -> str:
        port = self.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def begin(self) -> None:
        self._thread.start()
        until(lambda: self.started, bool)
        until(lambda: httpx2.get(f"{self.url}/api/health").status_code, lambda got: got == 200)

    def end(self) -> None:
        self.should_exit = True
        self._thread.join()


@contextmanager
def serving(settings: Settings) -> Iterator[Serving]:
    server = Serving(settings)
    server.begin()
    try:
        yield server
    finally:
        server.end()
