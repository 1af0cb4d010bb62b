"""One piece of work in a session of the server: from its first lengthy statement to the last row of its output."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from app.domain.outputs import OutputColumn
from app.engines.base import (
    EngineError,
    EngineLogLine,
    OutputSink,
    Poll,
    TerminalEngineError,
    TransientEngineError,
    WorkState,
)
from app.engines.hive.connections import HiveConnections
from app.engines.hive.errors import ForgottenError
from app.engines.hive.handles import Operation
from app.engines.hive.session import HiveSession
from app.engines.hive.wire import HiveWire, OperationState

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 10_000  # servers give no more
_ROWS_AT_FIRST = 10  # until it is known how long a row is
_BYTES_AT_ONCE = 4 * 1024 * 1024
_CANCELS = 3  # one may come between two statements, and then it stops nothing
_CANCEL_SECONDS = 2.0
# Spark forgets a cancelling that comes before the query's first job has begun, and the query goes on as CANCELLED; to
# close the operation stops it for good, but only once that job has begun.
_GRACE_SECONDS = 1.5
_PAUSE = 0.05  # between two looks, where the server does not wait itself


class Stop(StrEnum):
    CANCEL = "CANCEL"
    TIMEOUT = "TIMEOUT"


class HiveJob:
    """Follows what runs in the server, from the first poll on; the rows wait there until they are fetched.

    `operation` has begun already. `before` runs after it, the last one of them gives the output; `after` runs once the
    output was fetched. With neither, another process can go on with the work by the operation's text alone; at the
    first poll, when that text was written down, the session is untied from this process.
    """

    def __init__(
        self,
        *,
        connections: HiveConnections,
        session: HiveSession,
        operation: Operation,
        before: Sequence[str] = (),
        after: Sequence[str] = (),
        limit: timedelta | None = None,
    ) -> None:
        self.state = WorkState.RUNNING
        self.is_durable = not before and not after
        self._connections = connections
        self._session = session
        self._operation = operation
        self._before = list(before)
        self._after = list(after)
        self._limit = limit
        self._error: EngineError | None = None
        self._progress: float | None = None
        self._log: list[EngineLogLine] = []
        self._has_log = True
        self._news = asyncio.Event()
        self._still = asyncio.Event()  # set when nothing of this job runs in the server any more
        self._asked = asyncio.Event()  # set when the server was asked to stop
        self._fetching = False
        self._stop: Stop | None = None
        self._was_stopped = False  # by the server, whoever asked for it
        self._stopper: asyncio.Task[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        if limit is not None:
            self._timer = asyncio.get_running_loop().call_later(
                max(0.0, limit.total_seconds()), self._begin_stop, Stop.TIMEOUT
            )

    async def poll(self, wait: timedelta) -> Poll:
        self._ensure_followed()
        if self.state is WorkState.RUNNING and not self._log:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await self._news.wait()
        self._news.clear()
        lines, self._log = self._log, []
        return Poll(state=self.state, error=self._error, progress=self._progress, log=lines)

    async def cancel(self) -> None:
        """Stop the work in the server; returns once the server has been asked."""
        self._begin_stop(Stop.CANCEL)
        if self._stop is not None:
            await self._asked.wait()

    async def fetch(self, sink: OutputSink) -> None:
        """Stream the rows of succeeded work, and run what follows the query that gave them."""
        if self.state is not WorkState.SUCCEEDED or self._fetching:
            raise self._reason(self._error)
        self._fetching = True
        try:
            columns, rows = await self._head()
            await sink.write_rows(columns, self._batches(columns, rows))
            for text in self._after:
                self._check_stop()
                await self._session.ask(HiveWire.close_operation, self._operation)
                self._operation = await self._begin(text)
                await self._follow()
        except EngineError as error:
            raise self._reason(error) from error
        finally:
            await self._let_go()

    async def leave(self) -> None:
        """Let durable work go on without this process, for who has its handle; end what else there is."""
        if not self.is_durable or self._stop is not None or self.state in {WorkState.FAILED, WorkState.CANCELLED}:
            await self.cancel()
            await self._wait()
            return
        with suppress(EngineError):
            await self._session.untie()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._done()
        self._session.leave()

    async def ended(self) -> None:
        """Return when it is known what became of the work."""
        self._ensure_followed()
        while self.state is WorkState.RUNNING:
            await self._news.wait()
            self._news.clear()

    async def _wait(self) -> None:
        self._ensure_followed()
        for task in (self._task, self._stopper):
            if task is not None:
                await asyncio.wait({task})

    def say(self, text: str) -> None:
        self._log.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text=text))
        self._news.set()

    def _ensure_followed(self) -> None:
        if self._task is None and self.state is WorkState.RUNNING:
            self._task = asyncio.create_task(self._run())
            self._task.add_done_callback(self._settle)

    async def _run(self) -> None:
        try:
            if self.is_durable:
                await self._session.untie()
            await self._follow()
            while self._before:
                self._check_stop()
                await self._session.ask(HiveWire.close_operation, self._operation)
                self._operation = await self._begin(self._before.pop(0))
                await self._follow()
            self._check_stop()
        except EngineError as error:
            await self._end(self._reason(error))
        else:
            self.state = WorkState.SUCCEEDED
            self._progress = 1.0 if self._progress is not None else None
            self._news.set()

    async def _begin(self, text: str) -> Operation:
        operation = await self._session.begin(text)
        self._has_log = True
        self.say(f"The next statement runs as operation {operation.key.name}")
        return operation

    async def _follow(self) -> None:
        """Look at the operation until it has ended. Raises: EngineError where it has failed."""
        loop = asyncio.get_running_loop()
        while True:
            asked_at = loop.time()
            status = await self._session.ask(HiveWire.status, self._operation)
            await self._take_log()
            self._progress = status.progress
            match status.state:
                case OperationState.FINISHED:
                    if status.has_rows is not None:
                        self._operation = replace(self._operation, has_rows=status.has_rows)
                    return
                case OperationState.CANCELLED:
                    self._was_stopped = True
                    raise TerminalEngineError("The query was stopped in the server by somebody else.", code="KILLED")
                case OperationState.FAILED:
                    raise status.error or TerminalEngineError("The query failed in the server, which says no more.")
                case OperationState.RUNNING:
                    await asyncio.sleep(max(0.0, _PAUSE - (loop.time() - asked_at)))

    async def _take_log(self) -> None:
        if not self._has_log:
            return
        try:
            lines = await self._session.ask(HiveWire.log, self._operation)
        except TerminalEngineError:  # the server keeps none
            self._has_log = False
            return
        for line in lines:
            self.say(line)

    async def _head(self) -> tuple[tuple[OutputColumn, ...], list[tuple[Any, ...]]]:
        """The columns and the first rows; neither where the statement has no result set."""
        if not self._operation.has_rows:
            return (), []
        columns = await self._session.ask(HiveWire.columns, self._operation)
        # From the first row: a worker that was lost may have fetched some.
        rows = await self._session.ask(HiveWire.fetch, self._operation, columns, first=True, size=_ROWS_AT_FIRST)
        return ((), []) if rows is None else (columns, rows)

    async def _batches(
        self, columns: Sequence[OutputColumn], rows: list[tuple[Any, ...]]
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        while rows:
            self._check_stop()
            yield rows
            size = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // _width(rows)))
            more = await self._session.fetch_once(HiveWire.fetch, self._operation, columns, first=False, size=size)
            rows = more or []
        self._check_stop()

    async def _end(self, error: EngineError) -> None:
        self.state = WorkState.CANCELLED if self._stop is Stop.CANCEL else WorkState.FAILED
        self._error = error if self.state is WorkState.FAILED else None
        self._news.set()
        self._done()
        if self._was_stopped:
            await asyncio.sleep(_GRACE_SECONDS)
            with suppress(EngineError):
                await self._session.ask(HiveWire.close_operation, self._operation)
        await self._let_go()

    async def _let_go(self) -> None:
        self._done()
        await self._session.close()

    def _done(self) -> None:
        self._still.set()
        if self._timer is not None:
            self._timer.cancel()

    def _begin_stop(self, stop: Stop) -> None:
        if self._still.is_set() or self._stop is not None:
            return
        self._stop = stop
        self._stopper = asyncio.create_task(self._stop_in_server())

    async def _stop_in_server(self) -> None:
        if self.state is WorkState.SUCCEEDED and not self._fetching:
            await self._end(self._reason(None))
            self._asked.set()
            return
        for _ in range(_CANCELS):
            with suppress(EngineError):  # the server may be out of reach for a moment, or has ended it by itself
                async with self._connections.beside() as connection:
                    await connection.call(HiveWire.cancel, self._operation)
            self._asked.set()
            self._ensure_followed()
            with suppress(TimeoutError):
                async with asyncio.timeout(_CANCEL_SECONDS):
                    await self._still.wait()
                    return
        self._session.shut()
        if self._task is not None:
            self._task.cancel()

    def _settle(self, task: asyncio.Task[None]) -> None:
        """End work whose task ended without saying how: given up, or by a fault of this code."""
        if self.state is not WorkState.RUNNING:
            return
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            log.error("Running a Hive query failed in an unforeseen way", exc_info=fault)
        unforeseen = TerminalEngineError(
            "The query failed in an unforeseen way; the server's log tells more.", code="INTERNAL"
        )
        stopped = self._stop is Stop.CANCEL or (fault is None and self._stop is None)
        self.state = WorkState.CANCELLED if stopped else WorkState.FAILED
        self._error = None if stopped else self._reason(unforeseen)
        self._done()
        self._session.leave()
        self._news.set()

    def _check_stop(self) -> None:
        if self._stop is not None:
            raise self._reason(None)

    def _reason(self, error: EngineError | None) -> EngineError:
        """Why the work ended: that it was stopped outweighs what the server made of it."""
        match self._stop:
            case Stop.TIMEOUT:
                limit = self._limit.total_seconds() if self._limit else 0
                return TerminalEngineError(f"The work was stopped after its time limit of {limit:g} s.", code="TIMEOUT")
            case Stop.CANCEL:
                return TerminalEngineError("The work was cancelled.", code="CANCELLED")
        if isinstance(error, ForgottenError):
            return TransientEngineError(
                "The server has lost the query: it was restarted, or has closed the session.", code="CONNECTION"
            )
        return error or TerminalEngineError("The work ended for no known reason.")


def _width(rows: Sequence[Sequence[Any]]) -> int:
    """Bytes of a row, about."""
    sample = rows[:: max(1, len(rows) // 10)]
    return max(
        1, sum(len(cell) if isinstance(cell, str | bytes) else 8 for row in sample for cell in row) // len(sample)
    )
