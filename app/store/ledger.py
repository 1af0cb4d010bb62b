"""The one door for a change of status of a run or a task run.

A ledger holds the playground's row lock for its transaction: changes of one playground are serialised over all
processes, and its events are numbered without a gap in the order of commit.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
END = update(TASK_RUN).where(
    TASK_RUN.c.id == bindparam("of_id"),
    TASK_RUN.c.worker_id == bindparam("of_worker"),
    TASK_RUN.c.attempt == bindparam("of_attempt"),
    TASK_RUN.c.status == TaskRunStatus.RUNNING,
)
START = (
    update(TASK_RUN)
    .where(
        TASK_RUN.c.id.in_(bindparam("of_ids", expanding=True)),
        TASK_RUN.c.status.in_(bindparam("of_sources", expanding=True)),
    )
    .values(attempt=TASK_RUN.c.attempt + 1)
)
END_RUNS = update(RUN).where(RUN.c.id == bindparam("of_id"), RUN.c.status == bindparam("of_status"))
CHANGE = update(PLAYGROUND).where(PLAYGROUND.c.id == bindparam("of"))
ADD_EVENTS = insert(EVENT)


class LostRowsError(Exception):
    """Rows changed under the ledger's lock: something writes statuses past the one door."""


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


class Ledgers:
    """Some open ledgers of one transaction: what happens in many playgrounds at once takes no more statements."""

    def __init__(self, *, session: AsyncSession, ledgers: Iterable[Ledger]) -> None:
        self._session = session
        self._ledgers = {ledger.playground.id: ledger for ledger in ledgers}

    def __iter__(self) -> Iterator[Ledger]:
        return iter(self._ledgers.values())

    def __contains__(self, playground_id: object) -> bool:
        return playground_id in self._ledgers

    def __getitem__(self, playground_id: UUID) -> Ledger:
        return self._ledgers[playground_id]

    async def end_all(self, ends: Sequence[tuple[TaskRun, Mapping[str, Any]]], *, held_by: UUID) -> bool:
        """End task runs that the worker holds, each in the attempt that was read; the values have their new statuses.

        False where the only one is not held by it any more. Raises: LostRowsError where one of several is not.
        """
        rows = [
            {"of_id": row.id, "of_attempt": row.attempt, "of_worker": held_by, **values, "worker_id": None}
            for row, values in ends
        ]
        moved = await self._execute(END, rows)
        if moved != len(ends):
            if len(ends) > 1:
                raise LostRowsError(f"{moved} of {len(ends)} task runs were still held")
            return False
        for row, values in ends:
            self[row.playground_id].record(
                run_id=row.run_id,
                task_run_id=row.id,
                status=values["status"],
                at=values["ended_at"],
                attempt=row.attempt,
                message=values["error_message"],
            )
        return True

    async def start_attempts(
        self, task_runs: Sequence[TaskRun], *, at: datetime, via: TaskRunStatus | None, **values: Any
    ) -> None:
        """Move task runs that were read under these ledgers' locks to RUNNING, each in its next attempt.

        Raises: LostRowsError where one was not as it was read.
        """
        target = TaskRunStatus.RUNNING
        sources = sources_of(TASK_RUN_TRANSITIONS, via or target)
        of_ids = [row.id for row in task_runs]
        moved = await self._execute(START, {"of_ids": of_ids, "of_sources": sources, "status": target, **values})
        if moved != len(task_runs):
            raise LostRowsError(f"{moved} of {len(task_runs)} task runs were as they had been read")
        for row in task_runs:
            for status in (via, target):
                if status is not None:
                    self[row.playground_id].record(
                        run_id=row.run_id, task_run_id=row.id, status=status, at=at, attempt=row.attempt + 1
                    )

    async def start_runs(self, runs: Mapping[UUID, UUID], *, at: datetime) -> None:
        """PENDING → RUNNING for those of the runs (run to playground) that are not RUNNING yet."""
        query = select(RUN.c.id).where(RUN.c.id.in_(list(runs)), RUN.c.status == RunStatus.PENDING)
        pending = (await self._session.scalars(query)).all()
        if not pending:
            return
        await self._execute(
            update(RUN).where(RUN.c.id.in_(pending)).values(status=RunStatus.RUNNING, started_at=at),
        )
        for run_id in pending:
            self[runs[run_id]].record(run_id=run_id, status=RunStatus.RUNNING, at=at)

    async def end_runs(self, runs: Sequence[tuple[Run, RunStatus]], *, at: datetime) -> None:
        """End runs that were read under these ledgers' locks, and set their playgrounds free.

        Raises: LostRowsError where one was not as it was read.
        """
        rows = [
            {
                "of_id": run.id,
                "of_status": run.status,
                "status": status,
                "ended_at": at,
                "started_at": run.started_at or at,
            }
            for run, status in runs
        ]
        if await self._execute(END_RUNS, rows) != len(rows):
            raise LostRowsError(f"of {len(rows)} runs some were not as they had been read")
        for run, status in runs:
            ledger = self[run.playground_id]
            ledger.record(run_id=run.id, status=status, at=at)
            if ledger.playground.active_run_id == run.id:
                ledger.change_playground(active_run_id=None)

    async def _execute(self, statement: Any, parameters: Any = None) -> int:
        result = await self._session.execute(statement, parameters)
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
