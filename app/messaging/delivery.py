"""Delivery of an outbox after its commit: jobs to the queue, rings to the bell."""

import asyncio
from contextlib import suppress

import structlog

from app.domain.events import Job, Outbox, every_topic
from app.messaging.bell import REDIS_AWAY, Bell
from app.messaging.queue import JobQueue, queue_topic

PATIENCE = 2.0  # seconds that a caller waits for Redis; what was not sent by then is owed
RETRY_INTERVAL = 0.5  # seconds between two tries to send what is owed
MOST_OWED = 10_000  # jobs, and rings; the sweeper sends jobs beyond that, and one ring of every topic says the rest

log = structlog.get_logger()


class Delivery:
    """Sends at once where it can, and later what it could not: who follows a run waits for the ring of its end."""

    def __init__(self, *, queue: JobQueue, bell: Bell) -> None:
        self._queue = queue
        self._bell = bell
        self._owed = Outbox()
        self._paying: asyncio.Task[None] | None = None

    async def __call__(self, outbox: Outbox) -> None:
        """Send what was committed. Redis being away delays it and is no failure of the commit."""
        if self._paying is not None and not self._paying.done():
            self._owe(outbox)  # Redis is away as far as is known: the next commit need not wait to find that out
            return
        try:
            await self._send(outbox)
        except REDIS_AWAY as error:
            log.warning("delivery.delayed", jobs=len(outbox.jobs), rings=len(outbox.rings), reason=str(error))
            self._owe(outbox)
            self._paying = asyncio.create_task(self._pay(), name="delivery")

    async def close(self) -> None:
        """Try no more; what is still owed is found by the sweeper."""
        if self._paying is not None:
            self._paying.cancel()
            with suppress(asyncio.CancelledError):
                await self._paying

    async def _send(self, outbox: Outbox) -> None:
        async with asyncio.timeout(PATIENCE):
            if outbox.jobs:
                await self._queue.send(outbox.jobs)
            await self._bell.ring([*outbox.rings, *_queues_of(outbox.jobs)])

    def _owe(self, outbox: Outbox) -> None:
        owed = self._owed
        owed.jobs += outbox.jobs[: MOST_OWED - len(owed.jobs)]
        owed.rings |= outbox.rings
        if len(owed.rings) > MOST_OWED:
            owed.rings = {every_topic(): None}

    async def _pay(self) -> None:
        while self._owed.jobs or self._owed.rings:
            await asyncio.sleep(RETRY_INTERVAL)
            owed, self._owed = self._owed, Outbox()
            try:
                await self._send(owed)
            except REDIS_AWAY:
                self._owe(owed)


def _queues_of(jobs: list[Job]) -> set[str]:
    return {queue_topic(job.name) for job in jobs}
