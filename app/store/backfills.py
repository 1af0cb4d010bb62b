"""SQL of backfills and of the fire times that wait in them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.status import BackfillStatus, RunStatus
from app.models import Backfill, BackfillFire, Playground, Run

INSERT_BATCH = 1_000
OPEN = (RunStatus.PENDING, RunStatus.RUNNING)


class BackfillStore:
    def __init__(self, *, session: AsyncSession) -> None:
        self._session = session

    async def add(self, fires: Sequence[datetime], **values: Any) -> None:
        await self._session.execute(insert(Backfill).values(**values))
        rows = [{"backfill_id": values["id"], "fire_at": fire} for fire in fires]
        for start in range(0, len(rows), INSERT_BATCH):
            await self._session.execute(insert(BackfillFire), rows[start : start + INSERT_BATCH])

    async def get(self, backfill_id: UUID, *, owner_id: UUID | None = None) -> Backfill | None:
        """As it is in the database now."""
        query = select(Backfill).where(Backfill.id == backfill_id)
        if owner_id is not None:
            query = query.join(Playground, Playground.id == Backfill.playground_id).where(
                Playground.owner_id == owner_id
            )
        return await self._session.scalar(query.execution_options(populate_existing=True))

    async def get_many(self, ids: Collection[UUID]) -> Sequence[Backfill]:
        return (await self._session.scalars(select(Backfill).where(Backfill.id.in_(ids)))).all()

    async def update(self, backfill_id: UUID, **values: Any) -> None:
        await self._session.execute(
            update(Backfill).where(Backfill.id == backfill_id).values(**values),
            execution_options={"synchronize_session": False},
        )

    async def end(self, backfill_id: UUID, status: BackfillStatus, *, at: datetime) -> bool:
        """RUNNING → `status`, as a compare-and-set."""
        result = await self._session.execute(
            update(Backfill)
            .where(Backfill.id == backfill_id, Backfill.status == BackfillStatus.RUNNING)
            .values(status=status, ended_at=at),
            execution_options={"synchronize_session": False},
        )
        return isinstance(result, CursorResult) and result.rowcount == 1

    # ---- the fire times that wait

    async def next_fires(self, backfill_id: UUID, *, limit: int) -> Sequence[datetime]:
        query = select(BackfillFire.fire_at).where(BackfillFire.backfill_id == backfill_id)
        return (await self._session.scalars(query.order_by(BackfillFire.fire_at).limit(limit))).all()

    async def take_fire(self, backfill_id: UUID, fire_at: datetime) -> None:
        await self._session.execute(
            delete(BackfillFire).where(BackfillFire.backfill_id == backfill_id, BackfillFire.fire_at == fire_at)
        )

    async def drop_fires(self, backfill_id: UUID) -> int:
        """Forget all that wait; gives how many that were."""
        result = await self._session.execute(delete(BackfillFire).where(BackfillFire.backfill_id == backfill_id))
        return result.rowcount if isinstance(result, CursorResult) else 0

    async def waiting_counts(self, backfill_ids: Collection[UUID]) -> dict[UUID, int]:
        query = (
            select(BackfillFire.backfill_id, func.count())
            .where(BackfillFire.backfill_id.in_(backfill_ids))
            .group_by(BackfillFire.backfill_id)
        )
        return {row[0]: row[1] for row in await self._session.execute(query)}

    # ---- its runs

    async def run_counts(self, backfill_ids: Collection[UUID]) -> dict[UUID, dict[RunStatus, int]]:
        query = (
            select(Run.backfill_id, Run.status, func.count())
            .where(Run.backfill_id.in_(backfill_ids))
            .group_by(Run.backfill_id, Run.status)
        )
        found: dict[UUID, dict[RunStatus, int]] = {}
        for backfill_id, status, count in await self._session.execute(query):
            if backfill_id is not None:
                found.setdefault(backfill_id, {})[status] = count
        return found

    async def open_runs(self, backfill_id: UUID) -> Sequence[UUID]:
        query = select(Run.id).where(Run.backfill_id == backfill_id, Run.status.in_(OPEN)).order_by(Run.id)
        return (await self._session.scalars(query)).all()

    async def succeeded_fires(self, playground_id: UUID, start: datetime, end: datetime) -> set[datetime]:
        """The fire times from `start` to `end` that have a run that succeeded."""
        query = select(Run.scheduled_for).where(
            Run.playground_id == playground_id,
            Run.scheduled_for.between(start, end),
            Run.status == RunStatus.SUCCESS,
        )
        return {fire for fire in await self._session.scalars(query) if fire is not None}

    async def stalled(self, *, limit: int) -> Sequence[UUID]:
        """Backfills that could do something now: their job was lost."""
        on = (
            select(func.count())
            .select_from(Run)
            .where(Run.backfill_id == Backfill.id, Run.status.in_(OPEN))
            .correlate(Backfill)
            .scalar_subquery()
        )
        waiting = select(BackfillFire.fire_at).where(BackfillFire.backfill_id == Backfill.id).exists()
        query = select(Backfill.id).where(
            Backfill.status == BackfillStatus.RUNNING, (on == 0) | (waiting & (on < Backfill.max_concurrent_runs))
        )
        return (await self._session.scalars(query.limit(limit))).all()
