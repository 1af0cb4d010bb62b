"""SQL of reconciliations, their runs and the events of these."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from app.domain.events import Outbox, reconciliation_topic
from app.domain.status import RECONCILIATION_TRANSITIONS, ReconciliationStatus, sources_of
from app.models import Playground, Reconciliation, ReconciliationEvent, ReconciliationRun, Worker
from app.store.spans import Span, within


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A run that waits, and whose it is."""

    owner_id: UUID
    run_id: UUID


class ReconciliationStore:
    def __init__(self, *, session: AsyncSession, outbox: Outbox) -> None:
        self._session = session
        self._outbox = outbox

    async def add(self, **values: Any) -> None:
        await self._session.execute(insert(Reconciliation).values(**values))

    async def get(self, reconciliation_id: UUID, *, owner_id: UUID | None = None) -> Reconciliation | None:
        query = select(Reconciliation).where(Reconciliation.id == reconciliation_id)
        if owner_id is not None:
            query = query.join(Playground, Playground.id == Reconciliation.playground_id).where(
                Playground.owner_id == owner_id
            )
        return await self._session.scalar(query)

    async def get_many(self, ids: Collection[UUID]) -> Sequence[Reconciliation]:
        return (await self._session.scalars(select(Reconciliation).where(Reconciliation.id.in_(ids)))).all()

    async def of_playgrounds(self, playground_ids: Collection[UUID]) -> Sequence[Reconciliation]:
        query = select(Reconciliation).where(Reconciliation.playground_id.in_(playground_ids))
        return (await self._session.scalars(query.order_by(Reconciliation.id))).all()

    async def update(self, reconciliation_id: UUID, **values: Any) -> None:
        await self._session.execute(
            update(Reconciliation).where(Reconciliation.id == reconciliation_id).values(**values)
        )

    async def delete(self, reconciliation_id: UUID) -> None:
        await self._session.execute(delete(Reconciliation).where(Reconciliation.id == reconciliation_id))

    # ---- runs

    async def add_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        await self._session.execute(insert(ReconciliationRun), rows)

    async def launch(self, rows: Sequence[Mapping[str, Any]], *, at: datetime) -> None:
        """Runs that wait from now on, each with its first event."""
        first = {"status": ReconciliationStatus.PENDING, "progress": 0.0}
        await self.add_runs([{**row, **first, "event_sequence": 1, "created_at": at} for row in rows])
        events = [{"reconciliation_run_id": row["id"], **first, "sequence": 1, "at": at} for row in rows]
        await self._session.execute(insert(ReconciliationEvent), events)
        for row in rows:
            self._outbox.ring(reconciliation_topic(row["id"]))

    async def run(
        self, run_id: UUID, *, owner_id: UUID | None = None, lock: bool = False, with_samples: bool = False
    ) -> ReconciliationRun | None:
        query = select(ReconciliationRun).where(ReconciliationRun.id == run_id)
        if owner_id is not None:
            query = query.join(Playground, Playground.id == ReconciliationRun.playground_id).where(
                Playground.owner_id == owner_id
            )
        if lock:
            query = query.with_for_update()
        if with_samples:
            query = query.options(undefer(ReconciliationRun.samples))
        return await self._session.scalar(query.execution_options(populate_existing=True))

    async def runs(self, ids: Collection[UUID]) -> Sequence[ReconciliationRun]:
        return (await self._session.scalars(select(ReconciliationRun).where(ReconciliationRun.id.in_(ids)))).all()

    async def ids_of_runs(self, reconciliation_id: UUID) -> Sequence[UUID]:
        query = select(ReconciliationRun.id).where(ReconciliationRun.reconciliation_id == reconciliation_id)
        return (await self._session.scalars(query)).all()

    async def ids_of_runs_with(self, task_id: UUID) -> Sequence[UUID]:
        """Those of all reconciliations that have the task for a side."""
        query = (
            select(ReconciliationRun.id)
            .join(Reconciliation, Reconciliation.id == ReconciliationRun.reconciliation_id)
            .where(or_(Reconciliation.left_task_id == task_id, Reconciliation.right_task_id == task_id))
        )
        return (await self._session.scalars(query)).all()

    async def run_by_idempotency_key(self, reconciliation_id: UUID, key: str) -> ReconciliationRun | None:
        return await self._session.scalar(
            select(ReconciliationRun).where(
                ReconciliationRun.reconciliation_id == reconciliation_id, ReconciliationRun.idempotency_key == key
            )
        )

    async def last_runs(self, reconciliation_ids: Collection[UUID]) -> Sequence[ReconciliationRun]:
        newest = (
            select(func.max(ReconciliationRun.id))
            .where(ReconciliationRun.reconciliation_id.in_(reconciliation_ids))
            .group_by(ReconciliationRun.reconciliation_id)
        )
        return (await self._session.scalars(select(ReconciliationRun).where(ReconciliationRun.id.in_(newest)))).all()

    async def waiting(self) -> Sequence[Waiting]:
        """The longest waiting run of each person who has one."""
        oldest = func.min(ReconciliationRun.id)
        query = (
            select(Playground.owner_id, oldest)
            .join(Playground, Playground.id == ReconciliationRun.playground_id)
            .where(ReconciliationRun.status == ReconciliationStatus.PENDING)
            .group_by(Playground.owner_id)
        )
        return [Waiting(owner_id=row[0], run_id=row[1]) for row in await self._session.execute(query)]

    async def at_work(self) -> dict[UUID, int]:
        """How many runs of each person are RUNNING."""
        query = (
            select(Playground.owner_id, func.count())
            .select_from(ReconciliationRun)
            .join(Playground, Playground.id == ReconciliationRun.playground_id)
            .where(ReconciliationRun.status == ReconciliationStatus.RUNNING)
            .group_by(Playground.owner_id)
        )
        return {row[0]: row[1] for row in await self._session.execute(query)}

    async def transition(
        self,
        run: ReconciliationRun,
        target: ReconciliationStatus,
        *,
        at: datetime,
        held_by: UUID | None = None,
        message: str | None = None,
        **values: Any,
    ) -> bool:
        """The one door for a status of a reconciliation run; `run` was read with its lock in this transaction."""
        guards = [
            ReconciliationRun.id == run.id,
            ReconciliationRun.status.in_(sources_of(RECONCILIATION_TRANSITIONS, target)),
        ]
        if held_by is not None:
            guards.append(ReconciliationRun.worker_id == held_by)
        sequence = run.event_sequence + 1
        result = await self._session.execute(
            update(ReconciliationRun).where(*guards).values(status=target, event_sequence=sequence, **values),
            execution_options={"synchronize_session": False},
        )
        if not isinstance(result, CursorResult) or not result.rowcount:
            return False
        progress = values.get("progress", run.progress)
        await self.add_event(run.id, target, sequence=sequence, at=at, progress=progress, message=message)
        return True

    async def report_progress(
        self, run: ReconciliationRun, *, at: datetime, progress: float, message: str | None = None
    ) -> None:
        await self._session.execute(
            update(ReconciliationRun)
            .where(ReconciliationRun.id == run.id)
            .values(progress=progress, event_sequence=run.event_sequence + 1),
            execution_options={"synchronize_session": False},
        )
        sequence = run.event_sequence + 1
        await self.add_event(run.id, run.status, sequence=sequence, at=at, progress=progress, message=message)

    async def add_event(
        self,
        run_id: UUID,
        status: ReconciliationStatus,
        *,
        sequence: int,
        at: datetime,
        progress: float,
        message: str | None,
    ) -> None:
        await self._session.execute(
            insert(ReconciliationEvent).values(
                reconciliation_run_id=run_id,
                sequence=sequence,
                at=at,
                status=status,
                progress=progress,
                message=message[:500] if message else None,
            )
        )
        self._outbox.ring(reconciliation_topic(run_id))

    async def request_cancel(self, run_id: UUID) -> None:
        await self._session.execute(
            update(ReconciliationRun).where(ReconciliationRun.id == run_id).values(cancel_requested=True)
        )

    async def events_after(self, run_id: UUID, sequence: int, *, limit: int) -> Sequence[ReconciliationEvent]:
        query = (
            select(ReconciliationEvent)
            .where(ReconciliationEvent.reconciliation_run_id == run_id, ReconciliationEvent.sequence > sequence)
            .order_by(ReconciliationEvent.sequence)
            .limit(limit)
        )
        return (await self._session.scalars(query)).all()

    async def held_and_cancelled(self, worker_id: UUID) -> Sequence[UUID]:
        query = select(ReconciliationRun.id).where(
            ReconciliationRun.worker_id == worker_id,
            ReconciliationRun.status == ReconciliationStatus.RUNNING,
            ReconciliationRun.cancel_requested.is_(True),
        )
        return (await self._session.scalars(query)).all()

    async def held_by(self, worker_id: UUID) -> Sequence[ReconciliationRun]:
        query = select(ReconciliationRun).where(
            ReconciliationRun.worker_id == worker_id, ReconciliationRun.status == ReconciliationStatus.RUNNING
        )
        return (await self._session.scalars(query)).all()

    async def release(self, run_id: UUID, *, worker_id: UUID) -> None:
        """Give up the lease of a run that nobody works on."""
        await self._session.execute(
            update(ReconciliationRun)
            .where(ReconciliationRun.id == run_id, ReconciliationRun.worker_id == worker_id)
            .values(worker_id=None)
        )

    async def pending_within(self, spans: Sequence[Span], *, limit: int) -> Sequence[tuple[UUID, datetime]]:
        """Runs that wait, and since when."""
        query = select(ReconciliationRun.id, ReconciliationRun.created_at).where(
            ReconciliationRun.status == ReconciliationStatus.PENDING, within(ReconciliationRun.created_at, spans)
        )
        return [(row[0], row[1]) for row in await self._session.execute(query.limit(limit))]

    async def orphans(self, *, limit: int) -> Sequence[UUID]:
        """Runs that are RUNNING and whose worker is gone from the table."""
        query = (
            select(ReconciliationRun.id)
            .outerjoin(Worker, Worker.id == ReconciliationRun.worker_id)
            .where(ReconciliationRun.status == ReconciliationStatus.RUNNING, Worker.id.is_(None))
        )
        return (await self._session.scalars(query.limit(limit))).all()
