"""One attempt in the embedded engine: a thread does its work, the event loop waits for it and stops it."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import duckdb

from app.engines.base import EngineError, EngineLogLine, Work, WorkState
from app.engines.embedded.databases import Session
from app.engines.embedded.results import CsvResult
from app.engines.embedded.scratch import JobFolder

_QUICK = timedelta(milliseconds=250)  # work that ends within it wakes its poll once, with the whole log
_INTERRUPT_AGAIN = 0.02  # seconds; an interrupt between two statements of a job hits nothing


class CancelledJobError(Exception):
    """The job was asked to stop."""


class Job:
    """Written by its thread, read by the event loop; its folder lies in `scratch`."""

    def __init__(self, work: Work, *, scratch: Path) -> None:
        self.id = str(uuid4())
        self.work = work
        self.folder = JobFolder(scratch / self.id)
        self.state = WorkState.RUNNING
        self.error: EngineError | None = None
        self.result: CsvResult | None = None
        self.cancelled = threading.Event()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._guard = threading.Lock()
        self._ended = asyncio.Event()
        self._logged = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        self._lines: deque[EngineLogLine] = deque()

    def log(self, text: str) -> None:
        self._lines.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text=text))
        if time.monotonic() - self._started > _QUICK.total_seconds():
            self._tell(self._logged)

    def take_log(self) -> list[EngineLogLine]:
        self._logged.clear()
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def proceed(self) -> None:
        """Raises: CancelledJobError."""
        if self.cancelled.is_set():
            raise CancelledJobError

    @contextmanager
    def using(self, session: Session) -> Iterator[None]:
        """Be interruptible while the session is this job's; an interrupt that comes late must not hit its next user."""
        with self._guard:
            self._connection = session.connection
        try:
            yield
        finally:
            with self._guard:
                self._connection = None
                session.reusable = not self.cancelled.is_set()

    def succeed(self, result: CsvResult) -> None:
        self.result = result
        self._end(WorkState.SUCCEEDED)

    def fail(self, error: EngineError | None) -> None:
        """That it was cancelled outweighs what came of that."""
        self.folder.remove()
        if error is None or self.cancelled.is_set():
            self._end(WorkState.CANCELLED)
        else:
            self.error = error
            self._end(WorkState.FAILED)

    async def wait(self, limit: timedelta) -> None:
        """Until the end; for work that takes longer than a moment, until there is something in the log."""
        first = min(limit, _QUICK)
        if await _set_within(self._ended, first) or self._lines or limit <= first:
            return
        waits = {asyncio.ensure_future(event.wait()) for event in (self._ended, self._logged)}
        await asyncio.wait(waits, timeout=(limit - first).total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def interrupt(self) -> None:
        """Stop whatever statement runs, until the thread has noticed."""
        while self.state is WorkState.RUNNING:
            with self._guard:
                if self._connection is not None:
                    self._connection.interrupt()
            await asyncio.sleep(_INTERRUPT_AGAIN)

    def _end(self, state: WorkState) -> None:
        self.state = state
        self._tell(self._ended)

    def _tell(self, event: asyncio.Event) -> None:
        try:
            self._loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # the loop has gone; nobody polls any more
            return


async def _set_within(event: asyncio.Event, limit: timedelta) -> bool:
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False
