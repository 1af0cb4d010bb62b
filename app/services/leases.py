"""The lease of a worker process: one heartbeat for all that it holds, and an ear for cancelling.

Each beat also settles what memory and database disagree about, so that neither a lost ring nor a commit whose answer
was lost leaves work behind.
"""

import asyncio
import os
import socket
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.exc import DBAPIError

from app.domain.events import Job, JobName, cancel_topic
from app.domain.identity import utc_now
from app.messaging.bell import Bell
from app.services.held_work import HeldWork
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

KIND = "WORKER"
SETTLE_AGE = timedelta(seconds=5)  # a claim younger than this may still be on its way from the commit to memory

log = structlog.get_logger()


class Lease:
    def __init__(
        self, *, database: Database, bell: Bell, held: HeldWork, worker_id: UUID, interval: timedelta, kind: str = KIND
    ) -> None:
        self._database = database
        self._bell = bell
        self._held = held
        self._worker_id = worker_id
        self._interval = interval.total_seconds()
        self._kind = kind
        self._news = asyncio.Event()

    async def register(self) -> None:
        at = utc_now()

        async def work(unit: UnitOfWork) -> None:
            if not await unit.workers.beat(self._worker_id, at=at):
                await unit.workers.add(
                    id=self._worker_id,
                    host=socket.gethostname()[:255],
                    pid=os.getpid(),
                    kind=self._kind,
                    started_at=at,
                    heartbeat_at=at,
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
                try:
                    await self.beat()
                except (DBAPIError, OSError, TimeoutError) as error:
                    log.warning("lease.beat_failed", reason=str(error))

    async def beat(self) -> None:
        await self.register()
        async with self._database.read() as unit:
            cancelled = [
                *await unit.runs.held_and_cancelled(self._worker_id),
                *await unit.reconciliations.held_and_cancelled(self._worker_id),
            ]
            claimed = await unit.runs.held_by(self._worker_id) if self._kind == KIND else ()
        self._held.stop(cancelled)
        oldest = utc_now() - SETTLE_AGE
        forgotten = [
            row
            for row in claimed
            if row.id not in self._held and row.started_at is not None and row.started_at < oldest
        ]
        if not forgotten:
            return
        log.warning("lease.settled", count=len(forgotten))

        async def work(unit: UnitOfWork) -> None:
            for row in forgotten:
                await unit.runs.release(row, worker_id=self._worker_id)
                unit.outbox.jobs.append(Job(name=JobName.EXECUTE_TASK, id=row.id))

        await self._database.write(work)

    async def end(self) -> None:
        """Tell at once that this process holds nothing any more."""

        async def work(unit: UnitOfWork) -> None:
            await unit.workers.remove(self._worker_id)

        await self._database.write(work)
