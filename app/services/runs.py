"""Runs: launching, cancelling and finding them. What a worker does with a run is in app.services.execution."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from app.domain.errors import IllegalStateError, InvalidError, PrunedError
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.status import RunStatus, RunTrigger
from app.models import Run, TaskAttempt, TaskRun
from app.outputs.locations import writer_of
from app.services.launching import LaneOf, Launch, refuse_second, snapshot
from app.services.playgrounds import not_found
from app.services.rollup import cancel_open
from app.store.database import Database
from app.store.pages import Page, PageRequest
from app.store.unit_of_work import UnitOfWork

MAX_KEY = 200


class RunService:
    """`lane_of` names the engine that a task of a type and a connection will run on."""

    def __init__(self, *, database: Database, lane_of: LaneOf) -> None:
        self._database = database
        self._lane_of = lane_of

    async def launch(self, viewer: Viewer, playground_id: UUID, launch: Launch) -> Run:
        """Snapshot the playground's tasks and edges into a new run, and have it started.

        Raises: NotFoundError, InvalidError; ConflictError naming the run that is on. An idempotency key that was
        seen before gives the run that it made.
        """
        key = launch.idempotency_key
        if key is not None and not 0 < len(key) <= MAX_KEY:
            raise InvalidError(f"An idempotency key has 1 to {MAX_KEY} characters.", path=("idempotencyKey",))
        run_id, at = new_id(), utc_now()
        tried = False

        async def work(unit: UnitOfWork) -> Run:
            nonlocal tried
            ledger = await unit.open_ledger(playground_id)
            if ledger is None or ledger.playground.owner_id != viewer.user_id:
                raise not_found("playground", path=("playgroundId",))
            if key is not None and (seen := await unit.runs.by_idempotency_key(playground_id, key)) is not None:
                return seen
            if tried and (made := await unit.runs.fresh(run_id)) is not None:
                return made  # this very launch was committed, and the connection lost before it was told
            tried = True
            await refuse_second(unit, ledger, path=("playgroundId",))
            await snapshot(unit, ledger, run_id=run_id, launch=launch, at=at, lane_of=self._lane_of)
            return await _row(unit, run_id)

        return await self._database.write(work)

    async def cancel(self, viewer: Viewer, run_id: UUID) -> Run:
        """Cancel what waits, and have what runs stopped in its engine; the request outlives every process.

        Raises: NotFoundError; IllegalStateError where the run has ended.
        """
        at = utc_now()
        tried = False

        async def work(unit: UnitOfWork) -> Run:
            nonlocal tried
            run = await unit.runs.get(run_id, owner_id=viewer.user_id)
            ledger = None if run is None else await unit.open_ledger(run.playground_id)
            if run is None or ledger is None:
                raise not_found("run", path=("runId",))
            run = await _row(unit, run_id)
            if run.cancel_requested and (tried or not run.status.ended):
                return run
            tried = True
            if run.status.ended:
                raise IllegalStateError(f"Run {run.number} has ended already ({run.status}).", path=("runId",))
            await cancel_open(unit, ledger, run, at=at)
            return await _row(unit, run_id)

        return await self._database.write(work)

    async def get(self, viewer: Viewer, run_id: UUID) -> Run | None:
        async with self._database.read() as unit:
            return await unit.runs.get(run_id, owner_id=viewer.user_id)

    async def task_run(self, viewer: Viewer, task_run_id: UUID) -> TaskRun | None:
        async with self._database.read() as unit:
            return await unit.runs.task_run(task_run_id, owner_id=viewer.user_id)

    async def by_output(self, viewer: Viewer, location: str) -> TaskRun:
        """The task run of the viewer whose output lies at `location`.

        Raises: NotFoundError, PrunedError.
        """
        try:
            writer = writer_of(location)
        except (ValueError, IndexError) as error:
            raise not_found("output", path=("location",)) from error
        async with self._database.read() as unit:
            row = await unit.runs.by_output(location, writer=writer, owner_id=viewer.user_id)
        if row is None:
            raise not_found("output", path=("location",))
        refuse_pruned(row, path=("location",))
        return row

    async def page(
        self,
        playground_id: UUID,
        request: PageRequest,
        *,
        statuses: Collection[RunStatus] | None = None,
        triggers: Collection[RunTrigger] | None = None,
    ) -> Page[Run]:
        async with self._database.read() as unit:
            return await unit.runs.page(playground_id, request, statuses=statuses, triggers=triggers)

    # ---- many at once

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, Run]:
        async with self._database.read() as unit:
            return {run.id: run for run in await unit.runs.get_many(ids)}

    async def task_runs(self, ids: Collection[UUID]) -> Mapping[UUID, TaskRun]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.runs.task_runs(ids)}

    async def task_runs_of(self, run_ids: Collection[UUID]) -> Mapping[UUID, Sequence[TaskRun]]:
        found: dict[UUID, list[TaskRun]] = {run_id: [] for run_id in run_ids}
        async with self._database.read() as unit:
            for row in await unit.runs.task_runs_of(run_ids):
                found[row.run_id].append(row)
        return found

    async def attempts_of(self, task_run_ids: Collection[UUID]) -> Mapping[UUID, Sequence[TaskAttempt]]:
        found: dict[UUID, list[TaskAttempt]] = defaultdict(list)
        async with self._database.read() as unit:
            for row in await unit.runs.attempts_of(task_run_ids):
                found[row.task_run_id].append(row)
        return found


def refuse_pruned(task_run: TaskRun, *, path: tuple[str, ...] = ()) -> None:
    """Raises: PrunedError where the file of its output was deleted by the rules of retention."""
    if task_run.output_pruned_at is not None:
        raise PrunedError(
            f"This output of «{task_run.name}» was deleted on {task_run.output_pruned_at:%Y-%m-%d} by the rules of "
            f"retention; run the task again.",
            path=path,
        )


async def _row(unit: UnitOfWork, run_id: UUID) -> Run:
    run = await unit.runs.fresh(run_id)
    if run is None:
        raise not_found("run", path=("runId",))
    return run
