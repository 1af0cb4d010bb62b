"""Writing the runs of reconciliations: of the one that somebody asks for, and of those that follow a run.

What follows a run is written by the very transaction that ends it: killed at any moment, the run has not ended yet, or
its comparisons wait in the database, and are found there by the sweeper. They are work of their own from then on, and
whatever becomes of them changes nothing in the run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.domain.events import Job, JobName
from app.domain.identity import new_id
from app.domain.reconciliation.mapping import ColumnMapping, find_columns
from app.domain.status import RunStatus
from app.models import Reconciliation, Run, TaskRun
from app.store.unit_of_work import UnitOfWork


@dataclass(frozen=True, kw_only=True, slots=True)
class NewComparison:
    """Of two task runs' outputs; `run_id` is the run that it follows."""

    id: UUID
    pair: Reconciliation
    left_task_run_id: UUID
    right_task_run_id: UUID
    run_id: UUID | None = None
    idempotency_key: str | None = None


def refuse_missing_columns(mapping: Sequence[ColumnMapping], left: TaskRun, right: TaskRun) -> None:
    """Raises: InvalidError with the path of a name that the output does not have, as far as its columns are known.

    Names that stand there twice are left to the comparison: a Parquet file has others in their place.
    """
    for side, row, names in (
        ("left", left, [pair.left for pair in mapping]),
        ("right", right, [pair.right for pair in mapping]),
    ):
        labels = [column["name"] for column in row.output_columns or ()]
        if labels and len(set(labels)) == len(labels):
            find_columns(names, labels, side=f"The {side} side («{row.name}»)", path_side=side)


async def launch_comparisons(unit: UnitOfWork, new: Sequence[NewComparison], *, at: datetime) -> None:
    """Each with the mapping and the options that its pair has now."""
    if not new:
        return
    rows = [
        {
            "id": one.id,
            "reconciliation_id": one.pair.id,
            "playground_id": one.pair.playground_id,
            "run_id": one.run_id,
            "left_task_run_id": one.left_task_run_id,
            "right_task_run_id": one.right_task_run_id,
            "mapping": one.pair.mapping,
            "options": one.pair.options,
            "idempotency_key": one.idempotency_key,
        }
        for one in new
    ]
    await unit.reconciliations.launch(rows, at=at)
    unit.outbox.jobs.extend(Job(name=JobName.RECONCILE, id=one.id) for one in new)


async def follow_runs(unit: UnitOfWork, ended: Mapping[Run, RunStatus], *, at: datetime) -> None:
    """Compare each pair whose two tasks have succeeded in a run that ends now, under its playground's lock.

    What a run was cancelled for is not to go on by another name: nothing follows it.
    """
    runs = [run for run, status in ended.items() if status is not RunStatus.CANCELLED]
    pairs = await unit.reconciliations.of_playgrounds({run.playground_id for run in runs}) if runs else ()
    if not pairs:
        return
    tasks = {task_id for pair in pairs for task_id in (pair.left_task_id, pair.right_task_id)}
    outputs = await unit.runs.outputs_in([run.id for run in runs], tasks)
    new = []
    for run in runs:
        for pair in pairs:
            left, right = outputs.get((run.id, pair.left_task_id)), outputs.get((run.id, pair.right_task_id))
            # A task that is paired with itself has its runs compared with each other, by who names two of them.
            if pair.playground_id == run.playground_id and left and right and left != right:
                new.append(
                    NewComparison(id=new_id(), pair=pair, left_task_run_id=left, right_task_run_id=right, run_id=run.id)
                )
    await launch_comparisons(unit, new, at=at)
