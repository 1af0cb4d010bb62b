"""The sweeper: finds work that was left lying, and sends its job again. Needs no button, and any number may sweep.

Everything it does is safe to do twice: jobs lose their compare-and-set where the work goes on elsewhere.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.domain.events import Job, JobName, every_topic
from app.models import TaskRun
from app.store.database import Database
from app.store.spans import LONG_AGO, Span
from app.store.unit_of_work import UnitOfWork

BATCH = 1_000
LOST_AFTER = timedelta(seconds=2)  # a job is taken up in milliseconds; older and not in the queue, it was lost
SLOW_AFTER = timedelta(seconds=60)  # while older jobs are in the queue, waiting is no sign of loss
DOUBLINGS = 14  # of SLOW_AFTER, up to eleven days

log = structlog.get_logger()
OldestJob = Callable[[JobName], Awaitable[datetime | None]]  # since when the queue's first job waits


@dataclass(frozen=True, kw_only=True, slots=True)
class Swept:
    dead_workers: int
    jobs: int


class RecoveryService:
    def __init__(self, *, database: Database, oldest_job: OldestJob, lease: timedelta) -> None:
        self._database = database
        self._oldest_job = oldest_job
        self._lease = lease
        self._last: datetime | None = None

    async def sweep(self) -> Swept:
        """Take the leases of silent workers, and send the jobs of all that nobody holds."""
        async with self._database.read() as unit:
            at = await unit.workers.now()
        silent_since = at - self._lease
        tasks, pairs = [await self._spans(name, at) for name in (JobName.EXECUTE_TASKS, JobName.RECONCILE)]
        async with self._database.read() as unit:
            dead = [worker.id for worker in await unit.workers.dead(before=silent_since)]
            jobs = [] if dead else await _stranded(unit, tasks=tasks, pairs=pairs)
        if dead or jobs:

            async def work(unit: UnitOfWork) -> int:
                for worker_id in dead:
                    await unit.workers.remove_silent(worker_id, before=silent_since)
                found = jobs or await _stranded(unit, tasks=tasks, pairs=pairs)  # with what the dead have left
                unit.outbox.jobs.extend(found)
                if dead:  # perhaps between a commit and its rings
                    unit.outbox.ring(every_topic())
                return len(found)

            sent = await self._database.write(work)
            log.info("sweep.done", dead_workers=len(dead), jobs=sent)
        else:
            sent = 0
        self._last = at
        return Swept(dead_workers=len(dead), jobs=sent)

    async def _spans(self, name: JobName, at: datetime) -> Sequence[Span]:
        """When that which is sent again must have begun to wait.

        A queue is served in the order of waiting: the job of what has waited longer than the first in it was lost.
        Behind that one, what waits is sent again at 1, 2, 4, 8... minutes, not at every sweep: thousands that wait
        behind hours of work would fill Redis with their copies.
        """
        oldest = await self._oldest_job(name)
        lost = (LONG_AGO, (at if oldest is None else min(at, oldest)) - LOST_AFTER)
        if oldest is None:
            return [lost]
        if self._last is None:
            return [lost, (LONG_AGO, at - SLOW_AFTER)]
        waits = [SLOW_AFTER * 2**doubling for doubling in range(DOUBLINGS)]
        return [lost, *((self._last - wait, at - wait) for wait in waits)]


async def _stranded(unit: UnitOfWork, *, tasks: Sequence[Span], pairs: Sequence[Span]) -> list[Job]:
    """The jobs of what nobody holds: orphans at once, what waits only when its job may have been lost.

    What is sent again takes its old place in the queue, so that it is not taken for lost once more.
    """
    orphans = await unit.workers.orphans(limit=BATCH)
    queued = await unit.runs.queued_within(tasks, limit=BATCH)
    orphaned_pairs = await unit.reconciliations.orphans(limit=BATCH)
    waiting_pairs = await unit.reconciliations.pending_within(pairs, limit=BATCH)
    return [  # by no lane: any worker may take up what perhaps no worker with such a lane is there for
        *(_job(row) for row in orphans),
        *(_job(row, not_before=row.queued_at) for row in queued),
        *(Job(name=JobName.RECONCILE, id=id_) for id_ in orphaned_pairs),
        *(Job(name=JobName.RECONCILE, id=id_, not_before=since) for id_, since in waiting_pairs),
    ]


def _job(task_run: TaskRun, *, not_before: datetime | None = None) -> Job:
    return Job(name=JobName.EXECUTE_TASKS, id=task_run.id, playground_id=task_run.playground_id, not_before=not_before)
