"""Backfills: runs of a playground for a range of past fire times, as many at once as asked.

They go beside the playground's active run, each with its fire time. When one ends, a ring wakes the schedulers, and one
of them launches the next; what is left to do is told by the database alone, so that a lost ring only delays it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from uuid import UUID

import structlog

from app.domain.errors import ConflictError, DomainError, IllegalStateError, InvalidError, TooLargeError
from app.domain.events import backfill_topic, cancel_topic
from app.domain.identity import Viewer, new_id, utc_now
from app.domain.schedule import Schedule
from app.domain.status import BackfillStatus, RunStatus, RunTrigger, roll_up_runs
from app.models import Backfill, Playground
from app.services.launching import LaneOf, Launch, Start, record_skipped, snapshot
from app.services.playgrounds import not_found, schedule_of
from app.services.rollup import cancel_open
from app.store.database import Database
from app.store.ledger import Ledger
from app.store.unit_of_work import UnitOfWork

MAX_FIRES = 10_000
MAX_AT_ONCE = 50
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
BATCH = 50  # fires in one transaction
STALLED = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Both ends belong to it; without `rerun`, fire times that have a run that succeeded are left out."""

    start: datetime
    end: datetime
    rerun: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """The fire times that a backfill would run, the oldest first."""

    fires: Sequence[datetime]
    left_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How many fire times wait, and how many runs stand where."""

    waiting: int
    runs: Mapping[RunStatus, int]


class BackfillService:
    """`lane_of` names the engine that a task of a type and a connection will run on."""

    def __init__(self, *, database: Database, lane_of: LaneOf) -> None:
        self._database = database
        self._lane_of = lane_of

    async def plan(self, playground: Playground, span: Range) -> Plan:
        """Raises: InvalidError, TooLargeError, ConflictError where there is no schedule."""
        fires = await asyncio.to_thread(_fires, _schedule(playground), span)
        async with self._database.read() as unit:
            return await _without_succeeded(unit, playground.id, fires, span)

    async def start(
        self, viewer: Viewer, playground_id: UUID, span: Range, *, max_concurrent_runs: int = 1
    ) -> Backfill:
        """Note the fire times, and launch the first.

        Raises: NotFoundError, InvalidError, TooLargeError; ConflictError where a backfill is on, there is no schedule,
        or the first run could not be made.
        """
        if not 1 <= max_concurrent_runs <= MAX_AT_ONCE:
            raise InvalidError(
                f"maxConcurrentRuns is between 1 and {MAX_AT_ONCE}; {max_concurrent_runs} is not.",
                path=("maxConcurrentRuns",),
            )
        async with self._database.read() as unit:
            playground = await unit.playgrounds.get(playground_id, owner_id=viewer.user_id)
        if playground is None:
            raise not_found("playground", path=("playgroundId",))
        schedule = _schedule(playground)
        fires = await asyncio.to_thread(_fires, schedule, span)
        backfill_id, at = new_id(), utc_now()

        async def work(unit: UnitOfWork) -> Backfill:
            ledger = await unit.open_ledger(playground_id)
            if ledger is None:
                raise not_found("playground", path=("playgroundId",))
            if (made := await unit.backfills.get(backfill_id)) is not None:
                return made
            if ledger.playground.active_backfill_id is not None:
                raise ConflictError(
                    "A backfill of this playground is on; wait for its end, or cancel it first.",
                    path=("playgroundId",),
                )
            plan = await _without_succeeded(unit, playground_id, fires, span)
            if not plan.fires:
                raise InvalidError(_nothing_to_run(plan), path=("from",))
            await unit.backfills.add(
                plan.fires,
                id=backfill_id,
                playground_id=playground_id,
                status=BackfillStatus.RUNNING,
                from_at=span.start,
                until_at=span.end,
                cron=schedule.cron,
                timezone=schedule.timezone,
                max_concurrent_runs=max_concurrent_runs,
                rerun=span.rerun,
                fire_count=len(plan.fires),
                left_out_count=plan.left_out,
                created_at=at,
            )
            ledger.change_playground(active_backfill_id=backfill_id)
            backfill = await _row(unit, backfill_id)
            await self._launch(unit, ledger, backfill, plan.fires[0], at=at)
            await self._launch_more(unit, ledger, backfill, at=at)
            return backfill

        return await self._database.write(work)

    async def cancel(self, viewer: Viewer, backfill_id: UUID) -> Backfill:
        """Start nothing more, and cancel the runs that are on.

        Raises: NotFoundError; IllegalStateError where it has ended.
        """
        at = utc_now()
        tried = False

        async def work(unit: UnitOfWork) -> Backfill:
            nonlocal tried
            backfill = await unit.backfills.get(backfill_id, owner_id=viewer.user_id)
            ledger = None if backfill is None else await unit.open_ledger(backfill.playground_id)
            if backfill is None or ledger is None:
                raise not_found("backfill", path=("backfillId",))
            backfill = await _row(unit, backfill_id)
            if backfill.cancel_requested and (tried or not backfill.status.ended):
                return backfill
            tried = True
            if backfill.status.ended:
                raise IllegalStateError(f"This backfill has ended already ({backfill.status}).", path=("backfillId",))
            await unit.backfills.update(backfill_id, cancel_requested=True)
            await unit.backfills.drop_fires(backfill_id)
            for run in await unit.runs.get_many(await unit.backfills.open_runs(backfill_id)):
                if not run.cancel_requested:
                    await cancel_open(unit, ledger, run, at=at)
            await _end_if_done(unit, ledger, await _row(unit, backfill_id), at=at)
            unit.outbox.ring(cancel_topic())
            return await _row(unit, backfill_id)

        return await self._database.write(work)

    async def advance_all(self) -> int:
        """Launch what is next in every backfill that has room, and end those that are done; gives how many did."""
        async with self._database.read() as unit:
            stalled = await unit.backfills.stalled(limit=STALLED)
        for backfill_id in stalled:
            await self.advance(backfill_id)
        return len(stalled)

    async def advance(self, backfill_id: UUID) -> None:
        """Does no harm when it comes twice, or at the same time."""

        async def work(unit: UnitOfWork) -> None:
            backfill = await unit.backfills.get(backfill_id)
            ledger = None if backfill is None else await unit.open_ledger(backfill.playground_id)
            if backfill is None or ledger is None:
                return
            at = utc_now()
            backfill = await _row(unit, backfill_id)
            if not backfill.status.ended:
                await self._launch_more(unit, ledger, backfill, at=at)
                await _end_if_done(unit, ledger, backfill, at=at)

        await self._database.write(work)

    async def _launch_more(self, unit: UnitOfWork, ledger: Ledger, backfill: Backfill, *, at: datetime) -> None:
        room = backfill.max_concurrent_runs - len(await unit.backfills.open_runs(backfill.id))
        for fire in await unit.backfills.next_fires(backfill.id, limit=BATCH):
            if room <= 0:
                return
            try:
                await self._launch(unit, ledger, backfill, fire, at=at)
                room -= 1
            except DomainError as error:  # it stands in the history all the same, and the others go on
                start = Start(ledger=ledger, run_id=new_id(), launch=_launch_of(backfill, fire))
                await record_skipped(unit, {start: error.message}, at=at)
        unit.outbox.ring(backfill_topic())  # there may be more

    async def _launch(
        self, unit: UnitOfWork, ledger: Ledger, backfill: Backfill, fire: datetime, *, at: datetime
    ) -> None:
        """Raises: DomainError where the run cannot be made."""
        await unit.backfills.take_fire(backfill.id, fire)
        launch = _launch_of(backfill, fire)
        await snapshot(unit, ledger, run_id=new_id(), launch=launch, at=at, lane_of=self._lane_of)

    async def get(self, viewer: Viewer, backfill_id: UUID) -> Backfill | None:
        async with self._database.read() as unit:
            return await unit.backfills.get(backfill_id, owner_id=viewer.user_id)

    # ---- many at once, for data loaders

    async def get_many(self, ids: Collection[UUID]) -> Mapping[UUID, Backfill]:
        async with self._database.read() as unit:
            return {row.id: row for row in await unit.backfills.get_many(ids)}

    async def standings(self, ids: Collection[UUID]) -> Mapping[UUID, Standing]:
        async with self._database.read() as unit:
            waiting = await unit.backfills.waiting_counts(ids)
            runs = await unit.backfills.run_counts(ids)
        return {id_: Standing(waiting=waiting.get(id_, 0), runs=runs.get(id_, {})) for id_ in ids}


async def _end_if_done(unit: UnitOfWork, ledger: Ledger, backfill: Backfill, *, at: datetime) -> None:
    if await unit.backfills.open_runs(backfill.id) or await unit.backfills.next_fires(backfill.id, limit=1):
        return
    runs = (await unit.backfills.run_counts([backfill.id])).get(backfill.id, {})
    cut_short = sum(runs.values()) < backfill.fire_count or bool(runs.get(RunStatus.CANCELLED))
    status = roll_up_runs(runs, cancelled=backfill.cancel_requested and cut_short)
    if await unit.backfills.end(backfill.id, status, at=at) and ledger.playground.active_backfill_id == backfill.id:
        ledger.change_playground(active_backfill_id=None)


def _launch_of(backfill: Backfill, fire: datetime) -> Launch:
    return Launch(trigger=RunTrigger.BACKFILL, scheduled_for=fire, backfill_id=backfill.id)


def _schedule(playground: Playground) -> Schedule:
    schedule = schedule_of(playground)
    if schedule is None:
        raise ConflictError(
            "The playground has no schedule, so there are no fire times; give it one (it may be paused).",
            path=("playgroundId",),
        )
    return schedule


def _fires(schedule: Schedule, span: Range) -> list[datetime]:
    """Raises: InvalidError, TooLargeError."""
    if span.start < EARLIEST:
        raise InvalidError(f"`from` is {EARLIEST:%Y-%m-%d} or later.", path=("from",))
    if span.start > span.end:
        raise InvalidError("`from` is later than `until`.", path=("from",))
    if span.end > utc_now():
        raise InvalidError("`until` lies in the future; a backfill runs fire times that are past.", path=("until",))
    times = schedule.fire_times(after=span.start - timedelta(microseconds=1))
    fires = list(islice(takewhile(lambda fire: fire <= span.end, times), MAX_FIRES + 1))
    if len(fires) > MAX_FIRES:
        raise TooLargeError(
            f"The range has more than {MAX_FIRES} fire times; the {MAX_FIRES}th is {fires[-2].isoformat()}. Take a "
            f"shorter one, and then the next.",
            path=("until",),
        )
    return fires


async def _without_succeeded(unit: UnitOfWork, playground_id: UUID, fires: Sequence[datetime], span: Range) -> Plan:
    done = set() if span.rerun else await unit.backfills.succeeded_fires(playground_id, span.start, span.end)
    wanted = [fire for fire in fires if fire not in done]
    return Plan(fires=wanted, left_out=len(fires) - len(wanted))


def _nothing_to_run(plan: Plan) -> str:
    if plan.left_out:
        return f"All {plan.left_out} fire times of the range have succeeded; say `rerun: true` to run them again."
    return "The schedule has no fire time in that range."


async def _row(unit: UnitOfWork, backfill_id: UUID) -> Backfill:
    row = await unit.backfills.get(backfill_id)
    if row is None:
        raise not_found("backfill", path=("backfillId",))
    return row
