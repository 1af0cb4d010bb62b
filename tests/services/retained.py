"""What tests of retention share: a pass of it, runs of long ago, their files, and comparisons in the history."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import text

from app.domain.identity import new_id, utc_now
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.retention import Rules
from app.domain.status import ReconciliationStatus
from app.models import Playground, Run, TaskRun
from app.outputs.locations import differences_location
from app.services.discards import DiscardService
from app.services.retention import Pruned, RetentionService
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

DAY = timedelta(days=1)
OLD = 30 * DAY


async def prune(bench: Workbench, **rules: object) -> Pruned:
    """One pass, and the deletion of the files."""
    pruned = await RetentionService(database=bench.database, rules=Rules(**rules)).prune()  # type: ignore[arg-type]
    await DiscardService(database=bench.database, outputs=bench.process.outputs).clear()
    return pruned


async def old_runs(bench: Workbench, playground: Playground, count: int) -> list[Run]:
    """Successful runs of long ago, the oldest first."""
    async with bench.worker():
        made = [await bench.run(playground) for _ in range(count)]
    for number, run in enumerate(reversed(made)):
        await bench.age("run", "ended_at", OLD + number * DAY, [run.id])
    return made


async def numbers(bench: Workbench, playground: Playground) -> list[int]:
    rows = await bench.rows(Run.__table__.select().where(Run.__table__.c.playground_id == playground.id))
    return sorted(row.number for row in rows)


async def output(bench: Workbench, run: Run, name: str = "a") -> TaskRun:
    return (await bench.task_runs(run))[name]


def file_of(bench: Workbench, row: TaskRun) -> Path:
    assert row.output_location is not None
    return root(bench) / row.output_location


def root(bench: Workbench) -> Path:
    return bench.process.settings.outputs.directory


async def write(bench: Workbench, statement: str) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(text(statement))

    await bench.database.write(work)


async def pair(
    bench: Workbench, playground: Playground, left: TaskRun, right: TaskRun, *, status: str, age: timedelta
) -> UUID:
    """A comparison in the history, with its file."""
    assert left.task_id is not None
    assert right.task_id is not None
    row = await bench.services.reconciliations.create(
        bench.viewer, playground.id, left_task_id=left.task_id, right_task_id=right.task_id,
        mapping=[ColumnMapping(left="one", right="one")], options=ReconciliationOptions(),
    )  # fmt: skip
    return await pair_run(bench, row.id, left, right, status=status, age=age)


async def pair_run(
    bench: Workbench, reconciliation_id: UUID, left: TaskRun, right: TaskRun, *, status: str, age: timedelta
) -> UUID:
    run_id, at = new_id(), utc_now()
    location = f"{differences_location(run_id)}/differences.csv"

    async def work(unit: UnitOfWork) -> None:
        await unit.reconciliations.add_runs(
            [
                {
                    "id": run_id,
                    "reconciliation_id": reconciliation_id,
                    "playground_id": left.playground_id,
                    "left_task_run_id": left.id,
                    "right_task_run_id": right.id,
                    "mapping": [],
                    "options": {},
                    "status": ReconciliationStatus(status),
                    "progress": 1.0,
                    "created_at": at,
                    "ended_at": None if status == "PENDING" else at - age,
                    "differences_location": location,
                }
            ]
        )

    await bench.database.write(work)
    (root(bench) / location).parent.mkdir(parents=True)
    (root(bench) / location).write_text("one\n1\n")
    return run_id


async def row_of(bench: Workbench, run_id: UUID):
    async with bench.database.read() as unit:
        row = await unit.reconciliations.run(run_id)
    assert row is not None
    return row
