"""Runs: launching, cancelling and finding them. What a worker does with a run is in app.services.execution."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.dispatch import Pool
from app.domain.errors import ConflictError, DomainError, IllegalStateError, InvalidError, NotFoundError, PrunedError
from app.domain.events import Job, JobName, cancel_topic
from app.domain.graph import through, topological_order
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.domain.tasks import TaskType
from app.models import Event, Run, Task, TaskRun
from app.services.playgrounds import not_found
from app.services.rollup import finish_if_done
from app.store.database import Database
from app.store.ledger import Ledger
from app.store.pages import Page, PageRequest
from app.store.unit_of_work import UnitOfWork

LaneOf = Callable[[TaskType, str | None], str]
MAX_KEY = 200
TASK_RUN_PART = 3  # of a location: date / playground / run / task run / attempt / file


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What to run, and why."""

    trigger: RunTrigger = RunTrigger.AD_HOC
    task_ids: Sequence[UUID] | None = None
    idempotency_key: str | None = None
    scheduled_for: datetime | None = None


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

        async def work(unit: UnitOfWork) -> Run:
            ledger = await unit.open_ledger(playground_id)
            if ledger is None or ledger.playground.owner_id != viewer.user_id:
                raise not_found("playground", path=("playgroundId",))
            if key is not None and (seen := await unit.runs.by_idempotency_key(playground_id, key)) is not None:
                return seen
            if ledger.playground.active_run_id not in {None, run_id}:
                raise await _conflict(unit, ledger)
            if ledger.playground.active_run_id is None:
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
            await unit.runs.request_cancel(run_id)
            ledger.record(run_id=run_id, status=run.status, at=at, message="Cancelling was asked for.")
            waiting = (TaskRunStatus.PENDING, TaskRunStatus.QUEUED)
            await ledger.transition_all(run_id, TaskRunStatus.CANCELLED, at=at, sources=waiting, ended_at=at)
            await finish_if_done(unit, ledger, run_id, at=at)
            unit.outbox.ring(cancel_topic())
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
        parts = location.split("/")
        try:
            task_run_id = UUID(parts[TASK_RUN_PART])
        except (ValueError, IndexError):
            task_run_id = None
        row = None if task_run_id is None else await self.task_run(viewer, task_run_id)
        if row is None or row.output_location != location:
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

    async def events(self, run: Run, *, after: int, limit: int) -> Sequence[Event]:
        async with self._database.read() as unit:
            return await unit.runs.events_after(run.playground_id, after, limit=limit, run_id=run.id)

    # ---- many at once, for data loaders

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

    async def counts_of(self, run_ids: Collection[UUID]) -> Mapping[UUID, Mapping[TaskRunStatus, int]]:
        found: dict[UUID, dict[TaskRunStatus, int]] = defaultdict(dict)
        async with self._database.read() as unit:
            for run_id, status, count in await unit.runs.counts_of(run_ids):
                found[run_id][status] = count
        return found

    async def last_of_playgrounds(self, playground_ids: Collection[UUID]) -> Mapping[UUID, Run]:
        async with self._database.read() as unit:
            return {run.playground_id: run for run in await unit.runs.last_of_playgrounds(playground_ids)}

    async def last_of_tasks(self, task_ids: Collection[UUID]) -> Mapping[UUID, TaskRun]:
        async with self._database.read() as unit:
            return {row.task_id: row for row in await unit.runs.last_of_tasks(task_ids) if row.task_id is not None}


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """A run to be made of a playground whose lock is held."""

    ledger: Ledger
    run_id: UUID
    launch: Launch


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """The rows of a run: a playground's tasks and edges as they are now."""

    run: Mapping[str, Any]
    task_runs: Sequence[Mapping[str, Any]]
    edges: Sequence[Mapping[str, Any]]


async def snapshot(
    unit: UnitOfWork, ledger: Ledger, *, run_id: UUID, launch: Launch, at: datetime, lane_of: LaneOf
) -> None:
    """Write the run, its task runs and their edges, make it the playground's active run, and queue its roots.

    Raises: InvalidError, NotFoundError.
    """
    start = Start(ledger=ledger, run_id=run_id, launch=launch)
    for error in (await snapshot_many(unit, [start], at=at, lane_of=lane_of)).values():
        raise error


