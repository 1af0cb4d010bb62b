"""The lease of a worker process: one heartbeat for all that it holds, and an ear for cancelling.

Each beat also settles what memory and database disagree about, so that neither a lost ring nor a commit whose answer
was lost leaves work behind.
"""

import asyncio
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.domain.events import Job, JobName, cancel_topic
from app.domain.identity import utc_now
from app.messaging.bell import Bell
from app.models import ReconciliationRun, TaskRun
from app.services.claims import job_of
from app.services.held_work import HeldWork
from app.services.progress import Progress
from app.store.database import Database, DatabaseAwayError
from app.store.unit_of_work import UnitOfWork

KIND = "WORKER"
SETTLE_AGE = timedelta(seconds=5)  # a claim younger than this may still be on its way from the commit to memory

log = structlog.get_logger()


class Lease:
    """With a `progress`, a process does not beat while one of its loops stands still: it would tell that it is well."""

    def __init__(
        self,
        *,
        database: Database,
        bell: Bell,
        held: HeldWork,
        worker_id: UUID,
        interval: timedelta,
        kind: str = KIND,
        progress: Progress | None = None,
    ) -> None:
        self._database = database
        self._bell = bell
        self._held = held
        self._worker_id = worker_id
        self._interval = interval.total_seconds()
        self._kind = kind
        self._progress = progress
        self._news = asyncio.Event()

    async def register(self) -> None:
        async def work(unit: UnitOfWork) -> None:
            if not await unit.workers.beat(self._worker_id):
                await unit.workers.add(
                    id=self._worker_id,
                    host=socket.gethostname()[:255],
                    pid=os.getpid(),
                    kind=self._kind,
                )

        await self._database.write(work)

    async def keep(self) -> None:
        """Beat until cancelled; a database that is away is waited for."""
        async with self._bell.listening(cancel_topic(), self._news.set):
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._interval):
                        await self._news.wait()
                self._news.clear()
                if self._progress is not None and (stalled := self._progress.stalled()):
                    log.error("lease.withheld", loops=stalled)
                    continue
                try:
                    await self.beat()
                except (DatabaseAwayError, SQLAlchemyError, OSError, TimeoutError) as error:
                    log.warning("lease.beat_failed", reason=str(error))
                except Exception:  # a process that beats no more would lose all that it holds
                    log.exception("lease.beat_crashed")

    async def beat(self) -> None:
        await self.register()
        tasks, comparisons = self._held.tasks, self._held.comparisons  # before the look: a claim is written, then held
        async with self._database.read() as unit:
            cancelled = [
                *await unit.runs.held_and_cancelled(self._worker_id),
                *await unit.reconciliations.held_and_cancelled(self._worker_id),
            ]
            claimed = await unit.runs.held_by(self._worker_id) if self._kind == KIND else ()
            comparing = await unit.reconciliations.held_by(self._worker_id) if self._kind == KIND else ()
        self._held.stop(cancelled)
        # A process that was frozen, or cut off from the database, for longer than its lease finds that others have
        # taken its work: what it had begun would go on in the engine for nothing.
        attempts = {row.id: row.attempt for row in claimed}
        for task in tasks:
            if attempts.get(task.task_run.id) != task.task_run.attempt:
                task.lose()
        self._held.stop(comparisons - {row.id for row in comparing})
        await self._settle(claimed, comparing)

    async def _settle(self, claimed: Sequence[TaskRun], comparing: Sequence[ReconciliationRun]) -> None:
        """Let go of what the database gives to this worker, and this worker knows nothing of."""
        oldest = utc_now() - SETTLE_AGE
        tasks = [row for row in claimed if row.id not in self._held and row.started_at and row.started_at < oldest]
        pairs = [row for row in comparing if row.id not in self._held and row.started_at and row.started_at < oldest]
        if not tasks and not pairs:
            return
        log.warning("lease.settled", tasks=len(tasks), comparisons=len(pairs))

        async def work(unit: UnitOfWork) -> None:
            for task_run in tasks:
                await unit.runs.release(task_run.id, worker_id=self._worker_id)
                unit.outbox.jobs.append(job_of(task_run))
            for pair in pairs:
                await unit.reconciliations.release(pair.id, worker_id=self._worker_id)
                unit.outbox.jobs.append(Job(name=JobName.RECONCILE, id=pair.id))

        await self._database.write(work)

    async def end(self) -> None:
        """Tell at once that this process holds nothing any more."""

        async def work(unit: UnitOfWork) -> None:
            await unit.workers.remove(self._worker_id)

        await self._database.write(work)
