"""Changes of status in many playgrounds at once: through the one door, by no more statements than for one."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncSession

from app.domain.status import TASK_RUN_TRANSITIONS, RunStatus, TaskRunStatus, sources_of
from app.models import Run, TaskRun
from app.store.ledger import RUN, TASK_RUN, Ledger

# Built once, as those of the ledger, and with the same names.
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


class LostRowsError(Exception):
    """Rows changed under a ledger's lock: something writes statuses past the one door."""


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
