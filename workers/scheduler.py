"""The scheduler process: fires schedules when they are due, and sets going what was left lying. Any number may run."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.context import ProcessContext
from app.domain.events import backfill_topic
from app.domain.identity import new_id, utc_now
from app.messaging.bell import REDIS_AWAY
from app.outputs.base import StorageError
from app.services.discards import DiscardService
from app.services.healing import HealingService
from app.services.health import SCHEDULER
from app.services.held_work import HeldWork
from app.services.jars import Jars
from app.services.leases import Lease
from app.services.progress import Progress
from app.services.recovery import RecoveryService
from app.services.retention import RetentionService
from app.services.schedules import ScheduleService
from app.store.database import DatabaseAwayError

SWEEP_INTERVAL = timedelta(seconds=1)
# A look at what is due reads one row of an index. Looking so often, an edited schedule takes effect at once, with Redis
# or without it, and a clock that was set, or a laptop that slept, does no harm.
LONGEST_SLEEP = timedelta(seconds=1)
BACKFILL_INTERVAL = timedelta(seconds=5)
SHORTEST_SLEEP = timedelta(milliseconds=20)  # while a playground that is due is locked by somebody else
CLEAR_INTERVAL = timedelta(seconds=30)
UNFINISHED = timedelta(days=2)  # an output that nobody has written to for so long belongs to a process that is gone

log = structlog.get_logger()
Turn = Callable[[], Awaitable[timedelta]]  # gives how long after it the next one is due


class SchedulerProcess:
    """Its loops each go round on their own; its heartbeat tells that all of them do."""

    def __init__(self, process: ProcessContext) -> None:
        settings = process.settings
        concurrency = settings.concurrency_config
        self._id = new_id()
        self._outputs = process.outputs
        self._bell = process.bell
        self._backfills = process.services.backfills
        self._wakes: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._heal_interval = concurrency.scheduler_sleep
        self._progress = Progress(patience=settings.worker.lease)
        self._schedules = ScheduleService(
            database=process.database,
            min_interval=concurrency.min_execution_interval,
            lane_of=process.engines.lane_of,
            turn=partial(self._progress.turn, "fire"),
        )
        self._recovery = RecoveryService(
            database=process.database, oldest_job=process.queue.oldest, lease=settings.worker.lease
        )
        self._healing = HealingService(
            database=process.database, grace=concurrency.execution_grace, turn=partial(self._progress.turn, "heal")
        )
        self._retention = RetentionService(
            database=process.database, rules=settings.retention.rules, turn=partial(self._progress.turn, "prune")
        )
        self._jars = Jars(
            database=process.database, outputs=process.outputs, turn=partial(self._progress.turn, "prune")
        )
        self._prune_interval = settings.retention.interval
        self._discards = DiscardService(
            database=process.database, outputs=process.outputs, turn=partial(self._progress.turn, "clear")
        )
        self._database = process.database
        self._lease = Lease(
            database=process.database,
            bell=process.bell,
            held=HeldWork(),
            worker_id=self._id,
            interval=settings.worker.heartbeat_interval,
            kind=SCHEDULER,
            progress=self._progress,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self._lease.register()
        await self._discard_unfinished()
        loops: dict[str, Turn] = {
            "fire": self._fire,
            "sweep": self._sweep,
            "heal": self._heal,
            "backfill": self._backfill,
            "prune": self._prune,
            "clear": self._clear,
        }
        tasks = [asyncio.create_task(self._go_round(name, turn), name=name) for name, turn in loops.items()]
        tasks.append(asyncio.create_task(self._lease.keep(), name="scheduler lease"))
        try:
            async with self._bell.listening(backfill_topic(), self._wakes["backfill"].set):
                yield
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await self._lease.end()

    async def _go_round(self, name: str, turn: Turn) -> None:
        """Turn after turn, for ever. What is away is waited for; any other failure is no sign of life."""
        self._progress.turn(name)
        while True:
            delay = SWEEP_INTERVAL
            try:
                delay = await turn()
            except (DatabaseAwayError, SQLAlchemyError, *REDIS_AWAY) as error:
                log.warning("scheduler.turn_failed", loop=name, reason=str(error))
                self._progress.turn(name, next_within=delay)
            except Exception:  # a fault of ours must not end the loop: the next turn may do without it
                log.exception("scheduler.turn_crashed", loop=name)
            else:
                self._progress.turn(name, next_within=delay)
            wake = self._wakes[name]
            with suppress(TimeoutError):
                async with asyncio.timeout(delay.total_seconds()):
                    await wake.wait()
            wake.clear()

    async def _fire(self) -> timedelta:
        tick = await self._schedules.tick()
        if tick.next_fire_at is None:
            return LONGEST_SLEEP
        return min(LONGEST_SLEEP, max(tick.next_fire_at - utc_now(), SHORTEST_SLEEP))

    async def _sweep(self) -> timedelta:
        await self._recovery.sweep()
        return SWEEP_INTERVAL

    async def _backfill(self) -> timedelta:
        """The end of a backfill's run rings; between rings this heals what was lost."""
        await self._backfills.advance_all()
        return BACKFILL_INTERVAL

    async def _heal(self) -> timedelta:
        await self._healing.heal()
        return self._heal_interval

    async def _prune(self) -> timedelta:
        async with self._database.read() as unit:
            first = await unit.workers.first(kind=SCHEDULER)
        if first == self._id:  # one is enough; where two prune, neither harms the other
            await self._retention.prune()
            await self._jars.clear()
            await self._discard_unfinished()
        return self._prune_interval

    async def _discard_unfinished(self) -> None:
        try:
            await self._outputs.discard_partial(older_than=UNFINISHED)
        except StorageError as error:
            log.warning("scheduler.unfinished_stays", reason=error.message)

    async def _clear(self) -> timedelta:
        await self._discards.clear()
        return CLEAR_INTERVAL
