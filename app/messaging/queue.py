"""The arq queue: sending jobs, and a worker that is woken by a doorbell instead of polling for them.

Losing all of Redis loses no work: what is due is in the database, and the sweeper sends it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from arq.connections import ArqRedis
from arq.worker import Function, Worker, func
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.domain.events import Job, JobName

JOB_TIMEOUT = timedelta(days=30)  # a task's own timeout is the engine's business; arq's would kill long SQL silently
CONNECT_PATIENCE = 1.0  # seconds
STOP_PATIENCE = 1.0  # seconds for a look at the queue to end; longer only while Redis is away
CANCEL_INTERVAL = 0.05  # seconds; a job may begin while the others are being cancelled
POLL_INTERVAL = timedelta(seconds=0.5)  # for deferred jobs and rings that were lost; a ring comes in a millisecond
QUEUES: Mapping[JobName, str] = {
    JobName.START_RUN: "phantom:tasks",
    JobName.EXECUTE_TASK: "phantom:tasks",
    JobName.RECONCILE: "phantom:reconciliations",  # apart, so that neither starves the other
}

log = structlog.get_logger()
Handler = Callable[[UUID], Awaitable[None]]


def client(url: str, *, patient: bool) -> ArqRedis:
    """A client that connects at its first use.

    `patient`: outlive a restart of Redis (a worker); else fail within a second (a request that waits). arq's own
    `create_pool` connects at once, and leaves a connection open when it is cancelled meanwhile.
    """
    made: ArqRedis = ArqRedis.from_url(
        url,
        socket_connect_timeout=CONNECT_PATIENCE,
        retry_on_timeout=True,
        retry_on_error=[RedisConnectionError, RedisTimeoutError, BusyLoadingError],
        retry=Retry(ExponentialBackoff(cap=1, base=0.05), 30 if patient else 2),
    )
    return made


def queue_topic(queue: str) -> str:
    return f"queue:{queue}"


class JobQueue:
    """Sends jobs. Ids of jobs are random: a job that is sent twice runs twice, and the second loses in the database."""

    def __init__(self, *, url: str) -> None:
        self._redis = client(url, patient=False)

    async def send(self, jobs: Sequence[Job]) -> None:
        """Raises: redis.RedisError where Redis cannot be reached."""
        for job in jobs:
            await self._redis.enqueue_job(
                str(job.name), job.id.hex, _queue_name=QUEUES[job.name], _defer_until=job.not_before
            )

    async def length(self, name: JobName) -> int:
        """How many jobs wait in the queue of `name`, those that are not due yet included.

        Raises: redis.RedisError where Redis cannot be reached.
        """
        return int(await self._redis.zcard(QUEUES[name]))

    async def close(self) -> None:
        await self._redis.aclose()


class QueueWorker(Worker):
    """arq's worker, woken by `wake`; it polls twice a second for what was deferred or whose ring was lost."""

    def __init__(self, *, wake: asyncio.Event, **options: Any) -> None:
        super().__init__(**options)
        self._wake = wake
        self._stopping = False
        self._idle = asyncio.Event()
        self._idle.set()

    async def main(self) -> None:
        self.ctx["redis"] = self.pool
        self._idle.clear()
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    await self._poll_iteration()
                except RedisError as error:
                    log.warning("queue.unreachable", reason=str(error))
                    await asyncio.sleep(POLL_INTERVAL.total_seconds())
                    continue
                if not self._wake.is_set():
                    await self._wait()
        finally:
            self._idle.set()

    async def run_job(self, job_id: str, score: int) -> None:
        """Take the job off the queue, then run it.

        arq would leave it there until its end, and reads only the queue's head, which jobs that run for hours, and
        those of workers that were killed, would fill. A job that is lost with its worker is sent again by the sweeper.
        """
        await self.pool.zrem(self.queue_name, job_id)
        await super().run_job(job_id, score)

    def _release_sem_dec_counter_on_complete(self) -> None:
        """A job has ended: a worker that was full looks at once for what waits."""
        full = self.job_counter >= self.max_jobs
        super()._release_sem_dec_counter_on_complete()
        if full:
            self._wake.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_INTERVAL.total_seconds()):
                await self._wake.wait()
        except TimeoutError:
            return

    def stop_picking(self) -> None:
        """Take nothing new; what runs goes on."""
        self.allow_pick_jobs = False

    async def finish(self) -> None:
        """End the loop, and cancel jobs that still run."""
        self._stopping = True
        self._wake.set()
        with suppress(TimeoutError):  # a look that is under way would open the pool's connections anew
            async with asyncio.timeout(STOP_PATIENCE):
                await self._idle.wait()
        # What is cancelled is the job itself, once: cancelling arq's task around it would leave its last words to Redis
        # on their way while the pool is closed.
        cancelled: set[str] = set()
        while pending := [task for task in self.tasks.values() if not task.done()]:
            for job_id in self.job_tasks.keys() - cancelled:
                self.job_tasks[job_id].cancel()
                cancelled.add(job_id)
            await asyncio.wait(pending, timeout=CANCEL_INTERVAL)
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.tasks.clear()
        await self.pool.aclose()


def make_worker(
    *, url: str, queue: str, handlers: Mapping[JobName, Handler], wake: asyncio.Event, max_jobs: int
) -> QueueWorker:
    """A worker of one queue whose jobs call the handlers with the job's id."""

    def entry(name: JobName, handler: Handler) -> Function:
        async def run(_context: dict[str, Any], id_hex: str) -> None:
            await handler(UUID(hex=id_hex))

        return func(
            run,  # type: ignore[arg-type]  # arq's protocol wants *args
            name=str(name),
            timeout=JOB_TIMEOUT.total_seconds(),
            keep_result=0,
            max_tries=1,
        )

    return QueueWorker(
        wake=wake,
        functions=[entry(name, handler) for name, handler in handlers.items()],
        queue_name=queue,
        redis_pool=client(url, patient=True),
        handle_signals=False,
        max_jobs=max_jobs,
        keep_result=0,
        log_results=False,
        retry_jobs=False,
    )
