"""Faults by name: what goes wrong in a data centre, done to a fragile deployment; each is over when it returns."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from random import Random
from uuid import UUID

from app.domain.dispatch import Pool
from app.domain.events import Job, JobName
from app.messaging.queue import JobQueue
from tests.support.fragile import Fragile, Process
from tests.support.proxy import COMMIT, Moment

LEASE = 2.0  # seconds, of a fragile deployment
TRAPS = 3  # commits that one fault cuts
COPIES = 10  # of a job that is sent again and again

Fault = Callable[[Fragile, Random], Awaitable[None]]


async def kill_worker(fragile: Fragile, random: Random) -> None:
    fragile.kill(random.choice(fragile.workers))


async def kill_all_workers(fragile: Fragile, _random: Random) -> None:
    for worker in tuple(fragile.workers):
        fragile.kill(worker)


async def stop_worker(fragile: Fragile, random: Random) -> None:
    """As a rolling restart does."""
    worker = random.choice(fragile.workers)
    worker.terminate()
    await asyncio.to_thread(worker.wait, 60)


async def freeze_worker(fragile: Fragile, random: Random) -> None:
    await _freeze(random.choice(fragile.workers), random)


async def kill_scheduler(fragile: Fragile, random: Random) -> None:
    fragile.kill(random.choice(fragile.parts["scheduler"]))


async def freeze_scheduler(fragile: Fragile, random: Random) -> None:
    await _freeze(random.choice(fragile.parts["scheduler"]), random)


async def kill_server(fragile: Fragile, _random: Random) -> None:
    fragile.kill(fragile.server)


async def _freeze(process: Process, random: Random) -> None:
    """For longer than its lease, or not quite as long."""
    process.send_signal(signal.SIGSTOP)
    try:
        await asyncio.sleep(random.uniform(0.3, 1.8) * LEASE)
    finally:
        process.send_signal(signal.SIGCONT)


async def restart_redis_empty(fragile: Fragile, random: Random) -> None:
    await asyncio.to_thread(fragile.redis.kill)
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(fragile.redis.start)


async def flush_redis(fragile: Fragile, random: Random) -> None:
    for _ in range(random.randint(1, 5)):
        await asyncio.to_thread(fragile.redis.flush)
        await asyncio.sleep(random.uniform(0, 0.3))


async def restart_mariadb(fragile: Fragile, random: Random) -> None:
    """Killed, and started again on the same data."""
    await asyncio.to_thread(fragile.metadata.kill)
    await asyncio.sleep(random.uniform(0, 2))
    await asyncio.to_thread(fragile.metadata.start)


async def kill_database_connections(fragile: Fragile, _random: Random) -> None:
    """By the server's own hand, in whatever each is doing."""
    query = f"SELECT id FROM information_schema.processlist WHERE db = '{fragile.database}' AND command <> 'Killed'"
    for (number,) in await asyncio.to_thread(fragile.facts, query):
        with suppress(AssertionError):  # it has gone by itself
            await asyncio.to_thread(fragile.metadata.execute, f"KILL {number}")


async def cut_database(fragile: Fragile, random: Random) -> None:
    fragile.metadata_line.cut(reset=random.random() < 0.5)


async def cut_commits(fragile: Fragile, random: Random) -> None:
    """Of the next commits nobody hears the answer, or the database does not hear them at all."""
    fragile.metadata_line.trap(COMMIT, random.choice(list(Moment)), times=random.randint(1, TRAPS))


async def lose_database(fragile: Fragile, random: Random) -> None:
    await _hold(random.choice([fragile.metadata_line.blackhole, fragile.metadata_line.away]), random, seconds=4)


async def slow_database(fragile: Fragile, random: Random) -> None:
    with fragile.metadata_line.slow(delay=random.uniform(0.005, 0.05)):
        await asyncio.sleep(random.uniform(0.5, 3))


async def lose_redis(fragile: Fragile, random: Random) -> None:
    await _hold(random.choice([fragile.redis_line.blackhole, fragile.redis_line.away]), random, seconds=4)


async def cut_redis(fragile: Fragile, random: Random) -> None:
    fragile.redis_line.cut(reset=random.random() < 0.5)


async def cut_rings(fragile: Fragile, random: Random) -> None:
    """Jobs and rings are cut on their way."""
    needle, moment = random.choice([b"PUBLISH", b"ZADD", b"EXEC"]), random.choice(list(Moment))
    fragile.redis_line.trap(needle, moment, times=random.randint(1, TRAPS))


async def cut_source(fragile: Fragile, random: Random) -> None:
    """Queries lose their connection, which is a transient failure of their tasks."""
    fragile.source_line.cut(reset=random.random() < 0.5)


async def send_jobs_again(fragile: Fragile, _random: Random) -> None:
    """Every task that waits or runs is sent to the workers ten times more."""
    query = "SELECT id, playground_id, pool, lane FROM task_run WHERE status IN ('QUEUED', 'RUNNING')"
    rows = await asyncio.to_thread(fragile.facts, query)
    jobs = [
        Job(name=JobName.EXECUTE_TASKS, id=UUID(id_), playground_id=UUID(playground), lane=(Pool(pool), lane))
        for id_, playground, pool, lane in rows
    ]
    queue = JobQueue(url=fragile.redis.url)
    try:
        for _ in range(COPIES):
            await queue.send(jobs)
    finally:
        await queue.close()


async def _hold(condition: Callable[[], AbstractContextManager[None]], random: Random, *, seconds: float) -> None:
    with condition():
        await asyncio.sleep(random.uniform(0.2, seconds))


FAULTS: Mapping[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        kill_worker,
        kill_all_workers,
        stop_worker,
        freeze_worker,
        kill_scheduler,
        freeze_scheduler,
        kill_server,
        restart_redis_empty,
        flush_redis,
        restart_mariadb,
        kill_database_connections,
        cut_database,
        cut_commits,
        lose_database,
        slow_database,
        lose_redis,
        cut_redis,
        cut_rings,
        cut_source,
        send_jobs_again,
    )
}
