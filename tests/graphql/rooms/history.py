"""Playgrounds with everything that the API can tell of one, in the numbers that a test asks for."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, update

from app.domain.identity import new_id, utc_now
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.result import ColumnDifference, DifferenceKind, ReconciliationResult, RowDifference
from app.domain.status import BackfillStatus, ReconciliationStatus, TaskRunStatus
from app.models import (
    Backfill,
    Playground,
    Reconciliation,
    ReconciliationRun,
    Run,
    Task,
    TaskAttempt,
    TaskRun,
    Udf,
)
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

Grown = Mapping[str, Sequence[UUID]]  # ids by the name of their type

MAPPING = ColumnMapping(left="one", right="one")
OUTPUT = {
    "status": TaskRunStatus.SUCCESS, "output_location": "2026/a/b/c/1/output.csv", "output_format": "CSV",
    "output_delimiter": ",", "output_size_bytes": 5, "output_row_count": 1,
    "output_columns": [{"name": "one", "type": "INTEGER"}, {"name": "two", "type": "INTEGER"}],
}  # fmt: skip
CHECKS = [{"kind": "NOT_NULL", "column": "one", "arguments": {}, "severity": "WARN"}]
RESULTS = [{"passed": False, "failing_row_count": 1, "message": "One row has no value."}]
PARAMETERS = {"region": "north", "limit": 5}
TAKEN = [
    {
        "function_name": "f", "class_name": "a.F", "kind": "HIVE", "jar_sha256": "0", "location": "udfs/0/0.jar",
        "parameter_types": [], "return_type": None,
    }
]  # fmt: skip
ERROR = {
    "status": TaskRunStatus.FAILED, "error_code": "SYNTAX", "error_message": "There is no column.",
    "error_retriable": False,
}  # fmt: skip


async def grow(bench: Workbench, *, playgrounds: int, runs: int, tasks: int) -> Grown:
    """A chain of tasks in each playground; of each run some succeeded, some failed, and two were compared."""
    grown: dict[str, list[UUID]] = defaultdict(list)
    for _ in range(playgrounds):
        names = [f"task-{number}" for number in range(tasks)]
        playground, by_name = await bench.graph(dict(zip(names, ["", *names], strict=False)) | {"last": ""})
        rows = list(by_name.values())
        pair = await bench.services.reconciliations.create(
            bench.viewer, playground.id, left_task_id=rows[0].id, right_task_id=rows[1].id, mapping=[MAPPING],
            options=ReconciliationOptions(),
        )  # fmt: skip
        udf = await bench.udf(f"f_{new_id().hex}")
        await bench.database.write(lambda unit, rows=rows, udf=udf: with_udf(unit, rows, udf))
        grown["Udf"].append(udf.id)
        grown["Playground"].append(playground.id)
        grown["Task"] += [row.id for row in rows]
        grown["Reconciliation"].append(pair.id)
        for _ in range(runs):
            run = await bench.launch(playground)
            await bench.services.runs.cancel(bench.viewer, run.id)
            task_runs = list((await bench.task_runs(run)).values())
            values = await past(bench, playground, run, task_runs, pair)
            grown["Run"].append(run.id)
            grown["TaskRun"] += [row.id for row in task_runs]
            grown["ReconciliationRun"].append(values)
    return grown


async def with_udf(unit: UnitOfWork, tasks: Sequence[Task], udf: Udf) -> None:
    for task in tasks:
        await unit.udfs.set_of_task(task.id, [udf.id])


async def past(
    bench: Workbench, playground: Playground, run: Run, task_runs: Sequence[TaskRun], pair: Reconciliation
) -> UUID:
    """Write into the rows what engines and a comparison would have left there; the reconciliation run's id."""
    pair_run, backfill, at = new_id(), new_id(), utc_now()
    document = result().to_document()
    samples = document.pop("samples")

    async def work(unit: UnitOfWork) -> None:
        session = unit._session
        for index, row in enumerate(task_runs):
            await session.execute(
                update(TaskRun)
                .where(TaskRun.id == row.id)
                .values(udfs=TAKEN, checks=CHECKS, check_results=RESULTS, **(ERROR if index % 2 else OUTPUT))
            )
        await session.execute(insert(TaskAttempt), [attempt(row, at) for row in task_runs])
        await session.execute(
            insert(Backfill).values(
                id=backfill, playground_id=playground.id, status=BackfillStatus.SUCCESS, from_at=at, until_at=at,
                cron="@daily", timezone="UTC", max_concurrent_runs=1, rerun=False, fire_count=1, left_out_count=0,
                created_at=at,
            )
        )  # fmt: skip
        changed = {"query": "SELECT 1 AS one", "checks": CHECKS}
        await session.execute(update(Task).where(Task.playground_id == playground.id).values(**changed))
        changes = {"resumed_from_id": run.id, "backfill_id": backfill, "parameters": PARAMETERS}
        await session.execute(update(Run).where(Run.id == run.id).values(**changes))
        changes = {"schedule_cron": "@daily", "schedule_paused": True, "parameters": PARAMETERS}
        await session.execute(update(Playground).where(Playground.id == playground.id).values(**changes))
        await session.execute(
            insert(ReconciliationRun).values(
                id=pair_run, reconciliation_id=pair.id, playground_id=playground.id, left_task_run_id=task_runs[0].id,
                right_task_run_id=task_runs[1].id, mapping=pair.mapping, options=pair.options, progress=1.0,
                status=ReconciliationStatus.SUCCESS, event_sequence=0, created_at=at, result=document,
                samples=samples, error_code="NONE",
            )
        )  # fmt: skip

    await bench.database.write(work)
    return pair_run


def attempt(row: TaskRun, at: datetime) -> dict[str, Any]:
    return {
        "task_run_id": row.id, "attempt": 1, "status": TaskRunStatus.FAILED, "started_at": at, "ended_at": at,
        "error_code": "SYNTAX",
    }  # fmt: skip


def result() -> ReconciliationResult:
    row = RowDifference(
        kind=DifferenceKind.CHANGED, rows=1, key=None, left=("1",), right=("2",), changed_columns=("one",),
        left_count=1, right_count=1,
    )  # fmt: skip
    counts: dict[str, Any] = {
        f"{name}_row_count": 1 for name in ("left", "right", "common", "changed", "left_only", "right_only")
    }
    return ReconciliationResult(
        matched=False, exact=True, false_positive_rate=None, method=ReconciliationMethod.EXACT, mapping=(MAPPING,),
        columns=(ColumnDifference(left="one", right="one", differing_row_count=1, max_absolute_difference=1.0),),
        samples={DifferenceKind.CHANGED: (row, row)}, warnings=(), **counts,
    )  # fmt: skip
