"""What a worker does with a reconciliation run: claims it, has it compared by a process, and keeps the result."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog

from app.domain.errors import DomainError
from app.domain.events import Job, JobName
from app.domain.identity import utc_now
from app.domain.reconciliation.options import Thresholds
from app.domain.status import ReconciliationStatus
from app.engines.base import EngineError
from app.models import ReconciliationRun, TaskRun
from app.outputs.base import OutputStore
from app.outputs.locations import differences_location
from app.services.comparer import compare_apart
from app.services.comparison_claims import ComparisonClaims
from app.services.comparison_request import ComparisonRequest, SideFile
from app.services.comparison_sides import ComparisonSides, ComparisonStoppedError
from app.services.distributed_comparison import DistributedComparison
from app.services.held_work import HeldWork
from app.services.reconciliations import mapping_of, options_of
from app.services.staleness import staleness
from app.store.database import Database, DatabaseAwayError
from app.store.unit_of_work import UnitOfWork

RETRY_DELAY = 0.5  # seconds between two looks whether the database is back

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    status: ReconciliationStatus
    values: dict[str, Any]
    message: str | None = None


GIVEN_BACK = Verdict(status=ReconciliationStatus.PENDING, values={})
CANCELLED = Verdict(status=ReconciliationStatus.CANCELLED, values={})


class ComparisonFailedError(Exception):
    """The comparing process says why there is no result; nothing that it has written is kept."""

    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ComparisonService:
    """`memory_limit_bytes` bounds each comparing process; `spill_dir` is for what does not fit.

    `distributed` is for what is too large for this machine.
    """

    def __init__(
        self,
        *,
        database: Database,
        outputs: OutputStore,
        held: HeldWork,
        worker_id: UUID,
        thresholds: Thresholds,
        spill_dir: Path,
        memory_limit_bytes: int | None = None,
        distributed: DistributedComparison | None = None,
    ) -> None:
        self._database = database
        self._outputs = outputs
        self._held = held
        self._worker_id = worker_id
        self._claims = ComparisonClaims(worker_id=worker_id)
        self._thresholds = thresholds
        self._spill_dir = spill_dir
        self._memory_limit_bytes = memory_limit_bytes
        self._distributed = distributed

    async def reconcile(self, run_id: UUID) -> None:
        """Claim the run whose turn it is, and carry it to its end; another worker's run is left alone."""
        run = await self._database.write(lambda unit: self._claims.claim(unit, run_id))
        if run is None:
            return
        with self._held.watching(run.id) as stop:
            try:
                verdict = await self._verdict(run, stop)
            except asyncio.CancelledError:  # this worker must go
                await asyncio.shield(self._end(run, GIVEN_BACK))
                raise
            while True:
                try:
                    await self._end(run, verdict)
                except DatabaseAwayError:  # what was found out is not thrown away
                    log.warning("comparison.end_waits", reconciliation_run_id=run.id.hex)
                    await asyncio.sleep(RETRY_DELAY)
                else:
                    return

    async def _verdict(self, run: ReconciliationRun, stop: asyncio.Event) -> Verdict:
        try:
            return await self._compare(run, stop)
        except DatabaseAwayError:
            return GIVEN_BACK  # for another try
        except ComparisonStoppedError:
            return CANCELLED
        except (ComparisonFailedError, DomainError, EngineError) as error:
            return _failed(str(error.code), error.message)
        except OSError as error:  # of a store that is a folder, or of the machine
            where = f" ({error.filename})" if error.filename else ""
            return _failed(
                "STORAGE",
                f"The comparison could not be done: {error.strerror or error}{where}. Mend that, then run it again.",
            )
        except Exception:  # a fault of ours must end the run, not the worker
            log.exception("comparison.crashed", reconciliation_run_id=run.id.hex)
            return _failed("INTERNAL", "The comparison failed in an unforeseen way; the server's log tells more.")

    async def _compare(self, run: ReconciliationRun, stop: asyncio.Event) -> Verdict:
        async with self._database.read() as unit:
            rows = {row.id: row for row in await unit.runs.task_runs([run.left_task_run_id, run.right_task_run_id])}
            left, right = rows[run.left_task_run_id], rows[run.right_task_run_id]
            warnings = await staleness(unit, run, left, right)
        location = f"{differences_location(run.id)}/differences.csv"
        if self._distributed is not None and await self._distributed.takes(run, left, right):
            report = partial(self._report, run.id)
            document = await self._distributed.compare(run, left, right, stop=stop, location=location, report=report)
        else:
            await asyncio.to_thread(self._spill_dir.mkdir, parents=True, exist_ok=True)
            document = await self._in_process(run, left, right, location, stop)
        size = await self._outputs.size(location)
        return _success(document, location, size, warnings)

    async def _in_process(
        self, run: ReconciliationRun, left: TaskRun, right: TaskRun, location: str, stop: asyncio.Event
    ) -> dict[str, Any]:
        """The result; the differences lie at the location from then on, and nothing where there is no result.

        Raises: ComparisonStoppedError, ComparisonFailedError, DomainError.
        """
        sides = ComparisonSides(
            outputs=self._outputs, stop=stop, tell=lambda message: self._report(run.id, 0.0, message)
        )
        async with (
            sides.file("left", left) as left_file,
            sides.file("right", right) as right_file,
            self._outputs.stage(location) as path,
        ):
            request = self._request(run, left_file, right_file, path)
            news = await compare_apart(request, stop=stop, report=lambda share: self._report(run.id, share))
            if "error" in news:
                raise ComparisonFailedError(**news["error"])
            if "result" not in news:
                raise ComparisonStoppedError
        document: dict[str, Any] = news["result"]
        return document

    def _request(self, run: ReconciliationRun, left: SideFile, right: SideFile, path: Path) -> ComparisonRequest:
        return ComparisonRequest(
            left=left,
            right=right,
            mapping=mapping_of(run.mapping),
            options=options_of(run.options),
            thresholds=self._thresholds,
            spill_dir=str(self._spill_dir),
            differences_path=str(path),
            memory_limit_bytes=self._memory_limit_bytes,
        )

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
            at = utc_now()
            fresh = await unit.reconciliations.run(run.id, lock=True)
            if fresh is None:  # deleted meanwhile, perhaps before there was a file to delete with it
                await unit.discards.add([differences_location(run.id)], at=at)
                return
            what = CANCELLED if verdict is GIVEN_BACK and fresh.cancel_requested else verdict
            ended = {"ended_at": at} if what.status.ended else {}
            moved = await unit.reconciliations.transition(
                fresh,
                what.status,
                at=at,
                held_by=self._worker_id,
                message=what.message,
                worker_id=None,
                **ended,
                **what.values,
            )
            if moved and what is GIVEN_BACK:
                unit.outbox.jobs.append(Job(name=JobName.RECONCILE, id=run.id))

        await self._database.write(work)


def _success(document: dict[str, Any], location: str, size_bytes: int, warnings: list[str]) -> Verdict:
    samples = document.pop("samples")
    document["warnings"] = [*document["warnings"], *warnings]
    return Verdict(
        status=ReconciliationStatus.SUCCESS,
        values={
            "progress": 1.0,
            "result": document,
            "samples": samples,
            "differences_location": location,
            "differences_size_bytes": size_bytes,
        },
        message="All rows match." if document["matched"] else "The outputs differ.",
    )


def _failed(code: str, message: str) -> Verdict:
    return Verdict(
        status=ReconciliationStatus.FAILED, values={"error_code": code, "error_message": message}, message=message
    )
