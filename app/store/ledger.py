"""The one door for a change of status of a run or a task run.

A ledger holds the playground's row lock for its transaction: changes of one playground are serialised over all
processes, and its events are numbered without a gap in the order of commit.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import set_committed_value

from app.domain.events import Outbox, log_topic, playground_topic
from app.domain.status import (
    RUN_TRANSITIONS,
    TASK_RUN_TRANSITIONS,
    RunStatus,
    TaskRunStatus,
    sources_of,
)
from app.models import Event, Playground, Run, TaskRun
from app.models.base import table_of
from app.store.clock import database_now

# Statements on plain tables: every change of status comes by here, and the ORM's own way costs half as much again.
PLAYGROUND, RUN, TASK_RUN, EVENT = (table_of(model) for model in (Playground, Run, TaskRun, Event))
# Built once: putting a statement together costs more than a small one takes. A name that starts with `of` says which
# row; the other parameters of an update are the columns to set.
LOCKED = (
    select(Playground, database_now())
    .where(Playground.id == bindparam("of"))
    .with_for_update()
    .execution_options(populate_existing=True)
)
MANY = (
    select(Playground, database_now())
    .where(Playground.id.in_(bindparam("of", expanding=True)))
    .order_by(Playground.id)
    .execution_options(populate_existing=True)
)
LOCKED_MANY, FREE_MANY = MANY.with_for_update(), MANY.with_for_update(skip_locked=True)
CHANGE = update(PLAYGROUND).where(PLAYGROUND.c.id == bindparam("of"))
ADD_EVENTS = insert(EVENT)


class Ledger:
    """Opened by `UnitOfWork.open_ledger`; its events are written when the unit of work commits."""

    def __init__(self, *, session: AsyncSession, outbox: Outbox, playground: Playground, now: datetime) -> None:
        """`now` is the database's clock: what is compared between hosts is told by one clock."""
        self._session = session
        self._outbox = outbox
        self.now = now
        self._events: list[dict[str, Any]] = []
        self._sequence = playground.event_sequence
        self._changes: dict[str, Any] = {}
        self.playground = playground

    @classmethod
    async def open(cls, *, session: AsyncSession, outbox: Outbox, playground_id: UUID) -> "Ledger | None":
        row = (await session.execute(LOCKED, {"of": playground_id})).one_or_none()
        return None if row is None else cls(session=session, outbox=outbox, playground=row[0], now=row[1])

    @classmethod
    async def open_many(
        cls, *, session: AsyncSession, outbox: Outbox, playground_ids: Collection[UUID], wait: bool
    ) -> "list[Ledger]":
        """The ledgers of those that are there; locks are taken in the order of ids, as everybody does.

        `wait`: else those that somebody else holds are left out.
        """
        query = LOCKED_MANY if wait else FREE_MANY
        rows = await session.execute(query, {"of": list(playground_ids)})
        return [cls(session=session, outbox=outbox, playground=playground, now=now) for playground, now in rows]

    async def transition_run(self, run_id: UUID, target: RunStatus, *, at: datetime, **values: Any) -> bool:
        """Move a run to `target`; False where its status does not allow that (any more)."""
        moved = await self._execute(
            update(RUN)
            .where(RUN.c.id == run_id, RUN.c.status.in_(sources_of(RUN_TRANSITIONS, target)))
            .values(status=target, **values)
        )
        if moved:
            self.record(run_id=run_id, status=target, at=at, message=values.get("message"))
        return bool(moved)

    async def transition(
        self,
        task_run: TaskRun,
        target: TaskRunStatus,
        *,
        at: datetime,
        via: TaskRunStatus | None = None,
        held_by: UUID | None = None,
        message: str | None = None,
        **values: Any,
    ) -> bool:
        """Move one task run to `target`; False where its status, holder or attempt has changed since it was read.

        `via` names a status passed through in the same transaction (recorded, with the first of the two guards);
        `held_by` is the worker that must hold it, with the attempt as it was read: a worker that was thought dead
        and comes back changes nothing.
        """
        guards = [TASK_RUN.c.id == task_run.id, TASK_RUN.c.status.in_(sources_of(TASK_RUN_TRANSITIONS, via or target))]
        if held_by is not None:
            guards += [TASK_RUN.c.worker_id == held_by, TASK_RUN.c.attempt == task_run.attempt]
        moved = await self._execute(update(TASK_RUN).where(*guards).values(status=target, **values))
        if not moved:
            return False
        attempt = values.get("attempt", task_run.attempt)
        for status in (via, target):
            if status is not None:
                note = message if status is target else None
                self.record(
                    run_id=task_run.run_id, task_run_id=task_run.id, status=status, at=at, attempt=attempt, message=note
                )
        return True

    async def transition_all(
        self,
        run_id: UUID,
        target: TaskRunStatus,
        *,
        at: datetime,
        among: Collection[UUID] | None = None,
        sources: Collection[TaskRunStatus] | None = None,
        message: str | None = None,
        **values: Any,
    ) -> Sequence[UUID]:
        """Move all task runs of the run (or those `among` them) that may go to `target`; tells which did."""
        permitted = sources_of(TASK_RUN_TRANSITIONS, target) if sources is None else tuple(sources)
        query = select(TaskRun.id, TaskRun.attempt).where(TaskRun.run_id == run_id, TaskRun.status.in_(permitted))
        if among is not None:
            query = query.where(TaskRun.id.in_(among))
        rows = (await self._session.execute(query.order_by(TaskRun.position))).all()
        if not rows:
            return ()
        ids = [row.id for row in rows]
        await self._execute(update(TASK_RUN).where(TASK_RUN.c.id.in_(ids)).values(status=target, **values))
        for row in rows:
            self.record(run_id=run_id, task_run_id=row.id, status=target, at=at, attempt=row.attempt, message=message)
        return ids

    async def has_open_tasks(self, run_id: UUID) -> bool:
        """Whether a task run has not ended; by the index, however many have."""
        open_statuses = [status for status in TaskRunStatus if not status.ended]
        query = select(TaskRun.id).where(TaskRun.run_id == run_id, TaskRun.status.in_(open_statuses)).limit(1)
        return await self._session.scalar(query) is not None

    def record(
        self,
        *,
        run_id: UUID,
        status: str,
        at: datetime,
        task_run_id: UUID | None = None,
        attempt: int | None = None,
        message: str | None = None,
    ) -> None:
        """Append an event of this transaction to the log."""
        if task_run_id is not None and TaskRunStatus(status).ended:
            self._outbox.ring(log_topic(task_run_id))  # whoever follows the log learns that it is complete
        self._sequence += 1
        self._events.append(
            {
                "playground_id": self.playground.id,
                "sequence": self._sequence,
                "run_id": run_id,
                "task_run_id": task_run_id,
                "status": status,
                "attempt": attempt,
                "at": at,
                "message": message[:500] if message else None,
            }
        )

    def change_playground(self, **values: Any) -> None:
        """Change columns of the playground itself, in the statement that bumps its counter."""
        self._changes.update(values)
        assume(self.playground, **values)

    async def flush(self) -> None:
        await flush_all(self._session, [self])

    def gathered(self) -> tuple[Sequence[Mapping[str, Any]], Mapping[str, Any]]:
        """The events to write, and the columns of the playground's row that change."""
        if self._events:
            self._changes["event_sequence"] = self._sequence
            self._outbox.ring(playground_topic(self.playground.id))
        return self._events, self._changes

    async def _execute(self, statement: Any) -> int:
        result = await self._session.execute(statement)
        return result.rowcount if isinstance(result, CursorResult) else 0


async def flush_all(session: AsyncSession, ledgers: Iterable[Ledger]) -> None:
    """Write what the ledgers of a transaction have gathered, by as few statements as that takes."""
    events: list[Mapping[str, Any]] = []
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for ledger in ledgers:
        its_events, changes = ledger.gathered()
        events += its_events
        if changes:
            alike.setdefault(tuple(sorted(changes)), []).append({"of": ledger.playground.id, **changes})
    if events:
        await session.execute(ADD_EVENTS, events)
    for rows in alike.values():
        await session.execute(CHANGE, rows if len(rows) > 1 else rows[0])


def assume(row: TaskRun | Playground, **values: Any) -> None:
    """Bring a row in memory up to what was just written; plain assignment would have the session write it again."""
    for name, value in values.items():
        set_committed_value(row, name, value)
