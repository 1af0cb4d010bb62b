"""The embedded engine's four verbs: jobs run in threads of this process, on DuckDB."""

import asyncio
import logging
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import duckdb

from app.domain.tasks import TaskType
from app.engines.base import (
    EngineError,
    EngineHealth,
    EngineKind,
    Handle,
    OutputSink,
    Poll,
    TerminalEngineError,
    TransientEngineError,
    Work,
    WorkState,
)
from app.engines.embedded.catalogue import Catalogue, Version
from app.engines.embedded.columns import TableColumns
from app.engines.embedded.databases import REST_SECONDS, Databases
from app.engines.embedded.failures import FULL, failure_of, refuse_udfs
from app.engines.embedded.job import CancelledJobError, Job
from app.engines.embedded.memory import Memory
from app.engines.embedded.results import CsvResult, Layout, with_delimiter
from app.engines.embedded.scratch import ScratchFolder
from app.engines.embedded.script import Script
from app.engines.embedded.translation.statements import Define, Remove, Statement, Write
from app.engines.embedded.translation.tables import TableSchema, table_key
from app.engines.embedded.translation.translator import Translated, Translator
from app.engines.embedded.workspace import Workspace

_KEPT_SCHEMAS = 5_000  # each version of a table has one
_KEPT_LAYOUTS = 500_000  # characters of SQL
_KEPT_ENDED = 1_000  # failed and cancelled jobs whose last poll may be asked again

