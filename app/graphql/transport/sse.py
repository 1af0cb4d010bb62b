"""Server-sent events: one operation's payloads in one response, as graphql-sse's distinct connections have them."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Protocol

import orjson
from starlette.types import Receive, Send

from app.graphql.transport.streams import EventStream, StreamFailedError

COMPLETE = b"event: complete\ndata: \n\n"
KEEP_ALIVE = b":\n\n"
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold the events back
]


class Write(Protocol):
    """Sends a piece of the body; raises TimeoutError when the client does not read."""

    async def __call__(self, body: bytes, *, more: bool = True) -> None: ...


class EventResponses:
    """Serves streams, and ends all of them when the server stops: an open response would hold up its exit."""

    def __init__(self, *, keep_alive_seconds: float = 12.0, stall_seconds: float = 10.0) -> None:
        self._keep_alive_seconds = keep_alive_seconds
        self._stall_seconds = stall_seconds
        self._open: set[asyncio.Task[None]] = set()

    async def serve(self, stream: EventStream | AsyncGenerator[bytes, None], receive: Receive, send: Send) -> None:
        """Sends payloads until the stream ends, the client leaves or stops reading, or the server stops."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        write = self._writer(send)
        tasks = [asyncio.create_task(work) for work in (_pump(stream, write), self._pulse(write), _left(receive))]
        self._open.update(tasks)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            self._open.difference_update(tasks)
            await stream.aclose()
        for outcome in outcomes:
            # A client that stopped reading is no failure of ours: returning makes the server drop the connection.
            if isinstance(outcome, Exception) and not isinstance(outcome, TimeoutError):
                raise outcome

    async def close(self) -> None:
        """Ends every open stream; clients reconnect elsewhere."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _writer(self, send: Send) -> Write:
        lock = asyncio.Lock()
        is_open = True

        async def write(body: bytes, *, more: bool = True) -> None:
            nonlocal is_open
            async with lock, asyncio.timeout(self._stall_seconds):
                if is_open:
                    is_open = more
                    await send({"type": "http.response.body", "body": body, "more_body": more})

        return write

    async def _pulse(self, write: Write) -> None:
        while True:
            await write(KEEP_ALIVE)
            await asyncio.sleep(self._keep_alive_seconds)


async def _pump(stream: EventStream | AsyncGenerator[bytes, None], write: Write) -> None:
    try:
        async for payload in stream:
            await write(b"event: next\ndata: " + payload + b"\n\n")
    except StreamFailedError as failure:
        await write(b"event: next\ndata: " + orjson.dumps({"errors": [failure.error]}) + b"\n\n")
    await write(COMPLETE, more=False)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
