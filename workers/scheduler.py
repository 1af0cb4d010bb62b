"""The scheduler process: fires schedules when they are due, and sends again what was left lying. Any number may run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.context import ProcessContext
from app.domain.identity import new_id, utc_now
from app.services.health import SCHEDULER
from app.services.held_work import HeldWork
from app.services.leases import Lease
from app.services.recovery import RecoveryService
from app.services.schedules import ScheduleService
from app.store.database import DatabaseAwayError

SWEEP_INTERVAL = timedelta(seconds=1)
LONGEST_SLEEP = timedelta(seconds=1)  # an edited schedule is seen at the next look, by an index that costs nothing
UNFINISHED = timedelta(days=2)  # an output that nobody has written to for so long belongs to a process that is gone

log = structlog.get_logger()


class SchedulerProcess:
    def __init__(self, process: ProcessContext) -> None:
        settings = process.settings
        self._id = new_id()
        self._outputs = process.outputs
        self._schedules = ScheduleService(
            database=process.database,
            min_interval=settings.concurrency_config.min_execution_interval,
            lane_of=process.engines.lane_of,
        )
        self._recovery = RecoveryService(
            database=process.database, queue_length=process.queue.length, lease=settings.worker.lease
        )
        self._lease = Lease(
            database=process.database,
            bell=process.bell,
            held=HeldWork(),
            worker_id=self._id,
            interval=settings.worker.heartbeat_interval,
            kind=SCHEDULER,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._lease.register()
        await self._outputs.discard_partial(older_than=UNFINISHED)
        tasks = [
            asyncio.create_task(self._lease.keep(), name="scheduler lease"),
            asyncio.create_task(self._fire(), name="scheduler"),
            asyncio.create_task(self._sweep(), name="sweeper"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self._lease.end()

    async def _fire(self) -> None:
        while True:
            delay = LONGEST_SLEEP
            try:
                tick = await self._schedules.tick()
                if tick.next_fire_at is not None:
                    delay = min(delay, max(tick.next_fire_at - utc_now(), timedelta()))
            except (DatabaseAwayError, SQLAlchemyError, OSError, TimeoutError) as error:
                log.warning("scheduler.tick_failed", reason=str(error))
            except Exception:  # a fault of ours, at one playground: the others' schedules must go on
                log.exception("scheduler.tick_crashed")
            await asyncio.sleep(delay.total_seconds())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL.total_seconds())
            try:
                await self._recovery.sweep()
            except (DatabaseAwayError, SQLAlchemyError, RedisError, OSError, TimeoutError) as error:
                log.warning("scheduler.sweep_failed", reason=str(error))
            except Exception:  # without the sweeper nothing that is lost is found again
                log.exception("scheduler.sweep_crashed")
