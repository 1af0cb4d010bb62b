"""Pairs of tasks, and their comparisons, for tests of what stands around them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.models import Playground, Reconciliation, ReconciliationRun, Run, Task
from app.services.reconciliations import Comparison
from tests.support.workbench import Workbench


async def pair_of(
    bench: Workbench, playground: Playground, left: Task, right: Task, *, column: str = "one", **options: Any
) -> Reconciliation:
    return await bench.services.reconciliations.create(
        bench.viewer,
        playground.id,
        left_task_id=left.id,
        right_task_id=right.id,
        mapping=[ColumnMapping(left=column, right="one")],
        options=ReconciliationOptions(**options),
    )


async def launched(bench: Workbench, pair: Reconciliation, **values: Any) -> ReconciliationRun:
    return await bench.services.reconciliations.launch(bench.viewer, pair.id, Comparison(**values))


async def following(bench: Workbench, run: Run) -> Sequence[ReconciliationRun]:
    """The comparisons that follow a run."""
    return [row[0] for row in await bench.rows(select(ReconciliationRun).where(ReconciliationRun.run_id == run.id))]


async def row_of(bench: Workbench, run_id: UUID) -> ReconciliationRun:
    row = await bench.services.reconciliations.run(bench.viewer, run_id)
    assert row is not None
    return row


async def ended(bench: Workbench, run_id: UUID) -> ReconciliationRun:
    """The comparison, once it has ended."""

    async def over() -> bool:
        return (await row_of(bench, run_id)).status.ended

    await bench.until(over)
    return await row_of(bench, run_id)
