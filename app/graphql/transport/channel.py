"""The sending side of one websocket: whole text messages, how much is still unsent, and an end that always comes."""

import asyncio
from typing import Protocol

from starlette.types import Scope, Send

EXTENSION = "data-phantom.channel"


class Channel(Protocol):
    """What app.web's websocket protocol offers in the scope's extensions under EXTENSION.

    Writing neither waits nor makes a task; ASGI's own send costs three times as much and takes text that must be
    decoded first and encoded again.
    """

    kind: str

    @property
    def backlog_bytes(self) -> int: ...

    @property
    def is_congested(self) -> bool: ...

    def write(self, text: bytes) -> None: ...

    def framed(self, text: bytes) -> bytes:
        """Gives a message in the form that `offer` takes, the same for all channels of a kind."""

    def offer(self, frame: bytes) -> bool:
        """Sends it unless the channel is congested; on a closed one it is dropped, and that is no congestion."""

    def close(self, code: int, reason: str) -> None: ...

    async def drained(self) -> None: ...

    def release(self) -> None: ...


def channel_of(scope: Scope, send: Send) -> Channel:
    """Gives the server's own channel, or one over plain ASGI where another server runs the application."""
    channel: Channel | None = scope.get("extensions", {}).get(EXTENSION)
    return channel if channel is not None else AsgiChannel(send)


class AsgiChannel:
    """A channel over ASGI's send: one task writes what was queued, in order."""

    kind = "asgi"
    HIGH_WATER_BYTES = 65_536

    def __init__(self, send: Send) -> None:
        self._send = send
        self._queue: asyncio.Queue[bytes | tuple[int, str]] = asyncio.Queue()
        self._room = asyncio.Event()
        self._room.set()
        self._is_closed = False
        self.backlog_bytes = 0
        self._task = asyncio.create_task(self._work())

    @property
    def is_congested(self) -> bool:
        return not self._room.is_set()

    def write(self, text: bytes) -> None:
        if self._is_closed:
            return
        self.backlog_bytes += len(text)
        if self.backlog_bytes > self.HIGH_WATER_BYTES:
            self._room.clear()
        self._queue.put_nowait(text)

    def framed(self, text: bytes) -> bytes:
        return text

    def offer(self, frame: bytes) -> bool:
        if self.is_congested:
            return False
        self.write(frame)
        return True

    def close(self, code: int, reason: str) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._queue.put_nowait((code, reason))

    async def drained(self) -> None:
        await self._room.wait()

    def release(self) -> None:
        self._task.cancel()

    async def _work(self) -> None:
        try:
            while isinstance(item := await self._queue.get(), bytes):
                await self._send({"type": "websocket.send", "text": item.decode()})
                self.backlog_bytes -= len(item)
                if self.backlog_bytes <= self.HIGH_WATER_BYTES:
                    self._room.set()
            code, reason = item
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            pass  # the client is gone; the reader learns it by itself
        finally:
            self._is_closed = True
            self._room.set()
