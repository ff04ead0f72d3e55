"""An answer of the type text/event-stream, which reaches its reader piece by piece.

Where there is nothing to say for long, a comment is sent: readers ignore it, and neither they nor
the proxies between take the connection for a dead one.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator

from starlette.responses import StreamingResponse

# Of nothing to say. Proxies are patient for a minute, and so is the page.
SILENCE_SECONDS = 15.0
COMMENT = ":\n\n"


class EventStream(StreamingResponse):
    def __init__(self, events: AsyncIterable[str | bytes]) -> None:
        # Proxies that gather an answer before they pass it on would make it no stream.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_kept_awake(events), headers=headers, media_type="text/event-stream")


async def _kept_awake(events: AsyncIterable[str | bytes]) -> AsyncIterator[str | bytes]:
    coming: asyncio.Queue[str | bytes] = asyncio.Queue(maxsize=1)

    async def carry() -> None:
        try:
            async for event in events:
                await coming.put(event)
        finally:
            coming.shutdown()

    # All events are asked for by one task: what makes them may rely on it, as a time limit does.
    carrying = asyncio.create_task(carry(), name="events")
    try:
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    event = await coming.get()
            except TimeoutError:
                yield COMMENT
            except asyncio.QueueShutDown:
                break
            else:
                yield event
        # Raises what kept it from going on.
        await carrying
    finally:
        carrying.cancel()
