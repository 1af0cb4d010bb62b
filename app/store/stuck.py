"""SQL of what stands still: runs that nothing moves, and playgrounds that wait for a run that is over."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.status import RunStatus, TaskRunStatus
from app.models import Event, Playground, Run, TaskRun, TaskRunEdge

OPEN_RUNS = [status for status in RunStatus if not status.ended]
ENDED_RUNS = [status for status in RunStatus if status.ended]
MOVING = (TaskRunStatus.QUEUED, TaskRunStatus.RUNNING)


class StuckStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def runs(self, *, before: datetime, limit: int, run_id: UUID | None = None) -> Sequence[Run]:
        """Open runs without a task that is queued or runs, and in which nothing has happened since `before`."""
        last_event = (
            select(Event.at).where(Event.run_id == Run.id).order_by(Event.sequence.desc()).limit(1).scalar_subquery()
        )
        query = (
            select(Run)
            .where(
                Run.status.in_(OPEN_RUNS),
                Run.created_at <= before,
                ~exists().where(TaskRun.run_id == Run.id, TaskRun.status.in_(MOVING)),
                or_(last_event <= before, last_event.is_(None)),
            )
            .limit(limit)
        )
        if run_id is not None:
            query = query.where(Run.id == run_id)
        return (await self._session.scalars(query.execution_options(populate_existing=True))).all()

    async def playgrounds(self, *, limit: int) -> Sequence[UUID]:
        """Playgrounds whose active run has ended, or is gone."""
        query = (
            select(Playground.id)
            .outerjoin(Run, Run.id == Playground.active_run_id)
            .where(Playground.active_run_id.is_not(None), or_(Run.id.is_(None), Run.status.in_(ENDED_RUNS)))
        )
        return (await self._session.scalars(query.limit(limit))).all()

    async def parents_of_run(self, run_id: UUID) -> dict[UUID, set[UUID]]:
        query = select(TaskRunEdge.child_id, TaskRunEdge.parent_id).join(TaskRun, TaskRun.id == TaskRunEdge.child_id)
        parents: dict[UUID, set[UUID]] = defaultdict(set)
        for child, parent in await self._session.execute(query.where(TaskRun.run_id == run_id)):
            parents[child].add(parent)
        return parents

    async def set_pending_parents(self, counts: Mapping[UUID, int]) -> None:
        alike: dict[int, list[UUID]] = defaultdict(list)
        for task_run_id, count in counts.items():
            alike[count].append(task_run_id)
        for count, ids in alike.items():
            await self._session.execute(
                update(TaskRun).where(TaskRun.id.in_(ids)).values(pending_parents=count),
                execution_options={"synchronize_session": False},
            )
