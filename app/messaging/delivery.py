"""Delivery of an outbox after its commit: jobs to the queue, rings to the bell."""

import asyncio

import structlog
from redis.exceptions import RedisError

from app.domain.events import Job, Outbox
from app.messaging.bell import Bell
from app.messaging.queue import JobQueue, queue_topic

PATIENCE = 2.0  # seconds that a caller waits for Redis; what was not sent by then is sent by the sweeper

log = structlog.get_logger()


class Delivery:
    def __init__(self, *, queue: JobQueue, bell: Bell) -> None:
        self._queue = queue
        self._bell = bell

    async def __call__(self, outbox: Outbox) -> None:
        """Send what was committed. Redis being away delays it and is no failure of the commit."""
        try:
            async with asyncio.timeout(PATIENCE):
                if outbox.jobs:
                    await self._queue.send(outbox.jobs)
                await self._bell.ring([*outbox.rings, *_queues_of(outbox.jobs)])
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("delivery.delayed", jobs=len(outbox.jobs), rings=len(outbox.rings), reason=str(error))


def _queues_of(jobs: list[Job]) -> set[str]:
    return {queue_topic(job.name) for job in jobs}
