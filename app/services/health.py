"""Whether the platform's parts are well: database, Redis, workers, scheduler, engines."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.domain.identity import utc_now
from app.domain.tasks import TaskType
from app.engines.base import Engine, EngineKind
from app.engines.registry import EngineRegistry
from app.messaging.bell import Bell
from app.services.leases import KIND as WORKER
from app.store.database import Database, DatabaseAwayError
from app.store.unit_of_work import UnitOfWork

SCHEDULER = "SCHEDULER"
PATIENCE = 3.0  # seconds for each part to answer
SCHEDULER_SLACK = timedelta(seconds=5)  # between two signs of life of a scheduler that is well
NEVER = timedelta(days=365)
RED_LAG_MS = 60_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformHealth:
    database: bool
    redis: bool
    workers: int
    scheduler_lag_ms: int

    @property
    def well(self) -> bool:
        """Whether work is done: a platform without Redis is slow, one without the others stands still."""
        return self.database and self.redis and self.workers > 0 and self.scheduler_lag_ms < RED_LAG_MS


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineState:
    name: str
    type: TaskType
    kind: EngineKind
    healthy: bool
    message: str | None


class HealthService:
    def __init__(self, *, database: Database, bell: Bell, engines: EngineRegistry, lease: timedelta) -> None:
        self._database = database
        self._bell = bell
        self._engines = engines
        self._lease = lease

    async def platform(self) -> PlatformHealth:
        """Answers in a few seconds, whatever is down."""
        redis, counted = await asyncio.gather(self._redis(), self._from_database())
        database, workers, lag = counted
        return PlatformHealth(
            database=database, redis=redis, workers=workers, scheduler_lag_ms=round(lag.total_seconds() * 1000)
        )

    async def engines(self) -> list[EngineState]:
        states = await asyncio.gather(*(self._engine(engine) for engine in self._engines.all()))
        return [state for group in states for state in group]

    async def _engine(self, engine: Engine) -> list[EngineState]:
        try:
            async with asyncio.timeout(PATIENCE * 2):
                health = await engine.check()
                healthy, message = health.healthy, health.message
        except TimeoutError:
            healthy, message = False, "It did not answer in time."
        return [
            EngineState(name=engine.name, type=type_, kind=engine.kind, healthy=healthy, message=message)
            for type_ in sorted(engine.types)
        ]

    async def _redis(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._bell.ping()
        except (RedisError, OSError, TimeoutError):
            return False
        return True

    async def _from_database(self) -> tuple[bool, int, timedelta]:
        try:
            async with asyncio.timeout(PATIENCE), self._database.read() as unit:
                at = utc_now()
                workers = await unit.workers.count_alive(kind=WORKER, since=at - self._lease)
                return True, workers, await _scheduler_lag(unit, at)
        except (DatabaseAwayError, SQLAlchemyError, OSError, TimeoutError):
            return False, 0, NEVER


async def _scheduler_lag(unit: UnitOfWork, at: datetime) -> timedelta:
    """How long the scheduler has been silent, or a fire time overdue, whichever is longer."""
    beat = await unit.workers.newest_heartbeat(kind=SCHEDULER)
    silent = NEVER if beat is None else max(at - beat - SCHEDULER_SLACK, timedelta())
    due = await unit.playgrounds.next_fire_at()
    overdue = timedelta() if due is None else max(at - due, timedelta())
    return max(silent, overdue)
