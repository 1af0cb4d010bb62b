"""What is said of a comparison whose outputs are not of one run, or not of the newest one."""

from uuid import UUID

from app.domain.status import TaskRunStatus
from app.models import ReconciliationRun, TaskRun
from app.store.unit_of_work import UnitOfWork


async def staleness(unit: UnitOfWork, comparison: ReconciliationRun, left: TaskRun, right: TaskRun) -> list[str]:
    """Sentences; none where both sides were made by the newest run when the comparison was asked for."""
    newer = []
    if comparison.run_id is None:  # what follows a run is of that run
        for side in (left, right):
            row = await unit.runs.newest_of_task(side.task_id, before=comparison.id) if side.task_id else None
            newer.append(None if row is None or row.id in {left.id, right.id} else row)
    made = {row.id: row for row in await unit.runs.task_runs([row.output_of_id or row.id for row in (left, right)])}
    rows = [left, right, *made.values(), *(row for row in newer if row is not None)]
    numbers = {run.id: run.number for run in await unit.runs.get_many({row.run_id for row in rows})}
    found = []
    if left.run_id != right.run_id:
        left_number, right_number = numbers.get(left.run_id), numbers.get(right.run_id)
        numbered = f"the left one of run {left_number}, the right one of run {right_number}"
        found.append(f"The outputs are of different runs: {numbered}.")
    for name, side in (("left", left), ("right", right)):
        if side.output_of_id is not None:
            found.append(_carried(name, side, made.get(side.output_of_id), numbers))
    for name, row in zip(("left", "right"), newer, strict=False):
        if row is not None:
            found.append(f"The {name} output is stale: run {numbers[row.run_id]} is newer, and {_there(row)}.")
    return found


def _carried(name: str, side: TaskRun, made: TaskRun | None, numbers: dict[UUID, int]) -> str:
    origin = "an earlier run" if made is None else f"run {numbers[made.run_id]}"
    return f"The {name} output was made in {origin}, and carried over into run {numbers[side.run_id]}."


def _there(row: TaskRun) -> str:
    match row.status:
        case TaskRunStatus.SUCCESS:
            return f"there «{row.name}» has made another output"
        case status if status.ended:
            return f"there «{row.name}» was {status}"
        case _:
            return f"there «{row.name}» had not ended"
