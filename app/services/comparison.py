"""What a worker does with a reconciliation run: claims it, compares in a process of its own, keeps the result."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import orjson
import structlog

from app.domain.errors import DomainError, UnavailableError
from app.domain.identity import utc_now
from app.domain.reconciliation.options import Thresholds
from app.domain.status import ReconciliationStatus
from app.models import ReconciliationRun, TaskRun
from app.outputs.base import OutputStore
from app.outputs.locations import differences_location
from app.services.comparison_process import ComparisonRequest
from app.services.comparison_sides import ComparisonSides, ComparisonStoppedError
from app.services.held_work import HeldWork
from app.services.reconciliations import mapping_of, options_of
from app.store.database import Database, DatabaseAwayError
from app.store.unit_of_work import UnitOfWork

REPORT_INTERVAL = 0.25  # seconds between two events of progress
RETRY_DELAY = 0.5  # seconds between two looks whether the database is back
STOP_GRACE = 5.0
NEWS_LIMIT = 64 * 2**20  # the samples come in one line

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    status: ReconciliationStatus
    values: dict[str, Any]
    message: str | None = None


class ComparisonService:
    def __init__(
        self,
        *,
        database: Database,
        outputs: OutputStore,
        held: HeldWork,
        worker_id: UUID,
        thresholds: Thresholds,
        spill_dir: Path,
    ) -> None:
        self._database = database
        self._outputs = outputs
        self._held = held
        self._worker_id = worker_id
        self._thresholds = thresholds
        self._spill_dir = spill_dir

    async def reconcile(self, run_id: UUID) -> None:
        """Claim the run and carry it to its end; another worker's run is left alone."""
        run = await self._database.write(lambda unit: self._claim(unit, run_id))
        if run is None:
            return
        with self._held.watching(run_id) as stop:
            try:
                verdict = await self._compare(run, stop)
            except DatabaseAwayError:
                verdict = Verdict(status=ReconciliationStatus.PENDING, values={})  # given back, for another try
            except ComparisonStoppedError:
                verdict = Verdict(status=ReconciliationStatus.CANCELLED, values={})
            except DomainError as error:
                verdict = _failed(str(error.code), error.message)
            except asyncio.CancelledError:
                await asyncio.shield(self._end(run, Verdict(status=ReconciliationStatus.PENDING, values={})))
                raise
            except Exception:  # a fault of ours must end the run, not the worker
                log.exception("comparison.crashed", reconciliation_run_id=run_id.hex)
                verdict = _failed(
                    "INTERNAL", "The comparison failed in an unforeseen way; the server's log tells more."
                )
            while True:
                try:
                    await self._end(run, verdict)
                except DatabaseAwayError:  # what was found out is not thrown away
                    log.warning("comparison.end_waits", reconciliation_run_id=run_id.hex)
                    await asyncio.sleep(RETRY_DELAY)
                else:
                    return

    async def _claim(self, unit: UnitOfWork, run_id: UUID) -> ReconciliationRun | None:
        run = await unit.reconciliations.run(run_id, lock=True)
        if run is None or run.status.ended:
            return None
        at = utc_now()
        if run.cancel_requested and run.status is ReconciliationStatus.PENDING:  # given back after it was cancelled
            await unit.reconciliations.transition(run, ReconciliationStatus.CANCELLED, at=at, ended_at=at)
            return None
        if run.status is ReconciliationStatus.RUNNING:
            if run.worker_id is not None and await unit.workers.exists(run.worker_id):
                return None
            await unit.reconciliations.transition(
                run, ReconciliationStatus.PENDING, at=at, message="The worker was lost; the comparison starts again."
            )
            run = await unit.reconciliations.run(run_id, lock=True)
            if run is None:
                return None
        if not await unit.reconciliations.transition(
            run,
            ReconciliationStatus.RUNNING,
            at=at,
            worker_id=self._worker_id,
            started_at=at,
            progress=0.0,
        ):
            return None
        return await unit.reconciliations.run(run_id)

    async def _compare(self, run: ReconciliationRun, stop: asyncio.Event) -> Verdict:
        async with self._database.read() as unit:
            rows = {row.id: row for row in await unit.runs.task_runs([run.left_task_run_id, run.right_task_run_id])}
            runs = {row.id: row.number for row in await unit.runs.get_many([row.run_id for row in rows.values()])}
        left, right = rows[run.left_task_run_id], rows[run.right_task_run_id]
        location = f"{differences_location(run.id)}/differences.csv"
        await asyncio.to_thread(self._spill_dir.mkdir, parents=True, exist_ok=True)
        sides = ComparisonSides(
            outputs=self._outputs, stop=stop, tell=lambda message: self._report(run.id, 0.0, message)
        )
        async with (
            sides.file("left", left) as left_file,
            sides.file("right", right) as right_file,
            self._outputs.stage(location) as path,
        ):
            request = ComparisonRequest(
                left=left_file,
                right=right_file,
                mapping=mapping_of(run.mapping),
                options=options_of(run.options),
                thresholds=self._thresholds,
                spill_dir=str(self._spill_dir),
                differences_path=str(path),
            )
            news = await self._in_process(request, stop, lambda share: self._report(run.id, share))
            if "result" not in news:
                await asyncio.to_thread(path.touch)
        if news.get("cancelled"):
            return Verdict(status=ReconciliationStatus.CANCELLED, values={})
        if "error" in news:
            return _failed(news["error"]["code"], news["error"]["message"])
        return self._success(news["result"], location, await self._outputs.size(location), stale(left, right, runs))

    def _success(self, document: dict[str, Any], location: str, size: int, warnings: list[str]) -> Verdict:
        samples = document.pop("samples")
        document["warnings"] = [*document["warnings"], *warnings]
        return Verdict(
            status=ReconciliationStatus.SUCCESS,
            values={
                "progress": 1.0,
                "result": document,
                "samples": samples,
                "differences_location": location,
                "differences_size_bytes": size,
            },
            message="All rows match." if document["matched"] else "The outputs differ.",
        )

    async def _in_process(
        self, request: ComparisonRequest, stop: asyncio.Event, report: Callable[[float], Awaitable[None]]
    ) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "app.services.comparison_process",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=NEWS_LIMIT,
        )
        if process.stdin is None or process.stdout is None:
            raise AssertionError
        stopper = asyncio.create_task(_close_when(stop, process.stdin))
        try:
            process.stdin.write(request.to_line())
            last, reported = {}, 0.0
            async for line in process.stdout:
                last = orjson.loads(line)
                if "progress" in last and monotonic() - reported >= REPORT_INTERVAL:
                    reported = monotonic()
                    await report(last["progress"])
            await process.wait()
        finally:
            stopper.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        if "progress" in last or not last:
            raise UnavailableError(
                f"The comparing process ended without a result (status {process.returncode}); it may have been killed "
                f"for want of memory."
            )
        return last

    async def _report(self, run_id: UUID, share: float, message: str | None = None) -> None:
        async def work(unit: UnitOfWork) -> None:
            run = await unit.reconciliations.run(run_id, lock=True)
            if run is None or run.status is not ReconciliationStatus.RUNNING or run.worker_id != self._worker_id:
                return
            await unit.reconciliations.report_progress(run, at=utc_now(), progress=share, message=message)

        with suppress(DatabaseAwayError):  # the next report comes soon
            await self._database.write(work)

    async def _end(self, run: ReconciliationRun, verdict: Verdict) -> None:
        async def work(unit: UnitOfWork) -> None:
            fresh = await unit.reconciliations.run(run.id, lock=True)
            if fresh is None:
                return
            at = utc_now()
            ended = {"ended_at": at} if verdict.status.ended else {}
            await unit.reconciliations.transition(
                fresh,
                verdict.status,
                at=at,
                held_by=self._worker_id,
                message=verdict.message,
                worker_id=None,
                **ended,
                **verdict.values,
            )

        await self._database.write(work)


def stale(left: TaskRun, right: TaskRun, numbers: dict[UUID, int]) -> list[str]:
    """A sentence where the two outputs come from different runs of the playground."""
    if left.run_id == right.run_id:
        return []
    numbered = f"the left one of run {numbers.get(left.run_id)}, the right one of run {numbers.get(right.run_id)}"
    return [f"The outputs are of different runs: {numbered}."]


async def _close_when(stop: asyncio.Event, pipe: asyncio.StreamWriter) -> None:
    await stop.wait()
    with suppress(OSError):
        pipe.close()


def _failed(code: str, message: str) -> Verdict:
    return Verdict(
        status=ReconciliationStatus.FAILED, values={"error_code": code, "error_message": message}, message=message
    )
