"""SQL of worker processes and their heartbeats."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.status import TaskRunStatus
from app.models import TaskRun, Worker
from app.store.clock import database_now


class WorkerStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def add(self, **values: Any) -> None:
        now = database_now()
        await self._session.execute(insert(Worker).values(started_at=now, heartbeat_at=now, **values))

    async def beat(self, worker_id: UUID) -> bool:
        """False where the worker was taken for dead and removed: it must register anew."""
        beat = update(Worker).where(Worker.id == worker_id).values(heartbeat_at=database_now())
        result = await self._session.execute(beat)
        return isinstance(result, CursorResult) and result.rowcount == 1

    async def now(self) -> datetime:
        """The clock that heartbeats are told by."""
        return (await self._session.scalars(select(database_now()))).one()

    async def exists(self, worker_id: UUID) -> bool:
        return await self._session.scalar(select(Worker.id).where(Worker.id == worker_id)) is not None

    async def orphaned_among(self, task_runs: Sequence[TaskRun]) -> Sequence[TaskRun]:
        """Those whose worker is gone from the table."""
        holders = {row.worker_id for row in task_runs if row.worker_id is not None}
        if not holders:
            return task_runs
        alive = set(await self._session.scalars(select(Worker.id).where(Worker.id.in_(holders))))
        return [row for row in task_runs if row.worker_id not in alive]

    async def remove(self, worker_id: UUID) -> None:
        await self._session.execute(delete(Worker).where(Worker.id == worker_id))

    async def remove_silent(self, worker_id: UUID, *, before: datetime) -> None:
        """Remove a worker unless it has beaten since."""
        await self._session.execute(delete(Worker).where(Worker.id == worker_id, Worker.heartbeat_at < before))

    async def count_alive(self, *, kind: str, since: datetime) -> int:
        query = select(func.count()).select_from(Worker).where(Worker.kind == kind, Worker.heartbeat_at >= since)
        return await self._session.scalar(query) or 0

    async def newest_heartbeat(self, *, kind: str) -> datetime | None:
        return await self._session.scalar(select(func.max(Worker.heartbeat_at)).where(Worker.kind == kind))

    async def first(self, *, kind: str) -> UUID | None:
        """The one that has been there the longest."""
        return await self._session.scalar(
            select(Worker.id).where(Worker.kind == kind).order_by(Worker.started_at, Worker.id).limit(1)
        )

    async def dead(self, *, before: datetime) -> Sequence[Worker]:
        return (await self._session.scalars(select(Worker).where(Worker.heartbeat_at < before))).all()

    async def orphans(self, *, limit: int) -> Sequence[TaskRun]:
        """Task runs that are RUNNING and whose worker is gone from the table."""
        query = (
            select(TaskRun)
            .outerjoin(Worker, Worker.id == TaskRun.worker_id)
            .where(TaskRun.status == TaskRunStatus.RUNNING, Worker.id.is_(None))
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()
