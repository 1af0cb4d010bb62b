"""Resuming: a new run that keeps what has succeeded in an ended one, and runs the rest."""

from collections.abc import Sequence
from uuid import UUID

from app.domain.errors import IllegalStateError, NotFoundError
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.status import RunTrigger, TaskRunStatus
from app.models import Run, TaskRun
from app.outputs.base import OutputStore
from app.services.carry_over import Resumed
from app.services.launching import LaneOf, Launch, refuse_second, snapshot
from app.services.playgrounds import not_found
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork


class ResumeService:
    """`lane_of` names the engine that a task of a type and a connection will run on."""

    def __init__(self, *, database: Database, outputs: OutputStore, lane_of: LaneOf) -> None:
        self._database = database
        self._outputs = outputs
        self._lane_of = lane_of

    async def resume(self, viewer: Viewer, run_id: UUID) -> Run:
        """Raises: NotFoundError; IllegalStateError where the run is on, or has left nothing to do; ConflictError."""
        new_run_id, at = new_id(), utc_now()
        lost = await self._lost_outputs(run_id)
        tried = False

        async def work(unit: UnitOfWork) -> Run:
            nonlocal tried
            run = await unit.runs.get(run_id, owner_id=viewer.user_id)
            ledger = None if run is None else await unit.open_ledger(run.playground_id)
            run = await unit.runs.fresh(run_id)
            if run is None or ledger is None:
                raise not_found("run", path=("runId",))
            if tried and (made := await unit.runs.fresh(new_run_id)) is not None:
                return made  # this very launch was committed, and the connection lost before it was told
            tried = True
            if not run.status.ended:
                raise IllegalStateError(
                    f"Run {run.number} is still on; wait for its end, or cancel it first.", path=("runId",)
                )
            await refuse_second(unit, ledger, path=("runId",))
            launch = Launch(trigger=RunTrigger.RESUME, resumed=await _resumed(unit, run, lost))
            await snapshot(unit, ledger, run_id=new_run_id, launch=launch, at=at, lane_of=self._lane_of)
            if (made := await unit.runs.fresh(new_run_id)) is None:
                raise not_found("run", path=("runId",))
            return made

        return await self._database.write(work)

    async def _lost_outputs(self, run_id: UUID) -> set[str]:
        """Where the store has nothing (any more) of what the run's tasks have given."""
        async with self._database.read() as unit:
            rows = await unit.runs.task_runs_of([run_id])
        lost: set[str] = set()
        for row in rows:
            if row.status is TaskRunStatus.SUCCESS and row.output_location is not None:
                if row.output_pruned_at is not None:
                    lost.add(row.output_location)
                    continue
                try:
                    await self._outputs.size(row.output_location)
                except NotFoundError:
                    lost.add(row.output_location)
        return lost


async def _resumed(unit: UnitOfWork, run: Run, lost: set[str]) -> Resumed:
    rows: Sequence[TaskRun] = await unit.runs.task_runs_of([run.id])
    tasks = {row.id: row.task_id for row in rows}
    parents: dict[UUID, list[UUID | None]] = {}
    for parent, children in (await unit.runs.children_of_run(run.id)).items():
        for child in children:
            if (task_id := tasks[child]) is not None:
                parents.setdefault(task_id, []).append(tasks[parent])
    task_runs = {row.task_id: row for row in rows if row.task_id is not None}
    return Resumed(run=run, task_runs=task_runs, parents=parents, lost=lost)
