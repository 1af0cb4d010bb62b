"""The sweeper: finds work that was left lying, and sends its job again. Needs no button, and any number may sweep.

Everything it does is safe to do twice: jobs lose their compare-and-set where the work goes on elsewhere.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.domain.events import Job, JobName
from app.domain.identity import utc_now
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork

BATCH = 1_000
LOST_AFTER = timedelta(seconds=2)  # a job is taken up in milliseconds; older and not in the queue, it was lost
SLOW_AFTER = timedelta(seconds=60)  # while the queue has jobs, waiting is no sign of loss

log = structlog.get_logger()
QueueLength = Callable[[JobName], Awaitable[int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    dead_workers: int
    jobs: int


class RecoveryService:
    def __init__(self, *, database: Database, queue_length: QueueLength, lease: timedelta) -> None:
        self._database = database
        self._queue_length = queue_length
        self._lease = lease

    async def sweep(self) -> Swept:
        """Take the leases of silent workers, and send the jobs of all that nobody holds."""
        at = utc_now()
        since = {
            name: at - (LOST_AFTER if await self._queue_length(name) == 0 else SLOW_AFTER)
            for name in (JobName.EXECUTE_TASK, JobName.RECONCILE)
        }
        async with self._database.read() as unit:
            dead = [worker.id for worker in await unit.workers.dead(before=at - self._lease)]
            jobs = await _stranded(unit, tasks_since=since[JobName.EXECUTE_TASK], pairs_since=since[JobName.RECONCILE])
        if not dead and not jobs:
            return Swept(dead_workers=0, jobs=0)

        async def work(unit: UnitOfWork) -> None:
            for worker_id in dead:
                await unit.workers.remove_silent(worker_id, before=at - self._lease)
            unit.outbox.jobs.extend(jobs)

        await self._database.write(work)
        log.info("sweep.done", dead_workers=len(dead), jobs=len(jobs))
        return Swept(dead_workers=len(dead), jobs=len(jobs))


async def _stranded(unit: UnitOfWork, *, tasks_since: datetime, pairs_since: datetime) -> list[Job]:
    """The jobs of what nobody holds: orphans at once, what waits only when its job must have been lost."""
    orphans = [row.id for row in await unit.workers.orphans(limit=BATCH)]
    queued = await unit.runs.queued_since(tasks_since, limit=BATCH)
    pending = [run.id for run in await unit.runs.pending_since(tasks_since, limit=BATCH)]
    pairs = await unit.reconciliations.stranded(before=pairs_since, limit=BATCH)
    return [
        *(Job(name=JobName.EXECUTE_TASK, id=id_) for id_ in (*orphans, *queued)),
        *(Job(name=JobName.START_RUN, id=id_) for id_ in pending),
        *(Job(name=JobName.RECONCILE, id=id_) for id_ in pairs),
    ]
