"""SQL of playgrounds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.schedule import ON_TIME, CatchupPolicy
from app.models import Playground, ReconciliationRun, Run, TaskAttempt, TaskRun
from app.models.base import table_of
from app.store.pages import Page, PageRequest, newest_first

PLAYGROUND = table_of(Playground)
_FIRE = (Playground.next_fire_at, Playground.id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fire:
    """A playground that is due, and the time at which it was."""

    at: datetime
    playground_id: UUID


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
        carried = select(TaskRun.output_location).where(TaskRun.playground_id == playground_id, TaskRun.carried_over)
        pairs = select(ReconciliationRun.differences_location).where(
            ReconciliationRun.playground_id == playground_id, ReconciliationRun.differences_location.is_not(None)
        )
        found = [*await self._session.scalars(attempts.union(carried)), *await self._session.scalars(pairs)]
        return [location for location in found if location is not None]

    async def lock_due(self, at: datetime, *, after: Fire | None, limit: int) -> list[Fire]:
        """Take the locks of playgrounds that are due, in the order of their fires, behind `after`.

        What somebody else has locked is left out: another scheduler fires it, or a worker is about to let go of it.
        """
        query = select(Playground.next_fire_at, Playground.id).where(_is_due(at)).order_by(*_FIRE).limit(limit)
        if after is not None:
            query = query.where(Playground.next_fire_at >= after.at, tuple_(*_FIRE) > (after.at, after.playground_id))
        rows = await self._session.execute(query.with_for_update(skip_locked=True))
        return [Fire(at=row[0], playground_id=row[1]) for row in rows if row[0] is not None]

    async def due(self, at: datetime, *, limit: int) -> list[UUID]:
        """The playgrounds that are due, locked or not, the longest overdue first."""
        query = select(Playground.id).where(_is_due(at)).order_by(*_FIRE).limit(limit)
        return list(await self._session.scalars(query))

    async def next_fire_at(self, at: datetime) -> datetime | None:
        """The earliest fire time that is not waited with; one row of an index, whatever exists."""
        query = select(Playground.next_fire_at).where(Playground.next_fire_at.is_not(None), ~_is_waiting(at))
        return await self._session.scalar(query.order_by(Playground.next_fire_at).limit(1))

    async def most_overdue(self, at: datetime) -> datetime | None:
        """The earliest fire time, without those that are being caught up with one after the other."""
        catching_up = (Playground.schedule_catchup == CatchupPolicy.ALL) & (Playground.next_fire_at <= at - ON_TIME)
        query = select(Playground.next_fire_at).where(Playground.next_fire_at.is_not(None), ~catching_up)
        return await self._session.scalar(query.order_by(Playground.next_fire_at).limit(1))

    async def put_off(self, playground_id: UUID, *, until: datetime) -> None:
        """Move a fire that cannot be worked out; nothing else of the row is read."""
        await self._session.execute(
            update(PLAYGROUND).where(PLAYGROUND.c.id == playground_id).values(next_fire_at=until)
        )


def _is_due(at: datetime) -> ColumnElement[bool]:
    return (Playground.next_fire_at <= at) & ~_is_waiting(at)


def _is_waiting(at: datetime) -> ColumnElement[bool]:
    """Whether a missed fire that is to be made up for waits for the end of the run that is on."""
    return (
        Playground.active_run_id.is_not(None)
        & (Playground.schedule_catchup == CatchupPolicy.ALL)
        & (Playground.next_fire_at <= at - ON_TIME)
    )
