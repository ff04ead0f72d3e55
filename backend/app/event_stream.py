"""An answer of the type text/event-stream, which reaches its reader piece by piece."""

from collections.abc import AsyncIterable

from starlette.responses import StreamingResponse


class EventStream(StreamingResponse):
    def __init__(self, events: AsyncIterable[str | bytes]) -> None:
        # Proxies that gather an answer before they pass it on would make it no stream.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers, media_type="text/event-stream")
