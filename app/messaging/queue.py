"""The arq queue: sending jobs, and a worker that is woken by a doorbell instead of polling for them.

Losing all of Redis loses no work: what is due is in the database, and the sweeper sends it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Function, Worker, func
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.domain.events import Job, JobName

JOB_TIMEOUT = timedelta(days=30)  # a task's own timeout is the engine's business; arq's would kill long SQL silently
POLL_INTERVAL = timedelta(seconds=0.5)  # for deferred jobs and rings that were lost; a ring comes in a millisecond
QUEUES: Mapping[JobName, str] = {
    JobName.START_RUN: "phantom:tasks",
    JobName.EXECUTE_TASK: "phantom:tasks",
    JobName.RECONCILE: "phantom:reconciliations",  # apart, so that neither starves the other
}

log = structlog.get_logger()
Handler = Callable[[UUID], Awaitable[None]]


def redis_settings(url: str, *, patient: bool) -> RedisSettings:
    """`patient`: outlive a restart of Redis (a worker); else fail within a second (a request that waits)."""
    settings = RedisSettings.from_dsn(url)
    settings.retry_on_timeout = True
    settings.retry_on_error = [RedisConnectionError, RedisTimeoutError, BusyLoadingError]
    settings.retry = Retry(ExponentialBackoff(cap=1, base=0.05), 30 if patient else 2)
    settings.conn_retries = 30 if patient else 2
    return settings


def queue_topic(queue: str) -> str:
    return f"queue:{queue}"


class JobQueue:
    """Sends jobs. Ids of jobs are random: a job that is sent twice runs twice, and the second loses in the database."""

    def __init__(self, *, url: str) -> None:
        self._url = url
        self._pool: ArqRedis | None = None
        self._opening = asyncio.Lock()

    async def send(self, jobs: Sequence[Job]) -> None:
        """Raises: redis.RedisError where Redis cannot be reached."""
        pool = await self._connected()
        for job in jobs:
            await pool.enqueue_job(str(job.name), job.id.hex, _queue_name=QUEUES[job.name], _defer_until=job.not_before)

    async def length(self, name: JobName) -> int:
        """How many jobs the queue of `name` holds, those that run included.

        Raises: redis.RedisError where Redis cannot be reached.
        """
        pool = await self._connected()
        return int(await pool.zcard(QUEUES[name]))

    async def _connected(self) -> ArqRedis:
        async with self._opening:
            if self._pool is None:
                self._pool = await create_pool(redis_settings(self._url, patient=False))
        return self._pool

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.aclose()


class QueueWorker(Worker):
    """arq's worker, woken by `wake`; it polls twice a second for what was deferred or whose ring was lost."""

    def __init__(self, *, wake: asyncio.Event, **options: Any) -> None:
        super().__init__(**options)
        self._wake = wake
        self._stopping = False

    async def main(self) -> None:
        self.ctx["redis"] = self.pool
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
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        self.tasks.clear()
        await self.pool.aclose()


async def make_worker(
    *, url: str, queue: str, handlers: Mapping[JobName, Handler], wake: asyncio.Event, max_jobs: int
) -> QueueWorker:
    """A worker of one queue whose jobs call the handlers with the job's id.

    Raises: redis.RedisError where Redis cannot be reached.
    """

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
        redis_pool=await create_pool(redis_settings(url, patient=True)),
        handle_signals=False,
        max_jobs=max_jobs,
        keep_result=0,
        log_results=False,
        retry_jobs=False,
    )
