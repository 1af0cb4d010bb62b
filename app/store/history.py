"""SQL of what has run, of many playgrounds, runs or tasks at once: each question is one statement."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, union
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased, defer

from app.domain.checks.checks import checks_of
from app.domain.checks.results import CheckResult, results_of
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.models import Backfill, Event, Playground, ReconciliationRun, Run, Task, TaskRun
from app.store.pages import Page, PageRequest, first_of_each, newest_first_of_each


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsAsked:
    """Which runs of a playground; None asks for any status, or any trigger."""

    page: PageRequest
    statuses: frozenset[RunStatus] | None = None
    triggers: frozenset[RunTrigger] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EventsAsked:
    after: int
    limit: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Texts:
    """What a task run has run: the author's text, and what became of it where that is a template."""

    query: str
    rendered: str | None


class HistoryStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    # ---- runs

    async def runs(self, playground_ids: Collection[UUID], asked: RunsAsked) -> Mapping[UUID, Page[Run]]:
        query = select(Run)
        if asked.statuses is not None:
            query = query.where(Run.status.in_(asked.statuses))
        if asked.triggers is not None:
            query = query.where(Run.trigger.in_(asked.triggers))
        return await newest_first_of_each(
            self._session, query, Run.id, asked.page, parent=Run.playground_id, parents=playground_ids
        )

    async def last_runs(self, playground_ids: Collection[UUID]) -> Sequence[Run]:
        """The newest run of each playground: its number is kept with the playground."""
        query = select(Run).join(
            Playground, (Playground.id == Run.playground_id) & (Playground.last_run_number == Run.number)
        )
        return (await self._session.scalars(query.where(Playground.id.in_(playground_ids)))).all()

    async def backfills(self, playground_ids: Collection[UUID], page: PageRequest) -> Mapping[UUID, Page[Backfill]]:
        return await newest_first_of_each(
            self._session, select(Backfill), Backfill.id, page, parent=Backfill.playground_id, parents=playground_ids
        )

    async def runs_of_backfills(self, backfill_ids: Collection[UUID], page: PageRequest) -> Mapping[UUID, Page[Run]]:
        return await newest_first_of_each(
            self._session, select(Run), Run.id, page, parent=Run.backfill_id, parents=backfill_ids
        )

    async def counts(self, run_ids: Collection[UUID]) -> Sequence[tuple[UUID, TaskRunStatus, int]]:
        query = (
            select(TaskRun.run_id, TaskRun.status, func.count())
            .where(TaskRun.run_id.in_(run_ids))
            .group_by(TaskRun.run_id, TaskRun.status)
        )
        return [(row[0], row[1], row[2]) for row in await self._session.execute(query)]

    async def events(self, run_ids: Collection[UUID], asked: EventsAsked) -> Mapping[UUID, Sequence[Event]]:
        query = select(Event).where(Event.sequence > asked.after)
        return await first_of_each(
            self._session,
            query,
            parent=Event.run_id,
            parents=run_ids,
            order=Event.sequence.asc(),
            limit=asked.limit,
        )

    # ---- task runs, without what makes them long

    async def task_runs(self, ids: Collection[UUID]) -> Sequence[TaskRun]:
        return (await self._session.scalars(_brief().where(TaskRun.id.in_(ids)))).all()

    async def task_runs_of(self, run_ids: Collection[UUID]) -> Sequence[TaskRun]:
        query = _brief().where(TaskRun.run_id.in_(run_ids)).order_by(TaskRun.run_id, TaskRun.position)
        return (await self._session.scalars(query)).all()

    async def last_task_runs(self, task_ids: Collection[UUID]) -> Sequence[TaskRun]:
        """The newest task run of each task: one look into the index for each."""
        other = aliased(TaskRun)
        newest = (
            select(other.id).where(other.task_id == Task.id).order_by(other.id.desc()).limit(1).correlate(Task)
        ).scalar_subquery()
        query = _brief().join(Task, TaskRun.id == newest).where(Task.id.in_(task_ids))
        return (await self._session.scalars(query)).all()

    async def texts(self, task_run_ids: Collection[UUID]) -> dict[UUID, Texts]:
        query = select(TaskRun.id, TaskRun.query, TaskRun.rendered_query).where(TaskRun.id.in_(task_run_ids))
        return {row[0]: Texts(query=row[1], rendered=row[2]) for row in await self._session.execute(query)}

    async def output_columns(self, task_run_ids: Collection[UUID]) -> dict[UUID, list[dict[str, str]]]:
        query = select(TaskRun.id, TaskRun.output_columns).where(TaskRun.id.in_(task_run_ids))
        return {row[0]: row[1] or [] for row in await self._session.execute(query)}

    async def check_results(self, task_run_ids: Collection[UUID]) -> dict[UUID, tuple[CheckResult, ...]]:
        query = select(TaskRun.id, TaskRun.checks, TaskRun.check_results).where(TaskRun.id.in_(task_run_ids))
        return {row[0]: results_of(checks_of(row[1]), row[2]) for row in await self._session.execute(query)}

    # ---- comparisons

    async def comparisons(
        self, reconciliation_ids: Collection[UUID], page: PageRequest
    ) -> Mapping[UUID, Page[ReconciliationRun]]:
        return await newest_first_of_each(
            self._session,
            select(ReconciliationRun),
            ReconciliationRun.id,
            page,
            parent=ReconciliationRun.reconciliation_id,
            parents=reconciliation_ids,
        )

    async def comparisons_of_runs(self, run_ids: Collection[UUID]) -> Sequence[tuple[UUID, ReconciliationRun]]:
        """Those that compared an output of one of the playground runs, with that run's id, the oldest first."""
        sides = (ReconciliationRun.left_task_run_id, ReconciliationRun.right_task_run_id)
        found = union(
            *(
                select(TaskRun.run_id, ReconciliationRun.id.label("id"))
                .join(ReconciliationRun, side == TaskRun.id)
                .where(TaskRun.run_id.in_(run_ids))
                for side in sides
            )
        ).subquery()
        query = select(found.c.run_id, ReconciliationRun).join(found, found.c.id == ReconciliationRun.id)
        rows = await self._session.execute(query.order_by(ReconciliationRun.id))
        return [(row[0], row[1]) for row in rows]

    async def samples(self, reconciliation_run_ids: Collection[UUID]) -> dict[UUID, dict[str, Any]]:
        query = select(ReconciliationRun.id, ReconciliationRun.samples).where(
            ReconciliationRun.id.in_(reconciliation_run_ids)
        )
        return {row[0]: row[1] or {} for row in await self._session.execute(query)}


def _brief() -> Select[TaskRun]:
    """Task runs without what is long, and seldom asked for: `texts`, `output_columns` and others give it."""
    long = (
        TaskRun.query,
        TaskRun.rendered_query,
        TaskRun.udfs,
        TaskRun.checks,
        TaskRun.check_results,
        TaskRun.output_columns,
    )
    return select(TaskRun).options(*(defer(each, raiseload=True) for each in long))