HELD_FOR_EACH = 4  # works for each thread: small ones end together, and share the transactions that tell of it


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
        self.capacity: int | None = max_parallel * HELD_FOR_EACH
        self.types = types & Translator.types
        self._catalogue = catalogue
        self._delimiter = delimiter  # the sinks' usual one; for another the file is written a second time
        self._scratch = ScratchFolder(scratch)
        self._databases = Databases(
            catalogue=catalogue, scratch=self._scratch.path, memory_limit_bytes=memory_limit_bytes, threads=threads
        )
        self._executor = ThreadPoolExecutor(max_workers=max_parallel, thread_name_prefix="embedded-sql")
        self._translators = {task_type: Translator(task_type) for task_type in self.types}
        self._schemas: Memory[Version, TableSchema] = Memory(limit=_KEPT_SCHEMAS)
        self._columns = TableColumns(catalogue=catalogue, known=self._schemas)
        self._layouts: Memory[Translated, Layout] = Memory(limit=_KEPT_LAYOUTS)
        self._jobs: dict[str, Job] = {}
        self._interrupters: set[asyncio.Task[None]] = set()
        self._resting: asyncio.Task[None] | None = None
        self._stirred = False
        # its parser warns of statements that are refused here anyway, with a place
        logging.getLogger("sqlglot").setLevel(logging.ERROR)
        self._executor.submit(self._prepare)

    async def submit(self, work: Work) -> Handle:
        if work.type not in self.types:
            raise TerminalEngineError(f"The embedded engine does not run {work.type} here.", code="UNSUPPORTED")
        refuse_udfs(work)
        job = Job(work, scratch=self._databases.folder(work.playground_id))
        self._jobs[job.id] = job
        self._forget_old()
        self._executor.submit(self._run, job)
        self._stirred = True
        if self._resting is None or self._resting.done():
            self._resting = asyncio.create_task(self._rest())
        return Handle(text=job.id, durable=False)

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
        task = asyncio.create_task(job.interrupt())
        self._interrupters.add(task)
        task.add_done_callback(self._interrupters.discard)
        await asyncio.sleep(0)

    async def fetch(self, handle: Handle, sink: OutputSink) -> None:
        job = self._job(handle)
        if job.state is not WorkState.SUCCEEDED or job.result is None:
            raise TerminalEngineError(f"There is no output: the work is {job.state}.", code="NO_OUTPUT")
        result = job.result
        if sink.delimiter != result.delimiter:
            result = await asyncio.to_thread(with_delimiter, result, sink.delimiter, job.folder)
        await result.deliver(sink)
        self._jobs.pop(handle.text, None)
        job.folder.remove()

    async def check(self) -> EngineHealth:
        try:
            probe = self._scratch.path / "probe"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            return EngineHealth(healthy=False, message=f"The scratch folder cannot be written: {error.strerror}.")
        return EngineHealth(healthy=True)

    async def columns(self, tables: Collection[str], *, playground_id: UUID | None) -> Mapping[str, Sequence[str]]:
        return await asyncio.to_thread(self._columns.of, tables, playground_id)

    async def forget(self, playground_id: UUID) -> None:
        await asyncio.to_thread(self._catalogue.forget, playground_id)

    async def close(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        for job_id in list(self._jobs):
            await self.cancel(Handle(text=job_id, durable=False))
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._databases.close()
        self._columns.close()
        await asyncio.to_thread(self._scratch.close)

    async def _rest(self) -> None:
        """Until few databases lie idle; a process that is left alone ends up with these."""
        more = True
        while more or self._stirred:  # work that came meanwhile opens a database after the look
            self._stirred = False
            await asyncio.sleep(REST_SECONDS)
            more = await asyncio.to_thread(self._databases.rest)

    def _job(self, handle: Handle) -> Job:
        job = self._jobs.get(handle.text)
        if job is None:
            raise TerminalEngineError("The embedded engine has lost this work: its process ended.", code="LOST")
        return job

    def _forget_old(self) -> None:
        if len(self._jobs) <= _KEPT_ENDED:
            return
        ended = [key for key, job in self._jobs.items() if job.state in {WorkState.FAILED, WorkState.CANCELLED}]
        for key in ended[: max(0, len(ended) - _KEPT_ENDED)]:
            del self._jobs[key]

    def _prepare(self) -> None:
        """Do once, before the first task, what every first use pays for: 80 ms in all."""
        for translator in self._translators.values():
            translator.prepare()
        self._databases.prepare()

    def _run(self, job: Job) -> None:
        started = time.perf_counter()
        try:
            job.proceed()
            result = self._execute(job)
        except CancelledJobError:
            job.fail(None)
        except EngineError as error:
            job.fail(error)
        except duckdb.Error as error:
            if isinstance(error, duckdb.FatalException | duckdb.InternalException):
                self._databases.discard(job.work.playground_id)
            job.fail(failure_of(error))
        except OSError as error:
            message = f"A file could not be read or written: {error.strerror or error}"
            job.fail(TransientEngineError(message, code="STORAGE" if error.errno in FULL else "IO_ERROR"))
        except Exception as error:  # the thread's edge: a job that never ends would be worse
            logging.getLogger(__name__).exception(
                "embedded job failed", extra={"task_run_id": str(job.work.task_run_id)}
            )
            message = f"The embedded engine could not run this text ({type(error).__name__}); it has been logged."
            job.fail(TerminalEngineError(message, code="ENGINE_ERROR"))
        else:
            job.log(f"{result.row_count} rows in {(time.perf_counter() - started) * 1000:.0f} ms.")
            job.succeed(result)

    def _execute(self, job: Job) -> CsvResult:
        work = job.work
        translator = self._translators[work.type]
        statements = translator.parse(work.query)
        with ExitStack() as stack:
            for key in _targets(statements):
                stack.enter_context(self._catalogue.lock(work.playground_id, key, give_up=job.cancelled.is_set))
            session = stack.enter_context(self._databases.session(work.playground_id))
            stack.enter_context(job.using(session))
            workspace = Workspace(
                session=session,
                catalogue=self._catalogue,
                playground_id=work.playground_id,
                folder=job.folder,
                known_schemas=self._schemas,
            )
            script = Script(
                task_type=work.type,
                translator=translator,
                text=work.query,
                session=session,
                workspace=workspace,
                log=job.log,
                proceed=job.proceed,
                folder=job.folder,
                delimiter=self._delimiter,
                layouts=self._layouts,
            )
            result = script.run(statements)
            job.proceed()
            workspace.publish()
            return result


def _targets(statements: Sequence[Statement]) -> list[str]:
    """The tables that the statements change, in an order that all jobs keep: so no two wait for each other."""
    keys: set[str] = set()
    for statement in statements:
        match statement:
            case Write() | Define():
                keys.add(table_key(statement.target))
            case Remove():
                keys |= {table_key(target) for target in statement.targets}
    return sorted(keys)
