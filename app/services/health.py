"""Whether the platform's parts are well: database, Redis, workers, scheduler, engines."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from app.domain.tasks import TaskType
from app.engines.base import Engine, EngineKind
from app.engines.registry import EngineRegistry
from app.messaging.bell import REDIS_AWAY, Bell
from app.outputs.base import OutputStore
from app.services.leases import KIND as WORKER
from app.store.database import Database, DatabaseAwayError

SCHEDULER = "SCHEDULER"
OUTPUTS_INTERVAL = 15.0  # seconds for which an answer of the output store holds
PATIENCE = 3.0  # seconds for each part to answer
NEVER = timedelta(days=365)
LATEST_FIRE = timedelta(seconds=60)  # a fire that is overdue for longer is not only busy


@dataclass(frozen=True, kw_only=True, slots=True)
class PlatformHealth:
    """`scheduler_silent_ms`: since the last sign of life of any scheduler whose loops go round; None: there is none.

    `scheduler_overdue_ms`: how late the most overdue fire is.
    """

    database: bool
    redis: bool
    workers: int
    scheduler_silent_ms: int | None
    scheduler_overdue_ms: int
    scheduler_lag_ms: int
    problems: tuple[str, ...]

    @property
    def well(self) -> bool:
        """Whether work is done: a platform without Redis is slow, one without the others stands still."""
        return not self.problems


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineState:
    name: str
    type: TaskType
    kind: EngineKind
    healthy: bool
    message: str | None


class HealthService:
    def __init__(
        self, *, database: Database, bell: Bell, engines: EngineRegistry, outputs: OutputStore, lease: timedelta
    ) -> None:
        self._database = database
        self._bell = bell
        self._engines = engines
        self._outputs = outputs
        self._lease = lease
        self._outputs_told: tuple[float, str | None] | None = None

    async def platform(self) -> PlatformHealth:
        """Answers in a few seconds, whatever is down."""
        redis, facts, outputs = await asyncio.gather(self._redis(), self._from_database(), self._output_problem())
        silent = None if facts is None or facts.silent is None else max(facts.silent, timedelta())
        overdue = timedelta() if facts is None else max(facts.overdue, timedelta())
        # Between two heartbeats a scheduler is no less alive.
        lag = max(overdue, NEVER if silent is None else silent if silent > self._lease else timedelta())
        return PlatformHealth(
            database=facts is not None,
            redis=redis,
            workers=0 if facts is None else facts.workers,
            scheduler_silent_ms=None if silent is None else _ms(silent),
            scheduler_overdue_ms=_ms(overdue),
            scheduler_lag_ms=_ms(lag),
            problems=(
                *(("The database does not answer.",) if facts is None else self._problems(facts)),
                *(() if outputs is None else (outputs,)),
            ),
        )

    def _problems(self, facts: "_Facts") -> Iterator[str]:
        if not facts.workers:
            yield "No worker lives; start one by `data-phantom worker`."
        if facts.silent is None:
            yield "No scheduler lives; start one by `data-phantom scheduler`."
        elif facts.silent > self._lease:
            yield f"The scheduler has been silent for {_seconds(facts.silent)}: it ended, or one of its loops hangs."
        if facts.overdue > LATEST_FIRE:
            yield f"A scheduled run is overdue for {_seconds(facts.overdue)}."

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
        except REDIS_AWAY:
            return False
        return True

    async def _output_problem(self) -> str | None:
        """Asked now and then alone: a bucket's every answer is paid for."""
        if self._outputs_told is not None and monotonic() - self._outputs_told[0] < OUTPUTS_INTERVAL:
            return self._outputs_told[1]
        try:
            async with asyncio.timeout(PATIENCE):
                problem = await self._outputs.problem()
        except TimeoutError:
            problem = "The output store does not answer."
        self._outputs_told = (monotonic(), problem)
        return problem

    async def _from_database(self) -> "_Facts | None":
        try:
            async with asyncio.timeout(PATIENCE), self._database.read() as unit:
                at = await unit.workers.now()
                workers = await unit.workers.count_alive(kind=WORKER, since=at - self._lease)
                beat = await unit.workers.newest_heartbeat(kind=SCHEDULER)
                due = await unit.playgrounds.most_overdue(at)
        except (DatabaseAwayError, SQLAlchemyError, OSError, TimeoutError):
            return None
        return _Facts(
            workers=workers,
            silent=None if beat is None else at - beat,
            overdue=timedelta() if due is None else at - due,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Facts:
    """What the database tells; `overdue` is negative where the next fire is still to come."""

    workers: int
    silent: timedelta | None
    overdue: timedelta


def _ms(duration: timedelta) -> int:
    return round(duration.total_seconds() * 1000)


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():.0f} s"
