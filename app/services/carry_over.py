"""What a resumed run keeps of the one before it: the outputs of tasks with which nothing has changed.

A task is kept where it succeeded, its text (as the engine gets it), type, connection, format, checks and functions are
the same, its output is in the store, and it has the same parents, all of them kept.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.domain.errors import IllegalStateError
from app.domain.status import TaskRunStatus
from app.domain.udfs import TakenUdf, same_functions, taken_of
from app.models import Run, Task, TaskRun

OUTPUT = ("format", "delimiter", "size_bytes", "row_count", "columns")


@dataclass(frozen=True, kw_only=True, slots=True)
class Resumed:
    """The ended run that a new one goes on with; tasks are named by their ids in the playground."""

    run: Run
    task_runs: Mapping[UUID, TaskRun]
    parents: Mapping[UUID, Collection[UUID | None]]  # None: a parent that was deleted since
    lost: Collection[str]  # locations at which nothing lies any more


def still_chosen(tasks: Mapping[UUID, Task], before: Resumed) -> set[UUID]:
    """The old choice: what a limited run left out stays left out, and what is new since with it.

    Raises: IllegalStateError.
    """
    skipped = {task_id for task_id, row in before.task_runs.items() if row.status is TaskRunStatus.SKIPPED}
    candidates = tasks.keys() & before.task_runs.keys() if skipped else tasks.keys()
    if not (chosen := candidates - skipped):
        raise IllegalStateError(
            f"None of the tasks of run {before.run.number} is there any more; run the playground instead.",
            path=("runId",),
        )
    return chosen


def carried_over(
    order: Sequence[UUID],
    parents: Mapping[UUID, Collection[UUID]],
    tasks: Mapping[UUID, Task],
    texts: Mapping[UUID, str],
    udfs: Mapping[UUID, Sequence[TakenUdf]],
    before: Resumed,
) -> dict[UUID, TaskRun]:
    """The task runs whose outputs are kept, by task; `parents` has the chosen ones, `order` parents before children."""
    kept: dict[UUID, TaskRun] = {}
    for task_id in order:
        row = before.task_runs.get(task_id)
        if row is None or task_id not in parents or row.output_location in before.lost:
            continue
        above = set(parents[task_id])
        if above <= kept.keys() and above == set(before.parents.get(task_id, ())):
            task, text = tasks[task_id], texts.get(task_id, tasks[task_id].query)
            now = (task.type, task.connection, task.output_format, task.checks, text)
            same = now == (row.type, row.connection, row.asked_format, row.checks, row.text)
            same = same and same_functions(udfs.get(task_id, ()), taken_of(row.udfs))
            if same and row.status is TaskRunStatus.SUCCESS:
                kept[task_id] = row
    return kept


def output_columns_of(before: TaskRun | None) -> dict[str, Any]:
    """The columns of a task run that keeps the output of `before`, or has none yet."""
    if before is None:
        nothing = ("output_of_id", "output_location", "check_results", *(f"output_{name}" for name in OUTPUT))
        return {"carried_over": False} | dict.fromkeys(nothing)
    return {
        "carried_over": True,
        "output_of_id": before.output_of_id or before.id,
        "output_location": before.output_location,
        "check_results": before.check_results,
        **{f"output_{name}": getattr(before, f"output_{name}") for name in OUTPUT},
    }
