"""The embedded engine's four verbs: jobs run in threads of this process, on DuckDB."""

import asyncio
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import duckdb

from app.domain.tasks import TaskType
from app.engines.base import (
    EngineError,
    EngineHealth,
    EngineKind,
    EngineLogLine,
    Handle,
    OutputSink,
    Poll,
    TerminalEngineError,
    Work,
    WorkState,
)
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.databases import Databases
from app.engines.embedded.failures import failure_of
from app.engines.embedded.results import CsvResult, with_delimiter
from app.engines.embedded.scratch import ScratchFolder
from app.engines.embedded.script import Script
from app.engines.embedded.translation.statements import Define, Remove, Statement, Write
from app.engines.embedded.translation.tables import TableSchema, table_key
from app.engines.embedded.translation.translator import Translator
from app.engines.embedded.workspace import Workspace

_KEPT_SCHEMAS = 5000  # each version of a table has one
_KEPT_ENDED = 1000  # failed and cancelled jobs whose last poll may be asked again
_QUICK = timedelta(milliseconds=250)  # work that ends within it wakes its poll once, with the whole log
_INTERRUPT_AGAIN = 0.02  # seconds; an interrupt between two statements of a job hits nothing


class _CancelledError(Exception):
    """The job was asked to stop."""


class _Job:
    """One attempt: written by its thread, read by the event loop."""

    def __init__(self, work: Work) -> None:
        self.id = uuid4()
        self.work = work
        self.state = WorkState.RUNNING
        self.error: EngineError | None = None
        self.result: CsvResult | None = None
        self.connection: duckdb.DuckDBPyConnection | None = None
        self.cancelled = threading.Event()
        self.ended = asyncio.Event()
        self.logged = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started = time.monotonic()
        self._lines: deque[EngineLogLine] = deque()

    def log(self, text: str) -> None:
        self._lines.append(EngineLogLine(at=datetime.now(UTC), stream="engine", text=text))
        if time.monotonic() - self._started > _QUICK.total_seconds():
            self._tell(self.logged)

    def take_log(self) -> list[EngineLogLine]:
        self.logged.clear()
        return [self._lines.popleft() for _ in range(len(self._lines))]

    def proceed(self) -> None:
        if self.cancelled.is_set():
            raise _CancelledError

    def end(self, state: WorkState, error: EngineError | None = None) -> None:
        self.error = error
        self.state = state
        self._tell(self.ended)

    async def wait(self, limit: timedelta) -> None:
        """Until the end; for work that takes longer than a moment, until there is something in the log."""
        first = min(limit, _QUICK)
        if await _set_within(self.ended, first) or self._lines or limit <= first:
            return
        waits = {asyncio.ensure_future(event.wait()) for event in (self.ended, self.logged)}
        await asyncio.wait(waits, timeout=(limit - first).total_seconds(), return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _tell(self, event: asyncio.Event) -> None:
        try:
            self._loop.call_soon_threadsafe(event.set)
        except RuntimeError:  # the loop has gone; nobody polls any more
            return


class EmbeddedSqlEngine:
    """HIVE, PRESTO, SPARK_SQL and MYSQL text, translated and run on DuckDB; see Databases for the limits' meaning."""

    kind = EngineKind.EMBEDDED

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        scratch: Path,
        types: frozenset[TaskType],
        memory_limit_bytes: int,
        threads: int,
        max_parallel: int,
        name: str = "embedded",
        delimiter: str = ",",
    ) -> None:
        self.name = name
        self.capacity: int | None = max_parallel
        self.types = types & Translator.types
        self._catalogue = catalogue
        self._delimiter = delimiter  # the sinks' usual one; for another the file is written a second time
        self._scratch = ScratchFolder(scratch)
        self._databases = Databases(
            catalogue=catalogue, scratch=self._scratch.path, memory_limit_bytes=memory_limit_bytes, threads=threads
        )
        self._executor = ThreadPoolExecutor(max_workers=max_parallel, thread_name_prefix="embedded-sql")
        self._translators = {task_type: Translator(task_type) for task_type in self.types}
        self._schemas: MutableMapping[Path, TableSchema] = {}
        self._jobs: dict[str, _Job] = {}
        self._interrupters: set[asyncio.Task[None]] = set()
        # its parser warns of statements that are refused here anyway, with a place
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        self._executor.submit(self._prepare)

    async def submit(self, work: Work) -> Handle:
        if work.type not in self.types:
            raise TerminalEngineError(f"The embedded engine does not run {work.type} here.", code="UNSUPPORTED")
        job = _Job(work)
        self._jobs[str(job.id)] = job
        self._forget_old()
        self._executor.submit(self._run, job)
        return Handle(text=str(job.id), durable=False)

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        job = self._job(handle)
        if job.state is WorkState.RUNNING and wait > timedelta(0):
            await job.wait(wait)
        state, error = job.state, job.error
        return Poll(state=state, error=error if state is WorkState.FAILED else None, log=job.take_log())

    async def cancel(self, handle: Handle) -> None:
        job = self._jobs.get(handle.text)
        if job is None or job.state is not WorkState.RUNNING:
            return
        job.cancelled.set()
        task = asyncio.create_task(_interrupt(job))
        self._interrupters.add(task)
        task.add_done_callback(self._interrupters.discard)
        await asyncio.sleep(0)

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = self._job(handle)
        if job.state is not WorkState.SUCCEEDED or job.result is None:
            raise TerminalEngineError(f"There is no output: the work is {job.state}.", code="NO_OUTPUT")
        result = job.result
        if sink.delimiter != result.delimiter:
            other = result.path.with_name("delimited.csv")
            result = await asyncio.to_thread(with_delimiter, result, sink.delimiter, other)
        await sink.adopt_csv(result.path, result.columns, row_count=result.row_count)
        self._jobs.pop(handle.text, None)
        shutil.rmtree(self._folder(job), ignore_errors=True)

    async def check(self) -> EngineHealth:
        try:
            probe = self._scratch.path / "probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            return EngineHealth(healthy=False, message=f"The scratch folder cannot be written: {error.strerror}.")
        return EngineHealth(healthy=True)

    async def forget(self, playground_id: UUID) -> None:
        await asyncio.to_thread(self._catalogue.forget, playground_id)

    async def close(self) -> None:
        for job_id in list(self._jobs):
            await self.cancel(Handle(text=job_id, durable=False))
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._databases.close()
        await asyncio.to_thread(self._scratch.close)

    def _job(self, handle: Handle) -> _Job:
        job = self._jobs.get(handle.text)
        if job is None:
            raise TerminalEngineError("The embedded engine has lost this work: its process ended.", code="LOST")
        return job

    def _folder(self, job: _Job) -> Path:
        return self._databases.folder(job.work.playground_id) / str(job.id)

    def _forget_old(self) -> None:
        ended = [key for key, job in self._jobs.items() if job.state in {WorkState.FAILED, WorkState.CANCELLED}]
        for key in ended[: max(0, len(ended) - _KEPT_ENDED)]:
            del self._jobs[key]

    def _prepare(self) -> None:
        """Do once, before the first task, what every first use pays for: 80 ms in all."""
        for translator in self._translators.values():
            translator.prepare()
        self._databases.prepare()

    def _run(self, job: _Job) -> None:
        started = time.perf_counter()
        try:
            job.proceed()
            result = self._execute(job)
        except _CancelledError:
            self._end(job, WorkState.CANCELLED)
        except EngineError as error:
            cancelled = job.cancelled.is_set()
            self._end(job, WorkState.CANCELLED if cancelled else WorkState.FAILED, None if cancelled else error)
        except duckdb.Error as error:
            if job.cancelled.is_set():
                self._end(job, WorkState.CANCELLED)
            else:
                if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                    self._databases.discard(job.work.playground_id)
                self._end(job, WorkState.FAILED, failure_of(error))
        except Exception as error:  # the thread's edge: a job that never ends would be worse
            logging.getLogger(__name__).exception(
                "embedded job failed", extra={"task_run_id": str(job.work.task_run_id)}
            )
            message = f"The embedded engine could not run this text ({type(error).__name__}); it has been logged."
            self._end(job, WorkState.FAILED, TerminalEngineError(message, code="ENGINE_ERROR"))
        else:
            job.log(f"{result.row_count} rows in {(time.perf_counter() - started) * 1000:.0f} ms.")
            job.result = result
            job.end(WorkState.SUCCEEDED)

    def _end(self, job: _Job, state: WorkState, error: EngineError | None = None) -> None:
        shutil.rmtree(self._folder(job), ignore_errors=True)
        job.end(state, error)

    def _execute(self, job: _Job) -> CsvResult:
        work = job.work
        translator = self._translators[work.type]
        statements = translator.parse(work.query)
        folder = self._folder(job)
        folder.mkdir(parents=True)
        with ExitStack() as stack:
            for key in _targets(statements):
                stack.enter_context(self._catalogue.lock(work.playground_id, key, give_up=job.cancelled.is_set))
            connection = stack.enter_context(self._databases.connection(work.playground_id))
            job.connection = connection
            stack.callback(setattr, job, "connection", None)
            workspace = Workspace(
                connection=connection,
                catalogue=self._catalogue,
                playground_id=work.playground_id,
                folder=folder,
                known_schemas=self._schemas,
            )
            if len(self._schemas) > _KEPT_SCHEMAS:
                self._schemas.clear()
            script = Script(
                task_type=work.type,
                translator=translator,
                text=work.query,
                connection=connection,
                workspace=workspace,
                log=job.log,
                proceed=job.proceed,
                output=folder / "output.csv",
                delimiter=self._delimiter,
            )
            result = script.run(statements)
            job.proceed()
            workspace.publish()
            return result


def _targets(statements: list[Statement]) -> list[str]:
    """The tables that the statements change, in an order that all jobs keep: so no two wait for each other."""
    keys: set[str] = set()
    for statement in statements:
        match statement:
            case Write() | Define():
                keys.add(table_key(statement.target))
            case Remove():
                keys |= {table_key(target) for target in statement.targets}
    return sorted(keys)


async def _set_within(event: asyncio.Event, limit: timedelta) -> bool:
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await event.wait()
    except TimeoutError:
        return False


async def _interrupt(job: _Job) -> None:
    while job.state is WorkState.RUNNING:
        connection = job.connection
        if connection is not None:
            try:
                connection.interrupt()
            except duckdb.ConnectionException:  # closed between the two lines
                return
        await asyncio.sleep(_INTERRUPT_AGAIN)
