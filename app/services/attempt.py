"""One attempt at a task: through the engine's verbs into the output store, with timeout and cancelling."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog

from app.domain.checks.results import CheckResult, failed, failure_message
from app.domain.errors import DomainError
from app.domain.identity import utc_now
from app.domain.outputs import StoredOutput
from app.domain.status import TaskRunStatus
from app.engines.base import Engine, EngineError, Handle, TerminalEngineError, Work, WorkState, WorkUdf
from app.engines.registry import EngineRegistry
from app.models import TaskRun
from app.outputs.base import OutputStore, StorageError
from app.services.checks import OutputChecks
from app.services.held_work import HeldTask
from app.services.jar_files import JarFiles
from app.store.database import Database, DatabaseAwayError
from app.store.unit_of_work import UnitOfWork

POLL_WAIT = timedelta(seconds=1)
LOG_INTERVAL = 0.25  # seconds between two writes of a task's log
STOP_GRACE = 10.0  # seconds for an engine to end what it was told to stop

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What an attempt came to; one whose output failed its checks has the output all the same, to be looked at."""

    status: TaskRunStatus
    ended_at: datetime
    output: StoredOutput | None = None
    check_results: tuple[CheckResult, ...] = ()
    error_code: str | None = None
    error_message: str | None = None
    retriable: bool = False


