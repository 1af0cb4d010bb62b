"""SQL of runs and their task runs: the snapshot, the walk along the edges, the history and the event log."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, insert, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, load_only
from sqlalchemy.orm.attributes import set_committed_value

from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.models import Event, Playground, Run, TaskAttempt, TaskRun, TaskRunEdge
from app.models.base import table_of
from app.store.pages import Page, PageRequest, newest_first
from app.store.spans import Span, within

INSERT_BATCH = 500
# Built once, as those of the ledger.
ADD_ATTEMPTS = insert(table_of(TaskAttempt))
STATUSES = select(TaskRun.run_id, TaskRun.status).where(TaskRun.run_id.in_(bindparam("of", expanding=True))).distinct()
WAITING_CHILDREN = (
    select(TaskRun, func.count())
    .join(TaskRunEdge, TaskRunEdge.child_id == TaskRun.id)
    .where(TaskRunEdge.parent_id.in_(bindparam("of", expanding=True)), TaskRun.status == TaskRunStatus.PENDING)
    .group_by(TaskRun.id)
    .order_by(TaskRun.position)
    .execution_options(populate_existing=True)
)


class RunStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    # ---- the snapshot

    async def add_many(
        self,
        runs: Sequence[Mapping[str, Any]],
        task_runs: Sequence[Mapping[str, Any]],
        edges: Sequence[Mapping[str, Any]],
    ) -> None:
        for table, rows in ((Run, runs), (TaskRun, task_runs), (TaskRunEdge, edges)):
            for start in range(0, len(rows), INSERT_BATCH):
                await self._session.execute(insert(table), [dict(row) for row in rows[start : start + INSERT_BATCH]])

    async def by_idempotency_key(self, playground_id: UUID, key: str) -> Run | None:
        return await self._session.scalar(
            select(Run).where(Run.playground_id == playground_id, Run.idempotency_key == key)
        )

    async def recorded_fires(self, fires: Mapping[UUID, datetime]) -> set[UUID]:
        """The playgrounds whose fire of that time has its run already: the clock was set back, or a schedule edited."""
        if not fires:
            return set()
        query = select(Run.playground_id).where(
            Run.series == "",
            or_(*((Run.playground_id == id_) & (Run.scheduled_for == fire) for id_, fire in fires.items())),
        )
        return set(await self._session.scalars(query))

    # ---- reading

    async def get(self, run_id: UUID, *, owner_id: UUID | None = None) -> Run | None:
        query = select(Run).where(Run.id == run_id)
        if owner_id is not None:
            query = query.join(Playground, Playground.id == Run.playground_id).where(Playground.owner_id == owner_id)
        return await self._session.scalar(query)

    async def fresh(self, run_id: UUID) -> Run | None:
        """As it is in the database now, whatever this transaction has read before."""
        return await self._session.scalar(select(Run).where(Run.id == run_id).execution_options(populate_existing=True))

    async def fresh_many(self, run_ids: Collection[UUID]) -> Sequence[Run]:
        query = select(Run).where(Run.id.in_(run_ids)).execution_options(populate_existing=True)
        return (await self._session.scalars(query)).all()

    async def request_cancel(self, run_id: UUID) -> None:
        await self._session.execute(
            update(Run).where(Run.id == run_id).values(cancel_requested=True),
            execution_options={"synchronize_session": False},
        )

    async def get_many(self, ids: Collection[UUID]) -> Sequence[Run]:
        return (await self._session.scalars(select(Run).where(Run.id.in_(ids)))).all()

    async def task_run(self, task_run_id: UUID, *, owner_id: UUID | None = None) -> TaskRun | None:
        query = select(TaskRun).where(TaskRun.id == task_run_id)
        if owner_id is not None:
            query = query.join(Playground, Playground.id == TaskRun.playground_id).where(
                Playground.owner_id == owner_id
            )
        return await self._session.scalar(query)

    async def task_runs(self, ids: Collection[UUID]) -> Sequence[TaskRun]:
        return (await self._session.scalars(select(TaskRun).where(TaskRun.id.in_(ids)))).all()

    async def task_runs_of(self, run_ids: Collection[UUID]) -> Sequence[TaskRun]:
        query = select(TaskRun).where(TaskRun.run_id.in_(run_ids)).order_by(TaskRun.run_id, TaskRun.position)
        return (await self._session.scalars(query)).all()

    async def outputs_in(self, run_ids: Collection[UUID], task_ids: Collection[UUID]) -> dict[tuple[UUID, UUID], UUID]:
        """The task runs that have succeeded and have their output, by run and task."""
        query = select(TaskRun.run_id, TaskRun.task_id, TaskRun.id).where(
            TaskRun.run_id.in_(run_ids),
            TaskRun.task_id.in_(task_ids),
            TaskRun.status == TaskRunStatus.SUCCESS,
            TaskRun.output_location.is_not(None),
            TaskRun.output_pruned_at.is_(None),
        )
        found = await self._session.execute(query)
        return {(run_id, task_id): id_ for run_id, task_id, id_ in found if task_id is not None}

    async def attempts_of(self, task_run_ids: Collection[UUID]) -> Sequence[TaskAttempt]:
        """The ended attempts, the first first."""
        query = select(TaskAttempt).where(TaskAttempt.task_run_id.in_(task_run_ids))
        return (await self._session.scalars(query.order_by(TaskAttempt.task_run_id, TaskAttempt.attempt))).all()

    async def page(
        self,
        playground_id: UUID,
        request: PageRequest,
        *,
        statuses: Collection[RunStatus] | None = None,
        triggers: Collection[RunTrigger] | None = None,
    ) -> Page[Run]:
        query = select(Run).where(Run.playground_id == playground_id)
        if statuses is not None:
            query = query.where(Run.status.in_(statuses))
        if triggers is not None:
            query = query.where(Run.trigger.in_(triggers))
        return await newest_first(self._session, query, Run.id, request)

    async def last_scheduled(self, playground_ids: Collection[UUID]) -> dict[UUID, Run]:
        """The newest run of each playground that a schedule has started (not one that was skipped)."""
        newest = aliased(Run)
        ids = (
            select(newest.id)
            .where(
                newest.playground_id == Playground.id,
                newest.scheduled_for.is_not(None),
                newest.series == "",
                newest.started_at.is_not(None),
            )
            .order_by(newest.scheduled_for.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = select(Run).join(Playground, Run.id == ids).where(Playground.id.in_(playground_ids))
        return {run.playground_id: run for run in await self._session.scalars(query)}

    async def last_of_tasks(
        self, task_ids: Collection[UUID], *, status: TaskRunStatus | None = None
    ) -> Sequence[TaskRun]:
        """The newest task run of each task, of those with `status` where it is given."""
        newest = select(func.max(TaskRun.id)).where(TaskRun.task_id.in_(task_ids)).group_by(TaskRun.task_id)
        if status is not None:
            newest = newest.where(TaskRun.status == status)
        return (await self._session.scalars(select(TaskRun).where(TaskRun.id.in_(newest)))).all()

    async def newest_of_task(self, task_id: UUID, *, before: UUID) -> TaskRun | None:
        """Its newest task run, of those that are older than the row with this id."""
        query = select(TaskRun).where(TaskRun.task_id == task_id, TaskRun.id < before)
        return await self._session.scalar(query.order_by(TaskRun.id.desc()).limit(1))

    async def last_row_count(self, task_run: TaskRun) -> int | None:
        """How many rows the output of the task's last success before this run had."""
        query = select(TaskRun.output_row_count).where(
            TaskRun.task_id == task_run.task_id, TaskRun.id < task_run.id, TaskRun.status == TaskRunStatus.SUCCESS
        )
        return await self._session.scalar(query.order_by(TaskRun.id.desc()).limit(1))

    async def by_output(self, location: str, *, writer: UUID, owner_id: UUID) -> TaskRun | None:
        """The owner's newest task run whose output lies there: the one that wrote it, or one that carries it over."""
        query = (
            select(TaskRun)
            .join(Playground, Playground.id == TaskRun.playground_id)
            .where(
                (TaskRun.id == writer) | (TaskRun.output_of_id == writer),
                TaskRun.output_location == location,
                Playground.owner_id == owner_id,
            )
            .order_by(TaskRun.output_pruned_at.is_not(None), TaskRun.id.desc())
        )
        return await self._session.scalar(query.limit(1))

    # ---- the event log

    async def events_after(
        self,
        playground_id: UUID,
        sequence: int,
        *,
        limit: int,
        run_id: UUID | None = None,
        until: int | None = None,
    ) -> Sequence[Event]:
        query = select(Event).where(Event.playground_id == playground_id, Event.sequence > sequence)
        if run_id is not None:
            query = query.where(Event.run_id == run_id)
        if until is not None:
            query = query.where(Event.sequence <= until)
        return (await self._session.scalars(query.order_by(Event.sequence).limit(limit))).all()

    # ---- walking the edges

    async def children_of_run(self, run_id: UUID) -> dict[UUID, list[UUID]]:
        query = select(TaskRunEdge.parent_id, TaskRunEdge.child_id).join(TaskRun, TaskRun.id == TaskRunEdge.parent_id)
        children: dict[UUID, list[UUID]] = {}
        for parent, child in await self._session.execute(query.where(TaskRun.run_id == run_id)):
            children.setdefault(parent, []).append(child)
        return children

    async def count_off_parents(self, parent_ids: Sequence[UUID]) -> Sequence[TaskRun]:
        """Parents have succeeded: tells which of their children wait for no other."""
        if not parent_ids:
            return ()
        ready: list[TaskRun] = []
        still_waiting: dict[int, list[UUID]] = {}
        for child, parents in await self._session.execute(WAITING_CHILDREN, {"of": parent_ids}):
            if child.pending_parents == parents:
                ready.append(child)
            else:
                still_waiting.setdefault(parents, []).append(child.id)
        for parents, children in still_waiting.items():
            await self._session.execute(
                update(TaskRun)
                .where(TaskRun.id.in_(children))
                .values(pending_parents=TaskRun.pending_parents - parents),
                execution_options={"synchronize_session": False},
            )
        return ready

    async def statuses_of(self, run_ids: Collection[UUID]) -> dict[UUID, set[TaskRunStatus]]:
        """The statuses that the task runs of each run have; by an index, however many there are."""
        found: dict[UUID, set[TaskRunStatus]] = {run_id: set() for run_id in run_ids}
        if found:
            for run_id, status in await self._session.execute(STATUSES, {"of": list(found)}):
                found[run_id].add(status)
        return found

    # ---- holding work

    async def record_attempts(self, rows: Sequence[Mapping[str, Any]]) -> None:
        await self._session.execute(ADD_ATTEMPTS, [dict(row) for row in rows])

    async def store_handle(self, task_run: TaskRun, *, handle: str) -> None:
        """Keep what another worker would re-attach by; `task_run` is as this worker has claimed it."""
        await self._session.execute(
            update(TaskRun)
            .where(
                TaskRun.id == task_run.id,
                TaskRun.worker_id == task_run.worker_id,
                TaskRun.attempt == task_run.attempt,
            )
            .values(handle=handle, handle_durable=True),
            execution_options={"synchronize_session": False},
        )

    async def holds(self, task_run: TaskRun) -> bool:
        """Whether the worker that claimed `task_run` holds it still, and will until this transaction ends."""
        query = select(TaskRun.id).where(
            TaskRun.id == task_run.id,
            TaskRun.worker_id == task_run.worker_id,
            TaskRun.attempt == task_run.attempt,
        )
        return await self._session.scalar(query.with_for_update()) is not None

    async def adopt(self, task_run: TaskRun, *, worker_id: UUID) -> bool:
        """Take the lease of a running attempt from a worker that is gone, as a compare-and-set."""
        holder = TaskRun.worker_id.is_(None) if task_run.worker_id is None else TaskRun.worker_id == task_run.worker_id
        result = await self._session.execute(
            update(TaskRun)
            .where(TaskRun.id == task_run.id, TaskRun.status == TaskRunStatus.RUNNING, holder)
            .values(worker_id=worker_id),
            execution_options={"synchronize_session": False},
        )
        if not isinstance(result, CursorResult) or not result.rowcount:
            return False
        set_committed_value(task_run, "worker_id", worker_id)
        return True

    async def release(self, task_run_id: UUID, *, worker_id: UUID) -> None:
        """Give up the lease of an attempt that goes on in its engine."""
        await self._session.execute(
            update(TaskRun).where(TaskRun.id == task_run_id, TaskRun.worker_id == worker_id).values(worker_id=None),
            execution_options={"synchronize_session": False},
        )

    async def held_and_cancelled(self, worker_id: UUID) -> Sequence[UUID]:
        """The task runs that a worker holds whose run is to be cancelled."""
        query = (
            select(TaskRun.id)
            .join(Run, Run.id == TaskRun.run_id)
            .where(
                TaskRun.worker_id == worker_id,
                TaskRun.status == TaskRunStatus.RUNNING,
                Run.cancel_requested.is_(True),
            )
        )
        return (await self._session.scalars(query)).all()

    async def held_by(self, worker_id: UUID) -> Sequence[TaskRun]:
        """With no more columns than a heartbeat wants."""
        wanted = (TaskRun.id, TaskRun.playground_id, TaskRun.pool, TaskRun.lane, TaskRun.attempt, TaskRun.started_at)
        query = select(TaskRun).options(load_only(*wanted))
        query = query.where(TaskRun.worker_id == worker_id, TaskRun.status == TaskRunStatus.RUNNING)
        return (await self._session.scalars(query)).all()

    # ---- what was stranded

    async def queued_within(self, spans: Sequence[Span], *, limit: int) -> Sequence[TaskRun]:
        query = (
            select(TaskRun)
            .options(load_only(TaskRun.id, TaskRun.playground_id, TaskRun.queued_at))
            .where(TaskRun.status == TaskRunStatus.QUEUED, within(TaskRun.queued_at, spans))
            .order_by(TaskRun.queued_at)
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()
