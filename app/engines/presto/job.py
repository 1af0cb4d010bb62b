"""One piece of work on a Presto or Trino server: its statements, how far they are, and the rows of its output."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from datetime import timedelta
from enum import Enum, auto
from typing import Any

import httpx

from app.engines.base import LOST, EngineError, Handle, OutputSink, Poll, TerminalEngineError, WorkState
from app.engines.presto.client import StatementClient
from app.engines.presto.errors import USER_CANCELLED, engine_error
from app.engines.presto.pages import Page
from app.engines.presto.query_log import QueryLog
from app.engines.presto.session import PrestoSession
from app.engines.presto.statements import Statement
from app.engines.presto.values import output_columns, row_reading

_LONGEST_HANDLE = 500  # characters; what is longer is not kept
_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=0.5), timedelta(seconds=5)
_SENDING_SECONDS = 10


class Stop(Enum):
    CANCEL = auto()
    TIMEOUT = auto()


class PrestoJob:
    """Asks for one page after the other, each only once somebody polls, or takes the rows.

    So the handle that a poll has told, which has the address of the page that comes next, is stored before that page is
    asked for, and another process can ask for it as well: the server gives a page again until the one after it was
    asked for. While statements are still to come the handle is not durable, for their text is known here alone.
    """

    def __init__(
        self,
        *,
        client: StatementClient,
        session: PrestoSession,
        statements: Sequence[Statement] = (),
        attached: tuple[str, str] | None = None,
        limit: timedelta | None = None,
    ) -> None:
        """`attached`: the id of a query that another process has sent, and the address of its next page."""
        loop = asyncio.get_running_loop()
        self.state = WorkState.RUNNING
        self.query_id = attached[0] if attached else ""
        self._uri = attached[1] if attached else None
        self._client = client
        self._session = session
        self._remaining = list(statements)
        self._count = max(len(statements), 1)
        self._limit = limit
        self._statement: Statement | None = None
        self._page: Page | None = None  # the latest; the first of the output, until it is fetched
        self._has_output = False
        self._fetched = False
        self._error: EngineError | None = None
        self._log = QueryLog()
        self._told = self.handle
        self._step: asyncio.Task[None] | None = None
        self._stop: Stop | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._began = loop.time()
        self._timer = None if limit is None else loop.call_later(limit.total_seconds(), self._begin_stop, Stop.TIMEOUT)

    @property
    def handle(self) -> Handle:
        text = f"{self.query_id} {self._uri}"
        return Handle(text=text, durable=not self._remaining and self._uri is not None and len(text) <= _LONGEST_HANDLE)

    async def begin(self) -> Handle:
        """Send the first statement; its handle. Raises: TransientEngineError, TerminalEngineError."""
        try:
            await self._advance()
        except BaseException:
            self._settle()
            raise
        self._told = self.handle
        return self._told

    async def poll(self, wait: timedelta) -> Poll:
        if self.state is WorkState.RUNNING:
            pending = self._stopping or self._step
            if pending is None:
                pending = self._start_step()
            await asyncio.wait({pending}, timeout=wait.total_seconds())
            self._look_at_step()
        handle = None
        if self.state is WorkState.RUNNING and self._uri is not None and self.handle != self._told:
            handle = self._told = self.handle
        return Poll(state=self.state, error=self._error, progress=self._progress(), log=self._log.take(), handle=handle)

    async def cancel(self) -> None:
        """Stop the work in the server; returns once the server has been told.

        Raises: TransientEngineError, TerminalEngineError.
        """
        self._begin_stop(Stop.CANCEL)
        if self._stopping is not None:
            await asyncio.shield(self._stopping)

    async def fetch(self, sink: OutputSink) -> None:
        """Stream the rows of succeeded work, and run what follows the query that gave them."""
        if self.state is not WorkState.SUCCEEDED or self._fetched:
            raise self._reason(self._error)
        self._fetched = True
        columns = (self._page.columns if self._page and self._has_output else None) or ()
        try:
            async with aclosing(self._batches()) as batches:
                await sink.write_rows(output_columns(columns), batches)
            while self._uri is not None or self._remaining:
                await self._finish(self._start_step())
            self._check_stop()
        finally:
            if self._uri is not None:
                self._begin_stop(Stop.CANCEL)  # else the server waits for somebody who takes the rest
            self._settle()
            if self._stopping is not None:
                with suppress(EngineError):
                    await asyncio.shield(self._stopping)

    async def leave(self) -> None:
        """Let go of the work; what another process can go on with goes on in the server."""
        if not self.handle.durable:
            with suppress(EngineError):
                await self.cancel()
        if self._step is not None:
            self._step.cancel()
            await asyncio.wait({self._step})
        self._settle()

    # ---- one request after the other

    async def _advance(self) -> None:
        """Send the next statement, or ask for the next page. Raises: TransientEngineError, TerminalEngineError."""
        if self._uri is None:
            statement = self._statement = self._remaining.pop(0)
            page, headers = await self._client.send(statement.text, self._session.headers())
            self.query_id = page.query_id
            self._log.begin(page, number=self._count - len(self._remaining), count=self._count)
        else:
            page, headers = await self._ask(self._uri)
        self._session.take(headers)
        self._page, self._uri = page, page.next_uri
        self._log.tell(page)
        if page.error is not None:
            raise engine_error(page.error, self._statement)
        if self.state is WorkState.RUNNING and self._stop is None:
            self._has_output = self._is_output(page)
            if self._has_output or (page.next_uri is None and not self._remaining):
                self.state = WorkState.SUCCEEDED

    async def _ask(self, uri: str) -> tuple[Page, httpx.Headers]:
        try:
            return await self._client.ask(uri, wait=self._patience())
        except TerminalEngineError as error:
            if error.code == LOST and self._page is None:
                # Re-attached too late. Only then: a process that was frozen for a while must not end what its successor
                # follows by now.
                await self._client.kill(self.query_id)
            raise

    def _is_output(self, page: Page) -> bool:
        """Whether these are the first rows of the work's output, or it has none at its end."""
        return (
            page.update_type is None
            and bool(page.columns)
            and (bool(page.rows) or page.next_uri is None)
            and not any(later.may_return_rows for later in self._remaining)
        )

    def _look_at_step(self) -> None:
        """Take note of how a step has ended that somebody waited for."""
        step = self._step
        if step is None or not step.done():
            return
        self._step = None
        if step.cancelled():
            return
        try:
            step.result()
        except EngineError as error:
            self._end(error)

    def _start_step(self) -> asyncio.Task[None]:
        self._check_stop()
        step = self._step = asyncio.create_task(self._advance())
        step.add_done_callback(_heard)
        return step

    async def _finish(self, step: asyncio.Task[None]) -> None:
        await asyncio.wait({step})
        self._check_stop()
        self._step = None
        step.result()

    async def _batches(self) -> AsyncGenerator[Sequence[Sequence[Any]], None]:
        if not self._has_output or self._page is None:
            return
        read = row_reading(self._page.columns or ())
        while True:
            rows = self._page.rows
            # The next page comes while this one is written, and no more than that one.
            coming = None if self._uri is None else self._start_step()
            if rows:
                yield read(rows)
            if coming is None:
                return
            await self._finish(coming)

    def _patience(self) -> timedelta:
        """How long the server may let a question wait: the longer the work takes, the fewer handles are stored."""
        if self._fetched:
            return _LONGEST_WAIT
        elapsed = timedelta(seconds=asyncio.get_running_loop().time() - self._began)
        return min(max(elapsed / 10, _FIRST_WAIT), _LONGEST_WAIT)

    def _progress(self) -> float | None:
        share = self._page.progress if self._page is not None else None
        done = self._count - len(self._remaining) - 1
        return None if share is None else (done + share) / self._count

    # ---- stopping

    def _begin_stop(self, stop: Stop) -> None:
        over = self.state in {WorkState.FAILED, WorkState.CANCELLED}
        if over or self._stop is not None or (self._fetched and self._uri is None and not self._remaining):
            return
        self._stop = stop
        self._stopping = asyncio.create_task(self._stop_query())
        self._stopping.add_done_callback(_heard)

    async def _stop_query(self) -> None:
        step = self._step
        if step is not None and not step.done():
            if self._uri is None:  # the answer to the statement that is on its way names what is to be stopped
                await asyncio.wait({step}, timeout=_SENDING_SECONDS)
            step.cancel()
        uri, self._uri = self._uri, None
        self._end(self._reason(None))
        if uri is not None:
            await self._client.cancel(uri)

    def _end(self, error: EngineError) -> None:
        cancelled = self._stop is Stop.CANCEL or error.code == USER_CANCELLED
        self.state = WorkState.CANCELLED if cancelled else WorkState.FAILED
        self._error = None if cancelled else self._reason(error)
        self._settle()

    def _settle(self) -> None:
        self._page = None  # of many jobs the end is remembered
        if self._timer is not None:
            self._timer.cancel()

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
            case None if self._fetched and error is None:
                return TerminalEngineError("The rows of this work have been fetched already.", code=LOST)
            case None:
                return error or TerminalEngineError("The work ended for no known reason.")


def _heard(task: asyncio.Task[None]) -> None:
    """An error that nobody waits for any more is no fault of the program."""
    if not task.cancelled():
        task.exception()
