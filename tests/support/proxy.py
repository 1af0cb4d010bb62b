"""A TCP proxy between the platform and a server of the tests: it forwards, and on command it cuts, delays or goes deaf.

It runs in a thread of its own, so that a test which waits for something else does not hold it up.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum, auto
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.support.processes import free_port

READ_BYTES = 64 * 1024
SLICE = 0.01  # seconds between two pieces where the rate is limited
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for no time at all: the other side gets RST
COMMIT = b"\x03COMMIT"  # the packet of a COMMIT in the protocol of MariaDB

Result = TypeVar("Result")


class Moment(StrEnum):
    """When the connection is cut that carries a request one waits for."""

    BEFORE = auto()  # the server never hears of it
    HALFWAY = auto()  # it hears half of it
    UNANSWERED = auto()  # it has done it, and the answer is lost
    HALF_ANSWERED = auto()  # it has done it, and half of the answer arrives


@dataclass(kw_only=True)
class Trap:
    """Cuts the connection of `times` requests in which the bytes occur, after it has spared some of them."""

    needle: bytes
    moment: Moment
    times: int
    spare: int


class Connection:
    """One client's connection, and the proxy's own to the server behind it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.writers = (client, server)
        self.moment: Moment | None = None  # of a trapped request whose answer is on its way

    def cut(self, *, reset: bool) -> None:
        for writer in self.writers:
            if reset:
                raw = writer.get_extra_info("socket")
                with suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """Listens on `port` of the loopback; every command is thread-safe and takes effect at once."""

    host = "127.0.0.1"

    def __init__(self, *, upstream_port: int) -> None:
        self.port = free_port()
        self.accepted = self.cuts = 0
        self._upstream_port = upstream_port
        self._delay = 0.0
        self._rate: float | None = None  # bytes a second, each way
        self._deaf = False
        self._traps: list[Trap] = []
        self._connections: set[Connection] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy {self.port}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(self._listen())
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # ---- commands

    def cut(self, *, reset: bool = True) -> int:
        """End all connections, by RST or else by FIN; gives how many there were. New ones are accepted."""
        return self._tell(lambda: self._cut_all(reset=reset))

    def trap(self, needle: bytes, moment: Moment, *, times: int = 1, spare: int = 0) -> Trap:
        """Cut the connection at this moment of the next requests in which the bytes occur, but for some first ones."""
        trap = Trap(needle=needle, moment=moment, times=times, spare=spare)
        self._tell(lambda: self._traps.append(trap))
        return trap

    def disarm(self) -> None:
        """Take away the traps that nothing has gone into."""
        self._tell(self._traps.clear)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Inside the `with` every connection is cut, and new ones are refused, as of a host whose server is down."""
        self._tell(self._server.close)
        self.cut()
        try:
            yield
        finally:
            self._server = self._run(self._listen())

    @contextmanager
    def blackhole(self) -> Iterator[None]:
        """Inside the `with` nothing gets through, and nobody is told; what was under way is lost, then all are cut."""
        self._tell(lambda: setattr(self, "_deaf", True))
        try:
            yield
        finally:
            self._tell(lambda: setattr(self, "_deaf", False))
            self.cut()

    @contextmanager
    def slow(self, *, delay: float = 0.0, bytes_per_second: float | None = None) -> Iterator[None]:
        """Inside the `with` every piece takes `delay` seconds longer, and no more gets through than so much."""
        self._tell(lambda: self._pace(delay, bytes_per_second))
        try:
            yield
        finally:
            self._tell(lambda: self._pace(0.0, None))

    # ---- in the thread of the proxy

    def _tell(self, command: Callable[[], Result]) -> Result:
        async def run() -> Result:
            return command()

        return self._run(run())

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _pace(self, delay: float, rate: float | None) -> None:
        self._delay, self._rate = delay, rate

    def _cut_all(self, *, reset: bool) -> int:
        connections, self._connections = self._connections, set()
        for connection in connections:
            connection.cut(reset=reset)
        self.cuts += len(connections)
        return len(connections)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, self.host, self.port)

    async def _close(self) -> None:
        self._server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # what is being accepted, too
        self._cut_all(reset=True)
        for pump in tuple(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(self.host, self._upstream_port)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
            return
        connection = Connection(writer, up_writer)
        self._connections.add(connection)
        for work in (
            self._pump(connection, reader, up_writer, self._request),
            self._pump(connection, up_reader, writer, self._answer),
        ):
            pump = asyncio.create_task(work)
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self,
        connection: Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        inspect: Callable[[Connection, bytes], bytes],
    ) -> None:
        """Carry one direction to its end; `inspect` gives what to forward, which is less where all ends here."""
        try:
            while piece := await reader.read(READ_BYTES):
                if self._delay:
                    await asyncio.sleep(self._delay)
                if self._deaf:
                    continue
                passed = inspect(connection, piece)
                await self._write(writer, passed)
                if len(passed) < len(piece):
                    self._end(connection, reset=not passed)  # a reset might overtake the part that was sent
                    return
        except OSError:
            self._end(connection, reset=True)
        else:
            self._end(connection, reset=False)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        rate = self._rate
        size = max(1, len(data) if rate is None else int(rate * SLICE))
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            if rate is not None:
                await asyncio.sleep(SLICE)

    def _end(self, connection: Connection, *, reset: bool) -> None:
        self._connections.discard(connection)
        connection.cut(reset=reset)

    def _request(self, connection: Connection, piece: bytes) -> bytes:
        """What the server gets of a client's piece: all of it, unless a trap is set for it."""
        trap = next((trap for trap in self._traps if trap.needle in piece), None)
        if trap is None:
            return piece
        if trap.spare:
            trap.spare -= 1
            return piece
        trap.times -= 1
        if trap.times <= 0:
            self._traps.remove(trap)
        self.cuts += 1
        match trap.moment:
            case Moment.BEFORE:
                return b""
            case Moment.HALFWAY:
                return piece[: piece.index(trap.needle) + len(trap.needle) // 2]
            case _:
                connection.moment = trap.moment
                return piece

    def _answer(self, connection: Connection, piece: bytes) -> bytes:
        match connection.moment:
            case Moment.UNANSWERED:
                return b""
            case Moment.HALF_ANSWERED:
                return piece[: len(piece) // 2]
            case _:
                return piece
