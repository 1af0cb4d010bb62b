"""The arq queue: sending jobs, and a worker that is woken by a doorbell instead of polling for them.

Losing all of Redis loses no work: what is due is in the database, and the sweeper sends it again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from arq.connections import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.worker import Function, Worker, func
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.domain.dispatch import Pool
from app.domain.events import Job, JobName
from app.messaging.bell import REDIS_AWAY
from app.messaging.redis_clock import RedisClock

JOB_TIMEOUT = timedelta(days=30)  # a task's own timeout is the engine's business; arq's would kill long SQL silently
JOB_LIFETIME = timedelta(days=1)  # of a job that nobody takes up; what it was about is in the database
CONNECT_PATIENCE = 1.0  # seconds
STOP_PATIENCE = 1.0  # seconds for a look at the queue to end; longer only while Redis is away
CANCEL_INTERVAL = 0.05  # seconds; a job may begin while the others are being cancelled
POLL_INTERVAL = timedelta(seconds=0.5)  # for deferred jobs and rings that were lost; a ring comes in a millisecond
SPREAD = 16  # jobs that many ids are sent in, so that every worker gets a part of them
MOST_IDS = 16  # in one job
FEW, MANY, SHARE = 4, 64, 8  # jobs that a worker takes at a look: its share of what waits, so that others get theirs
QUEUES: Mapping[JobName, str] = {
    JobName.EXECUTE_TASKS: "phantom:tasks",
    JobName.RECONCILE: "phantom:reconciliations",  # apart, so that neither starves the other
}

log = structlog.get_logger()
Handler = Callable[[UUID | None, Sequence[UUID]], Awaitable[None]]  # (playground_id, ids)
Room = Callable[[], int]  # how many more jobs may be taken


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


def queue_of(name: JobName, lane: tuple[Pool, str] | None = None) -> str:
    """Each lane has a queue of its own: a worker takes from it only what it has room for."""
    return QUEUES[name] if lane is None else f"{QUEUES[name]}:{lane[0].lower()}:{lane[1]}"


def queue_topic(name: JobName) -> str:
    """What is rung when a job of this name was sent, to whichever queue."""
    return f"queue:{QUEUES[name]}"


class JobQueue:
    """Sends jobs. Ids of jobs are random: a job that is sent twice runs twice, and the second loses in the database."""

    def __init__(self, *, url: str) -> None:
        self._redis = client(url, patient=False)
        self._clock = RedisClock()

    async def send(self, jobs: Sequence[Job]) -> None:
        """Raises: redis.RedisError where Redis cannot be reached."""
        if not self._clock.is_set:
            self._clock.set(await self._redis.time())
        now_ms = self._clock.now_ms()
        async with self._redis.pipeline(transaction=False) as pipe:
            for parcel in _parcels(jobs):
                job, job_id = parcel[0], uuid4().hex
                due_ms = now_ms if job.not_before is None else int(job.not_before.timestamp() * 1000)
                arguments = (job.playground_id and job.playground_id.hex, *(each.id.hex for each in parcel))
                # What arq's own enqueue_job writes, without its look whether the random id is taken.
                pipe.psetex(
                    job_key_prefix + job_id,
                    max(due_ms - now_ms, 0) + int(JOB_LIFETIME.total_seconds() * 1000),
                    serialize_job(str(job.name), arguments, {}, None, now_ms),
                )
                queue = queue_of(job.name, job.lane)
                pipe.zadd(queue, {job_id: due_ms})
                pipe.sadd(f"{QUEUES[job.name]}-queues", queue)
            pipe.time()
            self._clock.set((await pipe.execute())[-1])

    async def length(self, name: JobName) -> int:
        """How many jobs wait in all queues of `name`, those that are not due yet included.

        Raises: redis.RedisError where Redis cannot be reached.
        """
        queues = await self._redis.smembers(f"{QUEUES[name]}-queues")  # type: ignore[misc]  # redis-py's own types
        async with self._redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.zcard(queue)
            return sum(await pipe.execute())

    async def oldest(self, name: JobName) -> datetime | None:
        """When the job was due that has waited longest in any queue of `name`; None where there is no job.

        Raises: redis.RedisError where Redis cannot be reached.
        """
        queues = await self._redis.smembers(f"{QUEUES[name]}-queues")  # type: ignore[misc]  # redis-py's own types
        async with self._redis.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.zrange(queue, 0, 0, withscores=True)
            heads = await pipe.execute()
        due_ms = min((score for head in heads for _, score in head), default=None)
        return None if due_ms is None else datetime.fromtimestamp(due_ms / 1000, UTC)

    async def close(self) -> None:
        await self._redis.aclose()


def _parcels(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    """Jobs that travel together, in parcels that are small enough for all workers to get some."""
    alike: dict[tuple[object, ...], list[Job]] = {}
    for job in jobs:
        alike.setdefault((job.name, job.playground_id, job.lane, job.not_before), []).append(job)
    for together in alike.values():
        # A comparison may take hours: another worker shall take the next one meanwhile.
        size = 1 if together[0].name is JobName.RECONCILE else min(-(-len(together) // SPREAD), MOST_IDS)
        for start in range(0, len(together), size):
            yield together[start : start + size]


class QueueWorker(Worker):
    """arq's worker of several queues, woken by `wake`; it polls twice a second for deferred jobs and lost rings.

    `queues` tells the room for each: nothing is taken from a queue without. A job is taken off its queue before it is
    run. arq would leave it there until its end, and reads only the queue's head, which jobs that run for hours, and
    those of workers that were killed, would fill. A job that is lost with its worker is sent again by the sweeper.
    """

    def __init__(self, *, wake: asyncio.Event, queues: Mapping[str, Room], **options: Any) -> None:
        super().__init__(**options)
        self._wake = wake
        self._queues = queues
        self._clock = RedisClock()
        self._waiting = 0  # jobs in these queues, at the last look
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
                    found = await self._take()
                except REDIS_AWAY as error:
                    log.warning("queue.unreachable", reason=str(error))
                    await asyncio.sleep(POLL_INTERVAL.total_seconds())
                    continue
                if not found and not self._wake.is_set():
                    await self._wait()
        finally:
            self._idle.set()

    async def _take(self) -> bool:
        """Start a few of the jobs that are due, as far as there is room; tells whether there may be more."""
        for job_id in [job_id for job_id, task in self.tasks.items() if task.done()]:
            self.tasks.pop(job_id).result()
        most = min(max(FEW, min(self._waiting // SHARE, MANY)), self.max_jobs - self.job_counter)
        rooms = {queue: min(most, room()) for queue, room in self._queues.items()}
        open_queues = [queue for queue, room in rooms.items() if room > 0]
        if not open_queues or not self.allow_pick_jobs:
            return False
        if not self._clock.is_set:
            self._clock.set(await self.pool.time())
        async with self.pool.pipeline(transaction=False) as pipe:
            for queue in open_queues:
                pipe.zrangebyscore(queue, min="-inf", max=self._clock.now_ms(), start=0, num=rooms[queue])
            for queue in open_queues:
                pipe.zcard(queue)
            pipe.time()
            *found, time = await pipe.execute()
        self._clock.set(time)
        due, self._waiting = dict(zip(open_queues, found, strict=False)), sum(found[len(open_queues) :])
        if any(due.values()):
            await self._start(due)
        return any(due.values())

    async def _start(self, due: Mapping[str, Sequence[bytes]]) -> None:
        """Run those of the jobs that no other worker has taken off the queue first."""
        jobs = [(queue, job_id) for queue, job_ids in due.items() for job_id in job_ids]
        async with self.pool.pipeline(transaction=False) as pipe:
            for queue, job_id in jobs:
                pipe.zrem(queue, job_id)
            taken = await pipe.execute()
        mine = [job_id.decode() for (_, job_id), is_mine in zip(jobs, taken, strict=True) if is_mine]
        for name in mine:
            if name in self.tasks:  # its sender has sent it again, for want of an answer
                continue
            self.job_counter += 1
            task = self.tasks[name] = asyncio.create_task(self.run_job(name, self._clock.now_ms()), name=f"job {name}")
            task.add_done_callback(lambda _: self._count_off())

    def _count_off(self) -> None:
        """A job has ended: a worker that was full looks at once for what waits."""
        if self.job_counter >= self.max_jobs:
            self._wake.set()
        self.job_counter -= 1

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
    *, url: str, queues: Mapping[str, Room], handlers: Mapping[JobName, Handler], wake: asyncio.Event, max_jobs: int
) -> QueueWorker:
    """A worker of some queues whose jobs call the handlers."""

    def entry(name: JobName, handler: Handler) -> Function:
        async def run(_context: dict[str, Any], playground: str | None, *ids: str) -> None:
            try:
                await handler(None if playground is None else UUID(hex=playground), [UUID(hex=id_) for id_ in ids])
            except asyncio.CancelledError:  # this worker is being stopped; arq would tell of it as of a failure
                log.info("job.handed_over", name=str(name), count=len(ids))
            except Exception:
                log.exception("job.crashed", name=str(name), count=len(ids))

        return func(
            run,  # type: ignore[arg-type]  # arq's protocol wants *args
            name=str(name),
            timeout=JOB_TIMEOUT.total_seconds(),
            keep_result=0,
            max_tries=1,
        )

    return QueueWorker(
        wake=wake,
        queues=queues,
        functions=[entry(name, handler) for name, handler in handlers.items()],
        queue_name=next(iter(queues)),  # for arq's own words; jobs are taken by `queues`
        redis_pool=client(url, patient=True),
        handle_signals=False,
        max_jobs=max_jobs,
        keep_result=0,
        log_results=False,
        retry_jobs=False,
    )
