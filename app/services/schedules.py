"""Schedules: fires the playgrounds that are due, each fire once, however many schedulers run."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.domain.errors import InvalidError
from app.domain.identity import new_id, utc_now
from app.domain.schedule import ON_TIME
from app.domain.status import RunTrigger
from app.services.launching import LaneOf, Launch, Start, record_skipped, snapshot_many
from app.services.playgrounds import schedule_of
from app.store.database import Database, DatabaseAwayError
from app.store.ledger import Ledger
from app.store.playgrounds import Fire
from app.store.unit_of_work import UnitOfWork

BATCH = 50  # playgrounds in a transaction: their locks are held for some hundredths of a second
LOOK_AGAIN = timedelta(minutes=5)  # at a schedule that cannot be read (any more)
PATIENCE = timedelta(seconds=1)  # with a playground that is due and locked at every look

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """How many playgrounds one look has fired, and when the next fire is due."""

    fired: int
    next_fire_at: datetime | None


class ScheduleService:
    """`min_interval`: the least time between two scheduled runs of a playground. `turn` is called as work goes on."""

    def __init__(
        self,
        *,
        database: Database,
        min_interval: timedelta,
        lane_of: LaneOf,
        clock: Callable[[], datetime] = utc_now,
        turn: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._min_interval = min_interval
        self._lane_of = lane_of
        self._clock = clock
        self._turn = turn

    async def tick(self) -> Tick:
        """Fire what is due; where nothing is, this is one statement that reads one row of an index.

        A playground has its turn once in a tick, so one with years to make up for keeps no other waiting.
        """
        at = self._clock()
        upcoming = await self._next_fire_at(at)
        if upcoming is None or upcoming > at:
            return Tick(fired=0, next_fire_at=upcoming)
        had: set[UUID] = set()
        batch = await self._fire_batch(at, after=None, had=had)
        while batch:
            had.update(fire.playground_id for fire in batch)
            batch = await self._fire_batch(at, after=batch[-1], had=had)
        fired = len(had) + await self._fire_locked(at, had=had)
        return Tick(fired=fired, next_fire_at=await self._next_fire_at(self._clock()))

    async def _next_fire_at(self, at: datetime) -> datetime | None:
        async with self._database.read() as unit:
            return await unit.playgrounds.next_fire_at(at)

    async def _fire_batch(self, at: datetime, *, after: Fire | None, had: Collection[UUID]) -> Sequence[Fire]:
        """Fire some of those that are due and that nobody else is about to fire; not those that had their turn."""
        fires: Sequence[Fire] = ()

        async def work(unit: UnitOfWork) -> None:
            nonlocal fires
            fires = await unit.playgrounds.lock_due(at, after=after, limit=BATCH)
            await self._fire(unit, [fire.playground_id for fire in fires if fire.playground_id not in had], at)

        try:
            await self._database.write(work)
        except DatabaseAwayError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one playground, the others' fires are due
            log.warning("schedule.batch_failed", reason=repr(error), playgrounds=len(fires))
            for playground_id in {fire.playground_id for fire in fires} - set(had):
                await self._fire_alone(playground_id, at)
        self._turn()
        return fires

    async def _fire_locked(self, at: datetime, *, had: Collection[UUID]) -> int:
        """Wait for the locks of those that are overdue all the same: something else holds them at each look."""
        async with self._database.read() as unit:
            due = await unit.playgrounds.due(at - PATIENCE, limit=BATCH)
        overdue = [playground_id for playground_id in due if playground_id not in had]
        for playground_id in overdue:
            await self._fire_alone(playground_id, at)
            self._turn()
        return len(overdue)

    async def _fire_alone(self, playground_id: UUID, at: datetime) -> None:
        try:
            await self._database.write(lambda unit: self._fire(unit, [playground_id], at))
        except DatabaseAwayError:
            raise
        except Exception:  # a fault of ours, or rows that nobody can read: this one waits, and no other does
            log.exception("schedule.crashed", playground_id=playground_id.hex)
            await self._database.write(lambda unit: unit.playgrounds.put_off(playground_id, until=at + LOOK_AGAIN))

    async def _fire(self, unit: UnitOfWork, playground_ids: Sequence[UUID], at: datetime) -> None:
        fires = {}
        for ledger in await unit.open_ledgers(playground_ids):
            fire = _advance(ledger, at)
            if fire is not None:
                fires[ledger] = fire
        recorded = await unit.runs.recorded_fires({ledger.playground.id: fire for ledger, fire in fires.items()})
        fires = {ledger: fire for ledger, fire in fires.items() if ledger.playground.id not in recorded}
        skipped = await self._reasons_to_skip(unit, fires, at)
        starts = [
            Start(ledger=ledger, run_id=new_id(), launch=Launch(trigger=RunTrigger.SCHEDULED, scheduled_for=fire))
            for ledger, fire in fires.items()
        ]
        wanted = [start for start in starts if start.ledger not in skipped]
        refused = await snapshot_many(unit, wanted, at=at, lane_of=self._lane_of)
        skipped |= {ledger: error.message for ledger, error in refused.items()}  # such as a playground without tasks
        reasons = {start: skipped[start.ledger] for start in starts if start.ledger in skipped}
        await record_skipped(unit, reasons, at=at)

    async def _reasons_to_skip(
        self, unit: UnitOfWork, fires: Mapping[Ledger, datetime], at: datetime
    ) -> dict[Ledger, str]:
        active = [ledger.playground.active_run_id for ledger in fires if ledger.playground.active_run_id is not None]
        numbers = {run.id: run.number for run in await unit.runs.get_many(active)} if active else {}
        last = await unit.runs.last_scheduled([ledger.playground.id for ledger in fires]) if self._min_interval else {}
        reasons: dict[Ledger, str] = {}
        for ledger, fire in fires.items():
            run = last.get(ledger.playground.id)
            if ledger.playground.active_run_id is not None:
                reasons[ledger] = f"Run {numbers.get(ledger.playground.active_run_id, '')} was still on."
            elif run is not None and run.started_at is not None and run.scheduled_for is not None:
                # A fire that is made up for is held against the fire before it, not against the clock.
                passed = fire - run.scheduled_for if at - fire > ON_TIME else at - run.started_at
                if passed < self._min_interval:
                    reasons[ledger] = f"The last scheduled run began less than {self._min_interval} ago."
        return reasons


def _advance(ledger: Ledger, at: datetime) -> datetime | None:
    """The fire that is due, with the next one set; None where there is nothing to run."""
    playground = ledger.playground
    due = playground.next_fire_at
    if due is None or due > at:
        return None  # another scheduler or an edit was first
    try:
        schedule = schedule_of(playground)
        if schedule is None or schedule.paused:
            ledger.change_playground(next_fire_at=None)
            return None
        if schedule.makes_up(due, at) and playground.active_run_id is not None:
            return None  # it waits for the end of the run that is on
        fire, upcoming = schedule.resolve(due, at)
    except InvalidError as error:
        log.warning("schedule.refused", playground_id=playground.id.hex, reason=error.message)
        ledger.change_playground(next_fire_at=at + LOOK_AGAIN)
        return None
    ledger.change_playground(next_fire_at=upcoming)
    if fire is None:
        log.info("schedule.missed", playground_id=playground.id.hex, fire=due.isoformat())
    return fire
