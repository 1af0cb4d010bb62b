"""SQL of retention: what is old enough, what is kept all the same, and deleting by primary keys in small pieces."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select, tuple_, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.domain.status import ReconciliationStatus, RunStatus, TaskRunStatus
from app.models import (
    Event,
    LogLine,
    Playground,
    Reconciliation,
    ReconciliationRun,
    Run,
    Task,
    TaskAttempt,
    TaskRun,
)

ENDED_RUNS = [status for status in RunStatus if status.ended]
Ended = Select[UUID, UUID, datetime | None, int]
OPEN_PAIRS = [status for status in ReconciliationStatus if not status.ended]


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRun:
    """A run that has ended; `newer` counts the runs of its playground that are newer."""

    id: UUID
    playground_id: UUID
    ended_at: datetime
    newer: int


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedPair:
    """A reconciliation run that has ended."""

    id: UUID
    reconciliation_id: UUID
    playground_id: UUID
    ended_at: datetime
    has_file: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Referent:
    """A task run that names an output's file, and when its run ended (None: it has not)."""

    task_run_id: UUID
    run_id: UUID
    location: str
    ended_at: datetime | None


class RetentionStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    # ---- what is old enough

    async def runs_ended_before(self, before: datetime, *, after: EndedRun | None, limit: int) -> Sequence[EndedRun]:
        """The oldest first, behind `after`."""
        query = _ended_runs().where(Run.ended_at < before).order_by(Run.ended_at, Run.id).limit(limit)
        if after is not None:
            query = query.where(
                Run.ended_at >= after.ended_at, tuple_(Run.ended_at, Run.id) > (after.ended_at, after.id)
            )
        return await self._ended(query)

    async def playgrounds_beyond(self, count: int, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        """Playgrounds that have had more runs than this, behind `after`."""
        query = select(Playground.id).where(Playground.last_run_number > count).order_by(Playground.id).limit(limit)
        if after is not None:
            query = query.where(Playground.id > after)
        return (await self._session.scalars(query)).all()

    async def runs_beyond(
        self, playground_id: UUID, count: int, *, after: EndedRun | None, limit: int
    ) -> Sequence[EndedRun]:
        """Runs with at least so many newer ones, the oldest first, behind `after`."""
        beyond = Run.number <= Playground.last_run_number - count
        query = _ended_runs().where(Run.playground_id == playground_id, beyond).order_by(Run.number).limit(limit)
        if after is not None:
            query = query.where(Run.number > Playground.last_run_number - after.newer)
        return await self._ended(query)

    async def _ended(self, query: Ended) -> Sequence[EndedRun]:
        return [
            EndedRun(id=row[0], playground_id=row[1], ended_at=row[2], newer=row[3])
            for row in await self._session.execute(query)
            if row[2] is not None
        ]

    async def reconciliations(self, *, after: UUID | None, limit: int) -> Sequence[UUID]:
        query = select(Reconciliation.id).order_by(Reconciliation.id).limit(limit)
        if after is not None:
            query = query.where(Reconciliation.id > after)
        return (await self._session.scalars(query)).all()

    async def ended_pairs(self, reconciliation_id: UUID) -> Sequence[EndedPair]:
        """The newest first."""
        query = (
            select(
                ReconciliationRun.id,
                ReconciliationRun.playground_id,
                ReconciliationRun.ended_at,
                ReconciliationRun.differences_location.is_not(None) & ReconciliationRun.differences_pruned_at.is_(None),
            )
            .where(ReconciliationRun.reconciliation_id == reconciliation_id, ReconciliationRun.ended_at.is_not(None))
            .order_by(ReconciliationRun.id.desc())
        )
        return [
            EndedPair(
                id=row[0],
                reconciliation_id=reconciliation_id,
                playground_id=row[1],
                ended_at=row[2],
                has_file=bool(row[3]),
            )
            for row in await self._session.execute(query)
            if row[2] is not None
        ]

    async def with_logs(self, run_ids: Collection[UUID]) -> Sequence[UUID]:
        """The task runs of these runs that have log lines."""
        query = select(TaskRun.id).where(TaskRun.run_id.in_(run_ids), exists().where(LogLine.task_run_id == TaskRun.id))
        return (await self._session.scalars(query)).all()

    async def with_outputs(self, run_ids: Collection[UUID]) -> dict[UUID, list[str]]:
        """The locations of the outputs that are there, by run."""
        query = select(TaskRun.run_id, TaskRun.output_location).where(
            TaskRun.run_id.in_(run_ids), TaskRun.output_location.is_not(None), TaskRun.output_pruned_at.is_(None)
        )
        found: dict[UUID, list[str]] = {}
        for run_id, location in await self._session.execute(query):
            if location is not None:
                found.setdefault(run_id, []).append(location)
        return found

    # ---- what is kept all the same

    async def kept_runs(self, playground_id: UUID) -> set[UUID]:
        """Its newest run, its newest successful one, and those that hold the newest success of a task."""
        newest = select(Run.id).where(Run.playground_id == playground_id).order_by(Run.number.desc()).limit(1)
        successful = newest.where(Run.status == RunStatus.SUCCESS)
        kept = {await self._session.scalar(newest), await self._session.scalar(successful)}
        kept |= {row.run_id for row in await self._newest_outputs(playground_id)}
        return {run_id for run_id in kept if run_id is not None}

    async def kept_locations(self, playground_id: UUID) -> set[str]:
        """The newest successful output of each task, and the sides of comparisons that are still on."""
        kept = {row.location for row in await self._newest_outputs(playground_id)}
        pairs = select(ReconciliationRun.left_task_run_id, ReconciliationRun.right_task_run_id).where(
            ReconciliationRun.status.in_(OPEN_PAIRS), ReconciliationRun.playground_id == playground_id
        )
        sides = {task_run_id for pair in await self._session.execute(pairs) for task_run_id in pair}
        if sides:
            locations = select(TaskRun.output_location).where(TaskRun.id.in_(sides))
            kept |= {location for location in await self._session.scalars(locations) if location is not None}
        return kept

    async def _newest_outputs(self, playground_id: UUID) -> Sequence[Referent]:
        newer = aliased(TaskRun)
        newest = (
            select(newer.id)
            .where(newer.task_id == Task.id, newer.status == TaskRunStatus.SUCCESS)
            .order_by(newer.id.desc())
            .limit(1)
            .scalar_subquery()
        )
        query = (
            select(TaskRun.id, TaskRun.run_id, TaskRun.output_location, TaskRun.ended_at)
            .join(Task, TaskRun.id == newest)
            .where(Task.playground_id == playground_id)
        )
        return [
            Referent(task_run_id=row[0], run_id=row[1], location=row[2] or "", ended_at=row[3])
            for row in await self._session.execute(query)
        ]

    async def compared(self, run_ids: Collection[UUID]) -> set[UUID]:
        """The runs with an output that is a side of a comparison in the history."""
        query = select(TaskRun.run_id).where(TaskRun.run_id.in_(run_ids), _is_side()).distinct()
        return set(await self._session.scalars(query))

    async def referents(self, writers: Collection[UUID], locations: Collection[str]) -> list[Referent]:
        """The task runs that name one of these files: those that wrote them, and those that have carried them over."""
        if not locations:
            return []
        query = select(TaskRun.id, TaskRun.run_id, TaskRun.output_location, Run.ended_at).join(
            Run, Run.id == TaskRun.run_id
        )
        found: list[Referent] = []
        for where in (TaskRun.id.in_(writers), TaskRun.output_of_id.in_(writers)):
            rows = await self._session.execute(query.where(where, TaskRun.output_location.in_(locations)))
            found += [
                Referent(task_run_id=row[0], run_id=row[1], location=row[2] or "", ended_at=row[3]) for row in rows
            ]
        return found

    async def written_by(self, run_id: UUID) -> list[tuple[datetime, str | None]]:
        """When each attempt of a run started, and where its output lies."""
        query = (
            select(TaskAttempt.started_at, TaskAttempt.output_location)
            .join(TaskRun, TaskRun.id == TaskAttempt.task_run_id)
            .where(TaskRun.run_id == run_id)
        )
        return [(row[0], row[1]) for row in await self._session.execute(query)]

    async def locations_of(self, run_id: UUID) -> set[str]:
        query = select(TaskRun.output_location).where(TaskRun.run_id == run_id, TaskRun.output_location.is_not(None))
        return {location for location in await self._session.scalars(query) if location is not None}

    # ---- deleting

    async def delete_log_lines(self, task_run_id: UUID, *, limit: int) -> int:
        """The first lines of a log, up to `limit`; tells how many there were."""
        mine = LogLine.task_run_id == task_run_id
        first = select(LogLine.sequence).where(mine).order_by(LogLine.sequence).limit(limit).subquery()
        last = await self._session.scalar(select(func.max(first.c.sequence)))
        return 0 if last is None else await self._delete(delete(LogLine).where(mine, LogLine.sequence <= last))

    async def delete_events(self, playground_id: UUID, run_id: UUID, *, limit: int) -> int:
        first = select(Event.sequence).where(Event.run_id == run_id).order_by(Event.sequence).limit(limit)
        sequences = (await self._session.scalars(first)).all()
        if not sequences:
            return 0
        return await self._delete(
            delete(Event).where(Event.playground_id == playground_id, Event.sequence.in_(sequences))
        )

    async def delete_run(self, run_id: UUID) -> bool:
        """With all that is left of it, by the foreign keys; False where it has not ended, or is a side by now."""
        sides = exists().where(TaskRun.run_id == Run.id, _is_side())
        ended = select(Run.id).where(Run.id == run_id, Run.status.in_(ENDED_RUNS), ~sides)
        if await self._session.scalar(ended) is None:
            return False
        return bool(await self._delete(delete(Run).where(Run.id == run_id)))

    async def delete_pair(self, run_id: UUID) -> bool:
        ended = ReconciliationRun.ended_at.is_not(None)
        return bool(await self._delete(delete(ReconciliationRun).where(ReconciliationRun.id == run_id, ended)))

    async def mark_outputs(self, task_run_ids: Collection[UUID], at: datetime) -> None:
        await self._session.execute(
            update(TaskRun).where(TaskRun.id.in_(task_run_ids)).values(output_pruned_at=at),
            execution_options={"synchronize_session": False},
        )

    async def mark_differences(self, run_id: UUID, at: datetime) -> None:
        await self._session.execute(
            update(ReconciliationRun).where(ReconciliationRun.id == run_id).values(differences_pruned_at=at),
            execution_options={"synchronize_session": False},
        )

    async def _delete(self, statement: object) -> int:
        result = await self._session.execute(
            statement,  # type: ignore[call-overload]  # one of the deletions above
            execution_options={"synchronize_session": False},
        )
        return result.rowcount if isinstance(result, CursorResult) else 0


def _ended_runs() -> Ended:
    return (
        select(Run.id, Run.playground_id, Run.ended_at, Playground.last_run_number - Run.number)
        .join(Playground, Playground.id == Run.playground_id)
        .where(Run.status.in_(ENDED_RUNS), Run.ended_at.is_not(None))
    )


def _is_side() -> ColumnElement[bool]:
    return or_(
        exists().where(ReconciliationRun.left_task_run_id == TaskRun.id),
        exists().where(ReconciliationRun.right_task_run_id == TaskRun.id),
    )
