"""Reports of comparisons: made when they are asked for, of what the row keeps, for the owner alone."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from app.domain.errors import NotFoundError
from app.domain.outputs import OutputFormat
from app.domain.reconciliation.report import Report, ReportSide, report_page
from app.domain.reconciliation.result import ReconciliationResult
from app.domain.version import product_version
from app.models import ReconciliationRun, TaskRun
from app.services.downloads import PATH, SignedLinks
from app.services.reconciliations import options_of
from app.store.database import Database

REPORTS_PATH = f"{PATH}/reports"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportDownload:
    filename: str
    page: str


class ReconciliationReports:
    """A link names a run and its owner, and is good while the run is that person's."""

    def __init__(self, *, database: Database, secret_key: str, public_url: str | None) -> None:
        self._database = database
        self._links = SignedLinks(secret_key=secret_key, public_url=public_url, path=REPORTS_PATH, kind="report")

    def url_for(self, run_id: UUID, *, owner_id: UUID) -> str:
        return self._links.url_for([run_id.hex, owner_id.hex])

    async def open(self, token: str) -> ReportDownload:
        """Raises: NotFoundError, ExpiredError."""
        run_id, owner_id = map(UUID, self._links.resolve(token))
        report = await self._report(run_id, owner_id)
        filename = f"{report.left.name} and {report.right.name}, {report.compared_at:%Y-%m-%d %H%M}.html"
        return ReportDownload(filename=filename, page=await asyncio.to_thread(report_page, report))

    async def _report(self, run_id: UUID, owner_id: UUID) -> Report:
        async with self._database.read() as unit:
            run = await unit.reconciliations.run(run_id, owner_id=owner_id, with_samples=True)
            if run is None or run.result is None:
                raise NotFoundError("There is no such report any more: its comparison was deleted.")
            sides = {row.id: row for row in await unit.runs.task_runs([run.left_task_run_id, run.right_task_run_id])}
            numbers = {row.id: row.number for row in await unit.runs.get_many({row.run_id for row in sides.values()})}
            playground = await unit.playgrounds.get(run.playground_id)
        left, right = sides[run.left_task_run_id], sides[run.right_task_run_id]
        return Report(
            title="" if playground is None else playground.name,
            left=_side(left, numbers.get(left.run_id)),
            right=_side(right, numbers.get(right.run_id)),
            result=_result(run),
            options=options_of(run.options),
            compared_at=run.started_at or run.created_at,
            duration=run.ended_at - run.started_at if run.started_at and run.ended_at else None,
            version=product_version(),
        )


def _result(run: ReconciliationRun) -> ReconciliationResult:
    return ReconciliationResult.from_document({**(run.result or {}), "samples": run.samples or {}})


def _side(row: TaskRun, number: int | None) -> ReportSide:
    csv = row.output_format is not OutputFormat.PARQUET
    return ReportSide(
        name=row.name,
        size_bytes=row.output_size_bytes,
        delimiter=(row.output_delimiter or ",") if csv else None,
        detail=f"{row.type} task, run {number}" + ("" if csv else ", Parquet"),
    )
