"""Connections to one HiveServer2 and the threads that speak on them; a connection is reused, a session never."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar

from app.engines.base import TransientEngineError
from app.engines.hive.transport import HiveAddress
from app.engines.hive.wire import HiveWire

P = ParamSpec("P")
T = TypeVar("T")

_SPARE_THREADS = 8  # for cancelling and looking while every place's own thread waits for its server


class HiveConnection:
    """One connection; each call runs in a thread, one at a time."""

    def __init__(self, *, wire: HiveWire, threads: ThreadPoolExecutor) -> None:
        self._wire = wire
        self._threads = threads

    @property
    def is_usable(self) -> bool:
        return self._wire.is_usable

    async def call(self, verb: Callable[Concatenate[HiveWire, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises: TransientEngineError, TerminalEngineError."""
        call = asyncio.get_running_loop().run_in_executor(self._threads, lambda: verb(self._wire, *args, **kwargs))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            self.shut()  # which ends the thread's waiting
            call.add_done_callback(_look_away)
            raise

    def shut(self) -> None:
        self._wire.shut()


class HiveConnections:
    """At most `max_size` are lent to work at once, and a few more for a moment by `beside`."""

    def __init__(self, *, address: HiveAddress, max_size: int, max_wait: timedelta, max_idle: timedelta) -> None:
        self.address = address
        self._max_wait = max_wait
        self._max_idle = max_idle.total_seconds()
        self._places = asyncio.Semaphore(max_size)
        self._threads = ThreadPoolExecutor(max_workers=max_size + _SPARE_THREADS, thread_name_prefix="hive")
        self._idle: deque[tuple[HiveConnection, float]] = deque()

    async def acquire(self) -> HiveConnection:
        """A connection with a place. Raises: TransientEngineError, TerminalEngineError."""
        try:
            async with asyncio.timeout(self._max_wait.total_seconds()):
                await self._places.acquire()
        except TimeoutError:
            raise TransientEngineError(
                f"No connection became free within {self._max_wait.total_seconds():g} s; maxSize bounds them.",
                code="TOO_MANY_CONNECTIONS",
            ) from None
        try:
            return await self.connect()
        except BaseException:
            self._places.release()
            raise

    def release(self, connection: HiveConnection) -> None:
        """Give the connection and its place back."""
        self._places.release()
        self.keep(connection)

    async def connect(self) -> HiveConnection:
        """A connection without a place: an idle one, or a new one."""
        self._drop_old()
        while self._idle:
            connection, _ = self._idle.pop()
            if connection.is_usable:
                return connection
            connection.shut()
        making = asyncio.get_running_loop().run_in_executor(self._threads, HiveWire, self.address)
        try:
            wire = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(_shut_late)
            raise
        return HiveConnection(wire=wire, threads=self._threads)

    def keep(self, connection: HiveConnection) -> None:
        if connection.is_usable:
            self._idle.append((connection, asyncio.get_running_loop().time()))
        else:
            connection.shut()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[HiveConnection]:
        """A connection for a moment, whatever the places are taken by."""
        connection = await self.connect()
        try:
            yield connection
        finally:
            self.keep(connection)

    async def close(self) -> None:
        while self._idle:
            self._idle.pop()[0].shut()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _drop_old(self) -> None:
        oldest = asyncio.get_running_loop().time() - self._max_idle
        while self._idle and self._idle[0][1] < oldest:
            self._idle.popleft()[0].shut()


def _look_away(call: "asyncio.Future[Any]") -> None:
    if not call.cancelled():
        call.exception()


def _shut_late(making: "asyncio.Future[HiveWire]") -> None:
    if not making.cancelled() and making.exception() is None:
        making.result().shut()
