"""uvicorn's protocols with an end that always comes: a peer that stops reading is cut off."""

import asyncio
from asyncio.transports import BaseTransport
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

CLOSE_SECONDS = 5.0  # for unsent bytes after a close
STALL_SECONDS = 15.0  # without the peer taking a single byte
OPENING_SECONDS = 30.0  # for the first request's head
TEXT_FRAME = 0x81
MAX_SHORT_BYTES = 125
MAX_MEDIUM_BYTES = 65_535

# The same name as in app.graphql.transport.channel, where the promise is written down; neither package knows the other.
CHANNEL_EXTENSION = "data-phantom.channel"


class FinalTransport:
    """A transport that ends: `close` alone waits for a flush, which a peer can put off for ever."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._abort: asyncio.TimerHandle | None = None
        self._check: asyncio.TimerHandle | None = None
        self._unsent_bytes = 0
        self.write = transport.write  # the one that is called for every message
        self.get_write_buffer_size = transport.get_write_buffer_size
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._transport.close()
        if self._abort is None:
            self._abort = self._loop.call_later(CLOSE_SECONDS, self._transport.abort)

    def watch_stall(self) -> None:
        """Starts to look whether the peer takes anything."""
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._check = self._loop.call_later(STALL_SECONDS, self._abort_if_stalled)

    def unwatch_stall(self) -> None:
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def lost(self) -> None:
        """Forgets the timers: there is nothing left to abort."""
        self.unwatch_stall()
        if self._abort is not None:
            self._abort.cancel()

    def _abort_if_stalled(self) -> None:
        # A slow peer of a long answer is not stalled, though its buffer stays above the mark.
        if self._transport.get_write_buffer_size() >= self._unsent_bytes:
            self._transport.abort()
        else:
            self.watch_stall()


def _final(transport: BaseTransport) -> FinalTransport:
    # An upgraded connection hands its transport on.
    return transport if isinstance(transport, FinalTransport) else FinalTransport(cast("asyncio.Transport", transport))


class HTTPProtocol(HttpToolsProtocol):
    """HTTP/1.1 by httptools."""

    def connection_made(self, transport: BaseTransport) -> None:
        self._final = _final(transport)
        super().connection_made(cast("asyncio.Transport", self._final))
        self._opening = self.loop.call_later(OPENING_SECONDS, self._final.close)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._opening.cancel()
        self._final.lost()

    @property
    def awaits_first_request(self) -> bool:
        """Whether the peer has connected and has said nothing yet, as far as is known."""
        return self.cycle is None

    def on_headers_complete(self) -> None:
        self._opening.cancel()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._final.watch_stall()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._final.unwatch_stall()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """A websocket that is its application's channel as well: see Channel in app.graphql.transport.channel."""

    kind = "websocket"
    _is_congested = False

    def connection_made(self, transport: BaseTransport) -> None:
        self._final = _final(transport)
        self.close_timeout = CLOSE_SECONDS
        super().connection_made(cast("asyncio.Transport", self._final))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._is_congested = False
        self._final.lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_congested = True
        self._final.watch_stall()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_congested = False
        self._final.unwatch_stall()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # else the handshake was refused, and there is no application
            extensions = cast("dict[str, Any]", self.scope["extensions"])
            extensions[CHANNEL_EXTENSION] = self

    def send_receive_event_to_app(self) -> None:
        # uvicorn logs a traceback for text that is not UTF-8, and any client can send that.
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self.frames = []
                self.conn.send_close(1007, "Text has to be UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    @property
    def backlog_bytes(self) -> int:
        return 0 if self.disconnected else self.transport.get_write_buffer_size()

    @property
    def is_congested(self) -> bool:
        return self._is_congested

    @property
    def _is_open(self) -> bool:
        return self.handshake_complete and not (self.close_sent or self.disconnected or self.transport.is_closing())

    def write(self, text: bytes) -> None:
        """Sends one text message, or drops it on a socket that is closed."""
        if self._is_open:
            self.transport.write(self.framed(text))

    def framed(self, text: bytes) -> bytes:
        """Gives one text message as the bytes on the wire."""
        # No extension is negotiated, so the frame is the payload behind its length.
        size = len(text)
        if size <= MAX_SHORT_BYTES:
            return bytes((TEXT_FRAME, size)) + text
        if size <= MAX_MEDIUM_BYTES:
            return bytes((TEXT_FRAME, 126)) + size.to_bytes(2, "big") + text
        return bytes((TEXT_FRAME, 127)) + size.to_bytes(8, "big") + text

    def offer(self, frame: bytes) -> bool:
        """Sends a framed message, or says that the peer has not read enough of what was sent before."""
        # Called for every event and subscriber, so it asks for no more than it must: who subscribes has shaken hands.
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return True
        if self._is_congested:
            return False
        self.transport.write(frame)
        return True

    def close(self, code: int, reason: str) -> None:
        """Sends the close frame at once, congested or not; the application reads a disconnect next."""
        if not self._is_open or self.conn.close_rcvd is not None:
            return
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        if self.is_congested:
            self.transport.close()  # who does not read will not answer the close frame either
        else:
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.close)

    async def drained(self) -> None:
        """Waits until the peer has read most of what was written, or is gone."""
        await self.writable.wait()

    def release(self) -> None:
        """Says that the application is done with the channel; the protocol ends by itself."""