async def snapshot_many(
    unit: UnitOfWork, starts: Sequence[Start], *, at: datetime, lane_of: LaneOf
) -> dict[Ledger, DomainError]:
    """`snapshot` of many playgrounds by as many statements as one takes; tells what was refused, and why."""
    ids = [start.ledger.playground.id for start in starts]
    tasks: dict[UUID, dict[UUID, Task]] = {playground_id: {} for playground_id in ids}
    parents: dict[UUID, set[UUID]] = defaultdict(set)
    if ids:
        for task in await unit.tasks.of_playgrounds(ids):
            tasks[task.playground_id][task.id] = task
        for edge in await unit.tasks.edges_of_playgrounds(ids):
            parents[edge.child_id].add(edge.parent_id)
    made: dict[Ledger, Snapshot] = {}
    refused: dict[Ledger, DomainError] = {}
    for start in starts:
        try:
            made[start.ledger] = _snapshot(start, tasks[start.ledger.playground.id], parents, at=at, lane_of=lane_of)
        except DomainError as error:
            refused[start.ledger] = error
    await unit.runs.add_many(
        [one.run for one in made.values()],
        [row for one in made.values() for row in one.task_runs],
        [row for one in made.values() for row in one.edges],
    )
    for ledger, one in made.items():
        _announce(unit, ledger, one, at=at)
    return refused


def _snapshot(
    start: Start, tasks: Mapping[UUID, Task], parents: Mapping[UUID, set[UUID]], *, at: datetime, lane_of: LaneOf
) -> Snapshot:
    playground, launch = start.ledger.playground, start.launch
    chosen = _chosen(tasks, launch.task_ids)
    above = {task_id: parents.get(task_id, set()) for task_id in tasks}
    order = topological_order(above)
    ids = {task_id: new_id() for task_id in order}
    between = through(above, chosen)
    pool = Pool.SCHEDULED if launch.scheduled_for is not None else Pool.ADHOC
    task_runs = [
        _task_run(
            tasks[task_id],
            id=ids[task_id],
            run_id=start.run_id,
            position=position,
            pool=pool,
            lane=lane_of(tasks[task_id].type, tasks[task_id].connection),
            at=at,
            parents=len(between.get(task_id, ())) if task_id in chosen else None,
        )
        for position, task_id in enumerate(order)
    ]
    run = {
        "id": start.run_id,
        "playground_id": playground.id,
        "number": playground.last_run_number + 1,
        "trigger": launch.trigger,
        "status": RunStatus.PENDING,
        "scheduled_for": launch.scheduled_for,
        "created_at": at,
        "idempotency_key": launch.idempotency_key,
    }
    edges = [{"parent_id": ids[p], "child_id": ids[child]} for child, those in between.items() for p in those]
    return Snapshot(run=run, task_runs=task_runs, edges=edges)


def _announce(unit: UnitOfWork, ledger: Ledger, made: Snapshot, *, at: datetime) -> None:
    """The events of a run that was just written, and the jobs of its roots."""
    run_id, playground_id = made.run["id"], ledger.playground.id
    ledger.change_playground(active_run_id=run_id, last_run_number=made.run["number"])
    ledger.record(run_id=run_id, status=RunStatus.PENDING, at=at)
    for row in made.task_runs:
        status = row["status"]
        if status is not TaskRunStatus.PENDING:
            ledger.record(run_id=run_id, task_run_id=row["id"], status=status, at=at, attempt=0)
        if status is TaskRunStatus.QUEUED:
            lane = (row["pool"], row["lane"])
            job = Job(name=JobName.EXECUTE_TASKS, id=row["id"], playground_id=playground_id, lane=lane)
            unit.outbox.jobs.append(job)


def _chosen(tasks: Mapping[UUID, Task], task_ids: Sequence[UUID] | None) -> set[UUID]:
    if not tasks:
        raise InvalidError("The playground has no tasks yet; create one, then run it.", path=("playgroundId",))
    if task_ids is None:
        return set(tasks)
    if not task_ids:
        raise InvalidError("Name at least one task, or leave taskIds out to run all.", path=("taskIds",))
    for index, task_id in enumerate(task_ids):
        if task_id not in tasks:
            raise NotFoundError("This is no task of the playground.", path=("taskIds", str(index)))
    return set(task_ids)


def _task_run(task: Task, *, at: datetime, parents: int | None, **values: Any) -> dict[str, Any]:
    """`parents` counts those that it waits for; None where the task is not run."""
    status = TaskRunStatus.PENDING if parents else TaskRunStatus.SKIPPED if parents is None else TaskRunStatus.QUEUED
    return {
        "playground_id": task.playground_id,
        "task_id": task.id,
        "name": task.name,
        "type": task.type,
        "query": task.query,
        "connection": task.connection,
        "max_retries": task.max_retries,
        "retry_delay_ms": task.retry_delay_ms,
        "timeout_ms": task.timeout_ms,
        "attempt": 0,
        "status": status,
        "pending_parents": parents or 0,
        "queued_at": at if status is TaskRunStatus.QUEUED else None,
        **values,
    }


async def _conflict(unit: UnitOfWork, ledger: Ledger) -> ConflictError:
    active = ledger.playground.active_run_id
    run = None if active is None else await unit.runs.get(active)
    number = "" if run is None else f" {run.number}"
    return ConflictError(
        f"Run{number} of this playground is on; wait for its end, or cancel it first.", path=("playgroundId",)
    )


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
