"""Launching: the snapshot of a playground's tasks and edges, the texts with their values, and the first jobs."""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.dispatch import Pool
from app.domain.errors import ConflictError, DomainError, IllegalStateError, InvalidError, NotFoundError, TooLargeError
from app.domain.events import Job, JobName
from app.domain.graph import through, topological_order
from app.domain.identity import new_id
from app.domain.parameters import ParameterValue, with_overrides
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.domain.tasks import TaskType
from app.domain.templates import PlaygroundFacts, RunFacts, Scope, is_template, render
from app.domain.udfs import KINDS_OF_TASKS, TakenUdf
from app.models import Task, TaskRun
from app.services.carry_over import Resumed, carried_over, output_columns_of, still_chosen
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

LaneOf = Callable[[TaskType, str | None], str]
MAX_MESSAGE = 500
MAX_RENDERED = 50_000_000  # characters of a run: small texts with long values would fill the database
BY_ITSELF = frozenset({RunTrigger.SCHEDULED, RunTrigger.BACKFILL})


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """What to run, and why."""

    trigger: RunTrigger = RunTrigger.AD_HOC
    task_ids: Sequence[UUID] | None = None
    idempotency_key: str | None = None
    scheduled_for: datetime | None = None
    parameters: Sequence[tuple[str, ParameterValue]] = ()  # in place of the playground's own
    backfill_id: UUID | None = None
    resumed: Resumed | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Start:
    """A run to be made of a playground whose lock is held; no two are equal."""

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

    A run of a backfill goes beside the active one. What refuses does so before anything is written.

    Raises: InvalidError, NotFoundError; IllegalStateError where a resumed run leaves nothing to do.
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
    udfs: Mapping[UUID, Sequence[TakenUdf]] = {}
    if any(KINDS_OF_TASKS[task.type] for those in tasks.values() for task in those.values()):
        udfs = await unit.udfs.taken_by_tasks_of(ids)
    made: dict[Start, Snapshot] = {}
    refused: dict[Ledger, DomainError] = {}
    for start in starts:
        try:
            made[start] = _snapshot(start, tasks[start.ledger.playground.id], parents, udfs, at=at, lane_of=lane_of)
        except DomainError as error:
            refused[start.ledger] = error
    await unit.runs.add_many(
        [one.run for one in made.values()],
        [row for one in made.values() for row in one.task_runs],
        [row for one in made.values() for row in one.edges],
    )
    rows = [row for one in made.values() for row in one.task_runs if row["udfs"]]
    await unit.udfs.keep_for_runs({(row["id"], udf["jar_sha256"]) for row in rows for udf in row["udfs"]})
    for start, one in made.items():
        _announce(unit, start, one, at=at)
    return refused


async def record_skipped(unit: UnitOfWork, skipped: Mapping[Start, str], *, at: datetime) -> None:
    """A fire that found something in its way stands in the history, as a run that was cancelled at once."""
    runs = []
    for start, reason in skipped.items():
        number, message = start.ledger.playground.last_run_number + 1, f"Skipped. {reason}"
        runs.append(
            {
                **_origin(start, at=at),
                "number": number,
                "status": RunStatus.CANCELLED,
                "message": message[:MAX_MESSAGE],
                "ended_at": at,
            }
        )
        start.ledger.change_playground(last_run_number=number)
        start.ledger.record(run_id=start.run_id, status=RunStatus.CANCELLED, at=at, message=message)
    await unit.runs.add_many(runs, (), ())


async def refuse_second(unit: UnitOfWork, ledger: Ledger, *, path: tuple[str, ...]) -> None:
    """Raises: ConflictError naming the run that is on."""
    active = ledger.playground.active_run_id
    if active is not None:
        run = await unit.runs.get(active)
        number = "" if run is None else f" {run.number}"
        raise ConflictError(f"Run{number} of this playground is on; wait for its end, or cancel it first.", path=path)


def _snapshot(
    start: Start,
    tasks: Mapping[UUID, Task],
    parents: Mapping[UUID, set[UUID]],
    udfs: Mapping[UUID, Sequence[TakenUdf]],
    *,
    at: datetime,
    lane_of: LaneOf,
) -> Snapshot:
    launch = start.launch
    chosen = _chosen(tasks, launch)
    above = {task_id: parents.get(task_id, set()) for task_id in tasks}
    order = topological_order(above)
    ids = {task_id: new_id() for task_id in order}
    between = through(above, chosen)
    run = _run(start, at=at)
    texts = _rendered([tasks[task_id] for task_id in order if task_id in chosen], start.ledger, run)
    carried = {} if launch.resumed is None else carried_over(order, between, tasks, texts, udfs, launch.resumed)
    if launch.resumed is not None and carried.keys() == chosen:
        raise IllegalStateError(
            f"Run {launch.resumed.run.number} has left nothing to do: all of it has succeeded, and nothing was changed "
            f"since. Run the playground to have it all run again.",
            path=("runId",),
        )
    pool = Pool.SCHEDULED if launch.trigger in BY_ITSELF else Pool.ADHOC
    task_runs = [
        _task_run(
            tasks[task_id],
            before=carried.get(task_id),
            waits_for=between[task_id] - carried.keys() if task_id in chosen else None,
            at=at,
            queued_at=start.ledger.now,
            id=ids[task_id],
            run_id=start.run_id,
            position=position,
            pool=pool,
            lane=lane_of(tasks[task_id].type, tasks[task_id].connection),
            rendered_query=texts.get(task_id),
            udfs=[udf.to_document() for udf in udfs.get(task_id, ())] or None,
        )
        for position, task_id in enumerate(order)
    ]
    edges = [{"parent_id": ids[p], "child_id": ids[child]} for child, those in between.items() for p in those]
    return Snapshot(run=run, task_runs=task_runs, edges=edges)


