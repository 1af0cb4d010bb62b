"""A connection to SQLite whose statements run in the event loop's own thread.

aiosqlite hands every step of a statement to a thread and back, which costs many times what the statement does: some
eighty changes of thread for each task of a run. Our statements take microseconds, and a commit in WAL mode waits for no
disk; only a lock that another process holds is waited for, and that without blocking.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any

import aiosqlite

PATIENCE = 15.0  # seconds for the lock of another process
PAUSE = 0.005  # between two tries to get it
PRIMARY_CODE = 0xFF  # an extended error code has the primary one in its lowest byte

Step = tuple[asyncio.Future[Any] | None, Callable[[], Any]]


class InlineConnection(aiosqlite.Connection):
    """aiosqlite's connection without its thread: what it would queue is done at once."""

    def __init__(self, path: str) -> None:
        super().__init__(lambda: sqlite3.connect(path, isolation_level=None, timeout=0), iter_chunk_size=64)
        self._tx = Steps()  # type: ignore[assignment]  # as much of a queue as is used

    def __await__(self) -> Generator[Any, None, aiosqlite.Connection]:
        return self._connect().__await__()


class Steps:
    def put_nowait(self, step: Step) -> None:
        self._do(step, give_up_at=monotonic() + PATIENCE)

    def _do(self, step: Step, *, give_up_at: float) -> None:
        future, function = step
        if future is not None and future.done():  # its caller was cancelled
            return
        try:
            result = function()
        except sqlite3.OperationalError as error:
            if _is_busy(error) and future is not None and monotonic() < give_up_at:
                future.get_loop().call_later(PAUSE, lambda: self._do(step, give_up_at=give_up_at))
            elif future is not None:
                future.set_exception(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is for whom awaits the step
            if future is not None:
                future.set_exception(error)
        else:
            if future is not None:
                future.set_result(result)


async def connect(path: str) -> aiosqlite.Connection:
    """Raises: sqlite3.OperationalError."""
    return await InlineConnection(path)


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & PRIMARY_CODE in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
