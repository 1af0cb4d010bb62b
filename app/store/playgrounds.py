"""SQL of playgrounds."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from app.models import Playground, ReconciliationRun, Run, TaskAttempt, TaskRun
from app.store.pages import Page, PageRequest, newest_first


class PlaygroundStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def add(self, **values: Any) -> None:
        await self._session.execute(insert(Playground).values(**values))

    async def get(self, playground_id: UUID, *, owner_id: UUID | None = None) -> Playground | None:
        query = select(Playground).where(Playground.id == playground_id)
        if owner_id is not None:
            query = query.where(Playground.owner_id == owner_id)
        return await self._session.scalar(query)

    async def get_many(self, ids: Collection[UUID]) -> Sequence[Playground]:
        return (await self._session.scalars(select(Playground).where(Playground.id.in_(ids)))).all()

    async def id_by_name(self, owner_id: UUID, name: str) -> UUID | None:
        return await self._session.scalar(
            select(Playground.id).where(Playground.owner_id == owner_id, Playground.name == name)
        )

    async def page(self, owner_id: UUID, request: PageRequest, *, search: str | None) -> Page[Playground]:
        query = select(Playground).where(Playground.owner_id == owner_id)
        if search:
            query = query.where(Playground.name.icontains(search, autoescape=True))
        return await newest_first(self._session, query, Playground.id, request)

    async def update(self, playground_id: UUID, **values: Any) -> None:
        await self._session.execute(update(Playground).where(Playground.id == playground_id).values(**values))

    async def delete(self, playground_id: UUID) -> None:
        await self._session.execute(delete(Playground).where(Playground.id == playground_id))

    async def output_locations(self, playground_id: UUID) -> Sequence[str]:
        """Where the files of its task runs and reconciliation runs lie."""
        attempts = (
            select(TaskAttempt.output_location)
            .join(TaskRun, TaskRun.id == TaskAttempt.task_run_id)
            .join(Run, Run.id == TaskRun.run_id)
            .where(Run.playground_id == playground_id, TaskAttempt.output_location.is_not(None))
        )
        pairs = select(ReconciliationRun.differences_location).where(
            ReconciliationRun.playground_id == playground_id, ReconciliationRun.differences_location.is_not(None)
        )
        found = [*await self._session.scalars(attempts), *await self._session.scalars(pairs)]
        return [location for location in found if location is not None]

    async def due(self, at: datetime, *, limit: int) -> Sequence[Playground]:
        """Playgrounds whose next fire time has come, the longest overdue first; by the index, whatever exists."""
        query = (
            select(Playground)
            .where(Playground.next_fire_at <= at, Playground.schedule_paused.is_(False))
            .order_by(Playground.next_fire_at)
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()

    async def next_fire_at(self) -> datetime | None:
        return await self._session.scalar(
            select(Playground.next_fire_at)
            .where(Playground.next_fire_at.is_not(None), Playground.schedule_paused.is_(False))
            .order_by(Playground.next_fire_at)
            .limit(1)
        )

    async def move_fire(self, playground_id: UUID, *, expected: datetime, next_fire_at: datetime | None) -> bool:
        """Set the next fire time as a compare-and-set; False where another scheduler or an edit was first."""
        result = await self._session.execute(
            update(Playground)
            .where(Playground.id == playground_id, Playground.next_fire_at == expected)
            .values(next_fire_at=next_fire_at)
        )
        return isinstance(result, CursorResult) and result.rowcount == 1