def _announce(unit: UnitOfWork, start: Start, made: Snapshot, *, at: datetime) -> None:
    """The events of a run that was just written, and the jobs of its roots."""
    ledger, run_id, playground_id = start.ledger, start.run_id, start.ledger.playground.id
    ledger.change_playground(last_run_number=made.run["number"])
    if start.launch.backfill_id is None:
        ledger.change_playground(active_run_id=run_id)
    ledger.record(run_id=run_id, status=RunStatus.PENDING, at=at)
    before = start.launch.resumed
    for row in made.task_runs:
        status = row["status"]
        note = f"Carried over from run {before.run.number}." if before is not None and row["carried_over"] else None
        if status is not TaskRunStatus.PENDING:
            ledger.record(run_id=run_id, task_run_id=row["id"], status=status, at=at, attempt=0, message=note)
        if status is TaskRunStatus.QUEUED:
            lane = (row["pool"], row["lane"])
            job = Job(name=JobName.EXECUTE_TASKS, id=row["id"], playground_id=playground_id, lane=lane)
            unit.outbox.jobs.append(job)


def _origin(start: Start, *, at: datetime) -> dict[str, Any]:
    """Why there is a run. What fires by itself is unique by its fire time and series."""
    launch = start.launch
    before = None if launch.resumed is None else launch.resumed.run
    series = "" if launch.backfill_id is None else launch.backfill_id.hex
    return {
        "id": start.run_id,
        "playground_id": start.ledger.playground.id,
        "trigger": launch.trigger,
        "scheduled_for": launch.scheduled_for if before is None else before.scheduled_for,
        "series": series if before is None else start.run_id.hex,
        "backfill_id": launch.backfill_id,
        "created_at": at,
    }


def _run(start: Start, *, at: datetime) -> dict[str, Any]:
    """Raises: NotFoundError, InvalidError, TooLargeError of parameters."""
    playground, launch = start.ledger.playground, start.launch
    before = None if launch.resumed is None else launch.resumed.run
    known = playground.parameters or {}
    again = {} if before is None else {name: value for name, value in (before.overrides or {}).items() if name in known}
    moment = launch.scheduled_for if before is None else before.moment or before.scheduled_for
    return {
        **_origin(start, at=at),
        "number": playground.last_run_number + 1,
        "status": RunStatus.PENDING,
        "moment": moment or at.replace(microsecond=0),
        "parameters": with_overrides({**known, **again}, launch.parameters),
        "overrides": {**again, **dict(launch.parameters)},
        "idempotency_key": launch.idempotency_key,
        "resumed_from_id": None if before is None else before.id,
    }


def _chosen(tasks: Mapping[UUID, Task], launch: Launch) -> set[UUID]:
    """Raises: InvalidError, NotFoundError; IllegalStateError where nothing of a resumed run's choice is there."""
    if launch.resumed is not None:
        return still_chosen(tasks, launch.resumed)
    if not tasks:
        raise InvalidError("The playground has no tasks yet; create one, then run it.", path=("playgroundId",))
    if launch.task_ids is None:
        return set(tasks)
    if not launch.task_ids:
        raise InvalidError("Name at least one task, or leave taskIds out to run all.", path=("taskIds",))
    for index, task_id in enumerate(launch.task_ids):
        if task_id not in tasks:
            raise NotFoundError("This is no task of the playground.", path=("taskIds", str(index)))
    return set(launch.task_ids)


def _rendered(tasks: Sequence[Task], ledger: Ledger, run: Mapping[str, Any]) -> dict[UUID, str]:
    """The texts of those that are templates, with the run's values.

    Raises: InvalidError naming the task; TooLargeError for all of them together.
    """
    scope = Scope(
        scheduled_for=run["moment"],
        run=RunFacts(number=run["number"], trigger=run["trigger"]),
        playground=PlaygroundFacts(name=ledger.playground.name),
        parameters=run["parameters"],
    )
    texts: dict[UUID, str] = {}
    length = 0
    for task in tasks:
        if is_template(task.query):
            try:
                texts[task.id] = render(task.query, type=task.type, scope=scope)
            except DomainError as error:
                path = ("parameters",) if run["overrides"] else ()
                raise InvalidError(f"Task «{task.name}» could not be run. {error.message}", path=path) from error
            length += len(texts[task.id])
            if length > MAX_RENDERED:
                raise TooLargeError(
                    f"With their values the texts of the tasks have more than {MAX_RENDERED} characters."
                )
    return texts


def _task_run(
    task: Task,
    *,
    before: TaskRun | None,
    waits_for: Collection[UUID] | None,
    at: datetime,
    queued_at: datetime,
    **values: Any,
) -> dict[str, Any]:
    """`before` is the task run that it keeps the output of; `waits_for` is None where the task is not run."""
    if before is not None:
        status = TaskRunStatus.SUCCESS
    elif waits_for is None:
        status = TaskRunStatus.SKIPPED
    else:
        status = TaskRunStatus.PENDING if waits_for else TaskRunStatus.QUEUED
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
        "asked_format": task.output_format,
        "checks": task.checks,
        "attempt": 0,
        "status": status,
        "pending_parents": len(waits_for or ()),
        "queued_at": queued_at if status is TaskRunStatus.QUEUED else None,
        "ended_at": at if status is TaskRunStatus.SUCCESS else None,
        **output_columns_of(before),
        **values,
    }
