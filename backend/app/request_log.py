"""Gives each request an id and logs how it went; the outermost layer of the application.

It logs no query, header or body: they hold what users write and what they sign in with.
"""

import json
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.logs import request_id

log = logging.getLogger(__name__)

# Asked every few seconds by Kubernetes; a line for each would bury the rest.
QUIET = "/api/health"

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class RequestLog:
    """Takes the id from X-Request-Id when that is well-formed, and answers with it. What nobody
    else caught becomes a logged traceback and a 500 that shows nothing but the id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        current = _id(Headers(scope=scope).get("X-Request-Id"))
        token = request_id.set(current)
        began = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = current
            await send(message)

        try:
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                log.exception("a request failed")
                if status is not None:
                    # The answer has begun; only a connection that breaks off can take it back.
                    raise
                await _answer_500(send_with_id)
        finally:
            if not scope["path"].startswith(QUIET):
                log.info(
                    "request",
                    extra={
                        "method": scope["method"],
                        "path": scope["path"],
                        "status": status,
                        "milliseconds": round((time.perf_counter() - began) * 1000, 1),
                    },
                )
            request_id.reset(token)


def _id(given: str | None) -> str:
    return given if given is not None and _WELL_FORMED.fullmatch(given) else uuid.uuid4().hex


async def _answer_500(send: Send) -> None:
    body = json.dumps({"detail": "Something went wrong here"}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
