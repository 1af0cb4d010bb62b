"""Schedules: fires the playgrounds that are due, each fire once, however many schedulers run."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from uuid import UUID

import structlog
from sqlalchemy.exc import IntegrityError

from app.domain.errors import DomainError
from app.domain.identity import new_id, utc_now
from app.domain.schedule import CatchupPolicy, Schedule
from app.domain.status import RunStatus, RunTrigger
from app.models import Playground
from app.services.playgrounds import schedule_of
from app.services.runs import LaneOf, Launch, snapshot
from app.store.database import Database, DatabaseAwayError
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

BATCH = 200
ON_TIME = timedelta(seconds=60)  # a fire later than this was missed: nothing was running when it was due
LOOK_AGAIN = timedelta(minutes=5)
MAX_CATCHUP = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """What one look has done, and when the next fire is due."""

    fired: int
    next_fire_at: datetime | None


class ScheduleService:
    def __init__(self, *, database: Database, min_interval: timedelta, lane_of: LaneOf) -> None:
        self._database = database
        self._lane_of = lane_of
        self._min_interval = min_interval

    async def tick(self) -> Tick:
        """Fire what is due. One playground's fault never stops another's fire."""
        at = utc_now()
        async with self._database.read() as unit:
            due = await unit.playgrounds.due(at, limit=BATCH)
        for playground in due:
            try:
                await self._fire(playground, at)
            except IntegrityError:
                log.info("schedule.fired_elsewhere", playground_id=playground.id.hex)
            except DatabaseAwayError:
                raise
            except DomainError as error:
                log.warning("schedule.refused", playground_id=playground.id.hex, reason=error.message)
                await self._postpone(playground, at)
        async with self._database.read() as unit:
            return Tick(fired=len(due), next_fire_at=await unit.playgrounds.next_fire_at())

    async def _postpone(self, playground: Playground, at: datetime) -> None:
        """Look at a schedule that cannot be read (any more) again in a while: it would be due at every look."""
        expected = playground.next_fire_at
        if expected is None:
            return

        async def work(unit: UnitOfWork) -> None:
            await unit.playgrounds.move_fire(playground.id, expected=expected, next_fire_at=at + LOOK_AGAIN)

        await self._database.write(work)

    async def _fire(self, playground: Playground, at: datetime) -> None:
        run_id = new_id()

        async def work(unit: UnitOfWork) -> None:
            ledger = await unit.open_ledger(playground.id)
            if ledger is None or ledger.playground.next_fire_at != playground.next_fire_at:
                return  # another scheduler or an edit was first
            schedule, fire = schedule_of(ledger.playground), ledger.playground.next_fire_at
            if schedule is None or fire is None or schedule.paused:
                return
            missed = at - fire > ON_TIME
            fire, upcoming = _resolve(schedule, fire, at, missed=missed)
            ledger.change_playground(next_fire_at=upcoming)
            if missed and schedule.catchup is CatchupPolicy.SKIP:
                log.info("schedule.missed", playground_id=playground.id.hex, fire=fire.isoformat())
                return
            await self._launch(unit, ledger, fire, run_id, at)

        await self._database.write(work)

    async def _launch(self, unit: UnitOfWork, ledger: Ledger, fire: datetime, run_id: UUID, at: datetime) -> None:
        launch = Launch(trigger=RunTrigger.SCHEDULED, scheduled_for=fire)
        reason = await self._reason_to_skip(unit, ledger, at)
        if reason is None:
            try:
                await snapshot(unit, ledger, run_id=run_id, launch=launch, at=at, lane_of=self._lane_of)
            except DomainError as error:  # a playground without tasks: the fire is recorded all the same
                reason = error.message
            else:
                return
        await record_skipped(unit, ledger, run_id=run_id, fire=fire, at=at, reason=reason)

    async def _reason_to_skip(self, unit: UnitOfWork, ledger: Ledger, at: datetime) -> str | None:
        active = ledger.playground.active_run_id
        if active is not None:
            run = await unit.runs.get(active)
            return f"Run {run.number if run else ''} was still on."
        last = await unit.runs.last_scheduled(ledger.playground.id)
        if last is not None and last.started_at is not None and at - last.started_at < self._min_interval:
            return f"The last scheduled run began less than {self._min_interval} ago."
        return None


def _resolve(schedule: Schedule, fire: datetime, at: datetime, *, missed: bool) -> tuple[datetime, datetime]:
    """The fire to run now, and the one after it: a missed one is caught up with as the policy says."""
    if not missed or schedule.catchup is CatchupPolicy.ALL:
        return fire, schedule.next_fire_time(after=fire)
    if schedule.catchup is CatchupPolicy.LATEST:
        for following in islice(schedule.fire_times(after=fire), MAX_CATCHUP):
            if following > at:
                return fire, following
            fire = following
    return fire, schedule.next_fire_time(after=at)


async def record_skipped(
    unit: UnitOfWork, ledger: Ledger, *, run_id: UUID, fire: datetime, at: datetime, reason: str
) -> None:
    """A fire that found something in its way stands in the history, as a run that was cancelled at once."""
    number = ledger.playground.last_run_number + 1
    message = f"Skipped. {reason}"
    run = {
        "id": run_id,
        "playground_id": ledger.playground.id,
        "number": number,
        "trigger": RunTrigger.SCHEDULED,
        "status": RunStatus.CANCELLED,
        "message": message,
        "scheduled_for": fire,
        "created_at": at,
        "ended_at": at,
    }
    await unit.runs.add(run, (), ())
    ledger.change_playground(last_run_number=number)
    ledger.record(run_id=run_id, status=RunStatus.CANCELLED, at=at, message=message)