class AttemptRunner:
    def __init__(
        self,
        *,
        database: Database,
        engines: EngineRegistry,
        outputs: OutputStore,
        jar_files: JarFiles,
        checks: OutputChecks,
    ) -> None:
        self._database = database
        self._engines = engines
        self._outputs = outputs
        self._jar_files = jar_files
        self._checks = checks

    async def run(self, held: HeldTask, *, attached: Handle | None = None) -> Outcome:
        """Run the attempt to its end; `attached` is the handle of work that another process has submitted.

        Every failure is an outcome; only being cancelled itself passes through.
        """
        timeout = held.task_run.timeout_ms
        started_at = held.task_run.started_at
        spent = timedelta() if attached is None or started_at is None else utc_now() - started_at
        drive = asyncio.create_task(self._drive(held, attached))
        stop = asyncio.create_task(held.stop.wait())
        try:
            await asyncio.wait(
                {drive, stop},
                timeout=None if timeout is None else max(timeout / 1000 - spent.total_seconds(), 0),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if drive.done():
                return drive.result()
            await self._stop(held, drive)
            if held.stop.is_set():
                return Outcome(status=TaskRunStatus.CANCELLED, ended_at=utc_now())
            return _failed("TIMEOUT", f"The task took longer than its timeout of {timeout} ms and was stopped.")
        finally:
            stop.cancel()
            if not drive.done():
                drive.cancel()
                with suppress(asyncio.CancelledError):
                    await drive

    async def _drive(self, held: HeldTask, attached: Handle | None) -> Outcome:
        task_run = held.task_run
        try:
            engine = held.engine = self._engines.engine_for(task_run.type, task_run.connection)
            if attached is None:
                udfs = await self._jar_files.functions_of(task_run) if task_run.udfs else ()
                handle = held.handle = await engine.submit(_work(task_run, udfs))
                held.handle_to_store = handle if handle.durable else None
                await self._write_down(held)
            else:
                handle = held.handle = attached
            if held.stopping:  # the engine was taking the work while it was to be stopped, and could not be told
                await held.cancel_in_engine()
            await self._follow(held, engine, handle)
            return await self._check(held, await self._fetch(held, engine, handle))
        except EngineError as error:
            return _failed(error.code, error.message, retriable=error.retriable)
        except StorageError as error:
            log.warning("attempt.not_stored", task_run_id=task_run.id.hex, reason=error.message)
            return _failed("STORAGE", error.message, retriable=error.retriable)
        except DomainError as error:
            return _failed(str(error.code), error.message)
        except OSError as error:
            log.warning("attempt.io_failed", task_run_id=task_run.id.hex, reason=str(error))
            return _failed("STORAGE", f"The output could not be written: {error.strerror or error}.", retriable=True)
        except Exception:  # an engine's fault must end the task, not the worker
            log.exception("attempt.crashed", task_run_id=task_run.id.hex, attempt=task_run.attempt)
            return _failed("INTERNAL", "The engine's adapter failed in an unforeseen way; the server's log tells more.")

    async def _follow(self, held: HeldTask, engine: Engine, handle: Handle) -> None:
        while True:
            poll = await engine.poll(handle, wait=POLL_WAIT)
            held.take_over(poll.log)
            if poll.handle is not None:
                handle = held.handle = poll.handle
                held.handle_to_store = handle if handle.durable else None
            match poll.state:
                case WorkState.SUCCEEDED:
                    return
                case WorkState.FAILED:
                    raise poll.error or TerminalEngineError("The engine says that the work failed, and not why.")
                case WorkState.CANCELLED:
                    raise TerminalEngineError("The work was cancelled in the engine.", code="CANCELLED")
                case WorkState.RUNNING:
                    await self._write_down(held)

    async def _fetch(self, held: HeldTask, engine: Engine, handle: Handle) -> StoredOutput:
        task_run = held.task_run
        async with self._outputs.sink(
            started_at=task_run.started_at or utc_now(),
            playground_id=task_run.playground_id,
            run_id=task_run.run_id,
            task_run_id=task_run.id,
            attempt=task_run.attempt,
            format=task_run.asked_format,
        ) as sink:
            await engine.fetch(handle, sink)
        return sink.stored

    async def _check(self, held: HeldTask, output: StoredOutput) -> Outcome:
        """Data does not get better by another try: that a check failed is terminal."""
        results: tuple[CheckResult, ...] = ()
        if held.task_run.checks and not held.stopping:
            held.checking = True
            results = await self._checks.run(held.task_run, output)
        for result in results:
            held.note(f"Check {'passed' if result.passed else 'failed'}: {result.message}", at=utc_now())
        status, code, message = TaskRunStatus.SUCCESS, None, None
        if failed(results):
            status, code, message = TaskRunStatus.FAILED, "CHECK_FAILED", failure_message(results)
        return Outcome(
            status=status,
            ended_at=utc_now(),
            output=output,
            check_results=results,
            error_code=code,
            error_message=message,
        )

    async def _stop(self, held: HeldTask, drive: "asyncio.Task[Outcome]") -> None:
        held.stopping = True
        if held.checking:
            drive.cancel()
        else:
            await held.cancel_in_engine()
        await asyncio.wait({drive}, timeout=STOP_GRACE)

    async def _write_down(self, held: HeldTask) -> None:
        """Keep the handle and the log; a database that is away is no reason to give up what goes on in the engine."""
        try:
            if held.handle_to_store is not None:
                await self._store_handle(held.task_run, held.handle_to_store)
                held.handle_to_store = None
            await self._flush_log(held)
        except DatabaseAwayError:
            log.warning("attempt.not_written_down", task_run_id=held.task_run.id.hex)

    async def _store_handle(self, task_run: TaskRun, handle: Handle) -> None:
        async def work(unit: UnitOfWork) -> None:
            await unit.runs.store_handle(task_run, handle=handle.text)

        await self._database.write(work)

    async def _flush_log(self, held: HeldTask) -> None:
        now = monotonic()
        if not held.lines or now - held.flushed_at < LOG_INTERVAL:
            return
        held.flushed_at = now
        lines = held.drain_lines()

        async def work(unit: UnitOfWork) -> None:
            if await unit.runs.holds(held.task_run):  # else another worker follows the work, and numbers its lines
                await unit.logs.append([{"task_run_id": held.task_run.id, **line} for line in lines])

        try:
            await self._database.write(work)
        except DatabaseAwayError:
            held.lines = [*lines, *held.lines]
            raise


def _work(task_run: TaskRun, udfs: tuple[WorkUdf, ...]) -> Work:
    return Work(
        task_run_id=task_run.id,
        attempt=task_run.attempt,
        playground_id=task_run.playground_id,
        type=task_run.type,
        query=task_run.text,
        connection=task_run.connection,
        timeout=None if task_run.timeout_ms is None else timedelta(milliseconds=task_run.timeout_ms),
        udfs=udfs,
    )


def _failed(code: str, message: str, *, retriable: bool = False) -> Outcome:
    return Outcome(
        status=TaskRunStatus.FAILED, ended_at=utc_now(), error_code=code, error_message=message, retriable=retriable
    )
