"""One piece of work on a MySQL connection: from its first statement to the last row of its output."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from asyncmy.cursors import SSCursor
from asyncmy.errors import MySQLError

from app.domain.outputs import OutputColumn
from app.engines.base import (
    EngineError,
    EngineLogLine,
    OutputSink,
    Poll,
    TerminalEngineError,
    Work,
    WorkState,
)
from app.engines.mysql.columns import output_columns
from app.engines.mysql.connections import MysqlConnections
from app.engines.mysql.errors import engine_error
from app.engines.mysql.guard import StatementGuard
from app.engines.mysql.statements import Statement

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 5_000
_ROWS_AT_FIRST = 10  # until it is known how long a row is
_BYTES_AT_ONCE = 4 * 1024 * 1024
_KILLS = 3  # one may come between two statements, and then it stops nothing
_KILL_SECONDS = 2.0


class Stop(StrEnum):
    CANCEL = "CANCEL"
    TIMEOUT = "TIMEOUT"


class MysqlJob:
    """Runs the statements at once; the rows of the output wait in the server until they are fetched."""

    def __init__(
        self, *, work: Work, statements: Sequence[Statement], connections: MysqlConnections, guard: StatementGuard
    ) -> None:
        self.state = WorkState.RUNNING
        self._work = work
        self._remaining = list(statements)
        self._count = len(statements)
        self._connections = connections
        self._guard = guard
        self._error: EngineError | None = None
        self._log: list[EngineLogLine] = []
        self._news = asyncio.Event()
        self._columns: tuple[OutputColumn, ...] = ()
        self._connection: Any = None
        self._cursor: Any = None  # open while there are rows to fetch
        self._fetching = False
        self._stop: Stop | None = None
        self._asked = asyncio.Event()  # set when the server was asked to stop
        self._still = asyncio.Event()  # set when nothing of this job runs in the server any more
        self._killer: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._settle)
        if work.timeout is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(work.timeout.total_seconds(), self._begin_stop, Stop.TIMEOUT)

    async def poll(self, wait: timedelta) -> Poll:
        if self.state is WorkState.RUNNING and not self._log:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait.total_seconds()):
                    await self._news.wait()
        self._news.clear()
        log, self._log = self._log, []
        return Poll(state=self.state, error=self._error, log=log)

    async def cancel(self) -> None:
        """Stop the work in the server; returns once the server has been asked."""
        self._begin_stop(Stop.CANCEL)
        if self._stop is not None:
            await self._asked.wait()

    async def fetch(self, sink: OutputSink) -> None:
        """Stream the rows of succeeded work, and run what follows the query that gave them."""
        if self.state is not WorkState.SUCCEEDED:
            raise self._reason(self._error)
        self._fetching = True
        whole = False
        try:
            await sink.write_rows(self._columns, self._batches())
            if self._remaining:
                await self._run_statements()
            whole = self._cursor is None
        except MySQLError as error:
            raise self._reason(engine_error(error)) from error
        finally:
            self._fetching = False
            if not whole:
                self._begin_stop(Stop.CANCEL)  # else the server goes on, whoever listens
            await self._let_go(reusable=whole)
            if self._killer is not None:
                await asyncio.shield(self._killer)

    async def wait(self) -> None:
        """Return when all that this job began has ended."""
        await asyncio.wait({self._task})
        if self._killer is not None:
            await self._killer

    async def _run(self) -> None:
        try:
            self._connection = await self._connections.acquire()
            self._say(f"Running on connection {self._connection.thread_id()} of the server")
            await self._run_statements()
            self._check_stop()
        except asyncio.CancelledError:
            if self._stop is None:
                raise
            await self._end(self._reason(None), reusable=False)
        except EngineError as error:
            await self._end(self._reason(error), reusable=True)
        except (MySQLError, OSError) as error:
            failure = self._reason(engine_error(error))
            failure.__cause__ = error
            await self._end(failure, reusable=failure.code != "CONNECTION")
        else:
            await self._succeed()
        finally:
            if self.state is WorkState.RUNNING:  # something unforeseen
                await self._let_go(reusable=False)

    def _settle(self, task: asyncio.Task[None]) -> None:
        """End work whose task ended without saying how: cancelled before its first step, or by a fault of this code."""
        if self.state is not WorkState.RUNNING:
            return
        fault = None if task.cancelled() else task.exception()
        if fault is not None:
            log.error("Running a MySQL query failed in an unforeseen way", exc_info=fault)
        self.state = WorkState.CANCELLED if fault is None and self._stop is not Stop.TIMEOUT else WorkState.FAILED
        if self.state is WorkState.FAILED:
            self._error = self._reason(
                TerminalEngineError(
                    "The query failed in an unforeseen way; the server's log tells more.", code="INTERNAL"
                )
            )
        self._still.set()
        if self._timer is not None:
            self._timer.cancel()
        self._news.set()

    async def _run_statements(self) -> None:
        """Run statements until one has the rows of the output, or none is left."""
        while self._remaining:
            self._check_stop()
            statement = self._remaining.pop(0)
            await self._prepare()
            started = asyncio.get_running_loop().time()
            cursor = self._connection.cursor(SSCursor)
            await cursor.execute(statement.text)
            seconds = asyncio.get_running_loop().time() - started
            number = f"Statement {self._count - len(self._remaining)} of {self._count}"
            if cursor.description is None:
                self._say(f"{number}: {max(cursor.rowcount, 0)} rows affected in {seconds:.3f} s")
                await self._say_warnings()
            elif self._columns or any(later.may_return_rows for later in self._remaining):
                self._say(f"{number}: its rows are not the output, for a later statement gives rows")
                await _drain(cursor)
            else:
                self._say(f"{number}: rows after {seconds:.3f} s")
                self._columns = output_columns(cursor._result.fields)  # noqa: SLF001 - description lacks sign and charset
                self._cursor = cursor
                return

    async def _prepare(self) -> None:
        """Bind the next statement to reading, and look which database it would run in."""
        if self._guard.read_only:
            # The session's mode stops DDL, which would end the transaction; the transaction stops a stored function
            # that changes the session's mode.
            await self._connection.query("SET SESSION TRANSACTION READ ONLY")
            await self._connection.query("START TRANSACTION READ ONLY")
        if self._guard.guards_metadata:
            cursor = self._connection.cursor()
            await cursor.execute("SELECT DATABASE()")
            self._guard.check_database((await cursor.fetchone())[0])

    async def _batches(self) -> AsyncIterator[Sequence[Sequence[Any]]]:
        size = _ROWS_AT_FIRST
        while self._cursor is not None:
            self._check_stop()
            with _reading(self._connection):
                batch = await self._cursor.fetchmany(size)
            if batch:
                yield batch
            if len(batch) < size:
                with _reading(self._connection):
                    await _drain(self._cursor)  # what a procedure gave besides
                self._cursor = None
                _resume(self._connection)
            else:
                size = max(1, min(_ROWS_AT_ONCE, _BYTES_AT_ONCE // _width(batch)))
        self._check_stop()

    async def _succeed(self) -> None:
        self.state = WorkState.SUCCEEDED
        self._news.set()
        if self._cursor is None:
            await self._let_go(reusable=True)
        else:
            # The driver reads on without bound while nobody takes the rows; this leaves them in the server.
            _pause(self._connection)

    async def _end(self, error: EngineError, *, reusable: bool) -> None:
        self.state = WorkState.CANCELLED if self._stop is Stop.CANCEL else WorkState.FAILED
        self._error = error if self.state is WorkState.FAILED else None
        self._news.set()
        await self._let_go(reusable=reusable)

    async def _let_go(self, *, reusable: bool) -> None:
        """Give the connection back; never to be used again when a kill is on its way, which would hit the next user."""
        self._still.set()
        if self._timer is not None:
            self._timer.cancel()
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            await self._connections.release(connection, reusable=reusable and self._stop is None)

    def _begin_stop(self, stop: Stop) -> None:
        if self._still.is_set() or self._stop is not None:
            return
        self._stop = stop
        if self._connection is None:  # it still waits for one
            self._task.cancel()
            self._asked.set()
        else:
            self._killer = asyncio.create_task(self._kill(self._connection))

    async def _kill(self, connection: Any) -> None:
        thread_id = connection.thread_id()
        for _ in range(_KILLS):
            with suppress(EngineError):  # the server may be out of reach, or refuse one more connection, for a moment
                await self._connections.kill_query(thread_id)
            self._asked.set()
            if self.state is WorkState.SUCCEEDED and not self._fetching:
                await self._end(self._reason(None), reusable=False)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_KILL_SECONDS):
                    await self._still.wait()
                    return
        connection.close()  # a fetch ends by that
        self._task.cancel()

    def _check_stop(self) -> None:
        if self._stop is not None:
            raise self._reason(None)

    def _reason(self, error: EngineError | None) -> EngineError:
        """Why the work ended: that it was stopped outweighs what the server made of it."""
        match self._stop:
            case Stop.TIMEOUT:
                limit = self._work.timeout.total_seconds() if self._work.timeout else 0
                return TerminalEngineError(f"The work was stopped after its time limit of {limit:g} s.", code="TIMEOUT")
            case Stop.CANCEL:
                return TerminalEngineError("The work was cancelled.", code="CANCELLED")
            case None:
                return error or TerminalEngineError("The work ended for no known reason.")

    async def _say_warnings(self) -> None:
        cursor = self._connection.cursor()
        await cursor.execute("SHOW WARNINGS LIMIT 10")
        for level, code, message in await cursor.fetchall():
            self._say(f"{level} {code}: {message}")

    def _say(self, text: str) -> None:
        self._log.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text=text))
        self._news.set()


async def _drain(cursor: Any) -> None:
    """Read away the rest of the rows and of the result sets."""
    while True:
        while await cursor.fetchmany(_ROWS_AT_ONCE):
            pass
        if not await cursor.nextset():
            return


def _width(batch: Sequence[Sequence[Any]]) -> int:
    """Bytes of a row, about."""
    sample = batch[:: max(1, len(batch) // 10)]
    return max(
        1, sum(len(cell) if isinstance(cell, str | bytes) else 8 for row in sample for cell in row) // len(sample)
    )


@contextmanager
def _reading(connection: Any) -> Iterator[None]:
    """Let the driver read from the server, but only once it has used up what it holds and waits for more."""
    resuming = asyncio.get_running_loop().call_soon(_resume, connection)
    try:
        yield
    finally:
        resuming.cancel()
        _pause(connection)


def _pause(connection: Any) -> None:
    transport = connection._transport  # noqa: SLF001 - the driver has no back-pressure of its own
    if transport is not None and not transport.is_closing():
        transport.pause_reading()


def _resume(connection: Any) -> None:
    transport = connection._transport  # noqa: SLF001 - see _pause
    if transport is not None and not transport.is_closing():
        transport.resume_reading()
