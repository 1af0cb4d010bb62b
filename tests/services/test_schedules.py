"""Schedules: each fire once however many schedulers look, missed ones as the policy says, a broken one alone."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.identity import utc_now
from app.domain.schedule import CatchupPolicy, Schedule
from app.domain.status import RunStatus, RunTrigger
from app.models import Playground, Run
from app.services.schedules import ScheduleService
from app.store.pages import PageRequest
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

NO_INTERVAL = timedelta()
ONCE_A_YEAR = "0 0 1 1 *"  # no second fire falls due while a test runs
Clock = Callable[[], datetime]


def service(
    bench: Workbench, *, min_interval: timedelta = NO_INTERVAL, process=None, clock: Clock = utc_now
) -> ScheduleService:
    process = process or bench.process
    return ScheduleService(
        database=process.database, min_interval=min_interval, lane_of=process.engines.lane_of, clock=clock
    )


async def set_fire(bench: Workbench, playground: Playground, at: datetime) -> None:
    """Have its schedule fire at this moment, whatever the schedule says."""

    async def work(unit: UnitOfWork) -> None:
        await unit.playgrounds.update(playground.id, next_fire_at=at)

    await bench.database.write(work)


async def scheduled(
    bench: Workbench, *, due: timedelta = timedelta(seconds=1), cron: str = ONCE_A_YEAR, edges=None, **values: object
) -> Playground:
    """A playground whose fire time came `due` ago."""
    playground, _ = await bench.graph({"a": ""} if edges is None else edges)
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron=cron, **values))
    await bench.age("playground", "next_fire_at", due, [playground.id])
    return playground


async def runs(bench: Workbench, playground: Playground) -> list[Run]:
    page = await bench.services.runs.page(playground.id, PageRequest(size=100))
    return list(page.rows)


async def next_fire(bench: Workbench, playground: Playground) -> datetime:
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert row.next_fire_at is not None
    return row.next_fire_at


async def test_what_is_due_is_fired_once_and_the_next_time_is_set(bench: Workbench) -> None:
    playground = await scheduled(bench)
    idle, _ = await bench.graph({"x": ""})
    due_at = await next_fire(bench, playground)
    tick = await service(bench).tick()
    (run,) = await runs(bench, playground)
    assert tick.fired == 1
    assert (run.trigger, run.status, run.scheduled_for) == (RunTrigger.SCHEDULED, RunStatus.PENDING, due_at)
    new_year = utc_now().replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    assert await next_fire(bench, playground) == new_year.replace(year=new_year.year + 1)
    assert tick.next_fire_at == await next_fire(bench, playground)
    assert (await service(bench).tick()).fired == 0
    assert not await runs(bench, idle)
    async with bench.worker():
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS


async def test_many_schedulers_at_once_fire_once(bench: Workbench) -> None:
    playgrounds = [await scheduled(bench) for _ in range(4)]
    other = await bench.another_process()
    services = [service(bench, process=process) for process in (bench.process, other) for _ in range(3)]
    await asyncio.gather(*(each.tick() for each in services))
    for playground in playgrounds:
        assert len(await runs(bench, playground)) == 1


async def test_a_fire_that_finds_a_run_on_is_recorded_as_skipped(bench: Workbench) -> None:
    playground = await scheduled(bench)
    on = await bench.launch(playground)
    await service(bench).tick()
    skipped, first = await runs(bench, playground)
    assert first.id == on.id
    assert (skipped.status, skipped.number, skipped.trigger) == (RunStatus.CANCELLED, 2, RunTrigger.SCHEDULED)
    assert skipped.message == "Skipped. Run 1 was still on."
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert row.active_run_id == on.id


async def test_a_fire_too_soon_after_the_last_one_is_skipped(bench: Workbench) -> None:
    playground = await scheduled(bench)
    often = service(bench, min_interval=timedelta(minutes=6))
    async with bench.worker():
        await often.tick()
        (first,) = await runs(bench, playground)
        await bench.end_of(first)
    await bench.age("playground", "next_fire_at", timedelta(milliseconds=500), [playground.id])
    await often.tick()
    skipped, _ = await runs(bench, playground)
    assert skipped.status is RunStatus.CANCELLED
    assert "less than 0:06:00 ago" in (skipped.message or "")


async def test_a_playground_without_tasks_records_its_fire(bench: Workbench) -> None:
    playground = await scheduled(bench, edges={})
    await service(bench).tick()
    (run,) = await runs(bench, playground)
    assert run.status is RunStatus.CANCELLED
    assert "no tasks yet" in (run.message or "")


async def test_a_paused_or_removed_schedule_does_not_fire(bench: Workbench) -> None:
    paused = await scheduled(bench, paused=True)
    removed = await scheduled(bench)
    await bench.services.playgrounds.update(bench.viewer, removed.id, remove_schedule=True)
    assert (await service(bench).tick()).next_fire_at is None
    assert not await runs(bench, paused)
    assert not await runs(bench, removed)


async def test_a_changed_schedule_takes_effect_at_once(bench: Workbench) -> None:
    playground = await scheduled(bench)
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron="* * * * *"))
    assert await next_fire(bench, playground) <= utc_now() + timedelta(minutes=1)
    assert (await service(bench).tick()).fired == 0  # the old fire is gone with the old schedule


@pytest.mark.parametrize(
    ("policy", "expected"), [(CatchupPolicy.SKIP, 0), (CatchupPolicy.LATEST, 1), (CatchupPolicy.ALL, 1)]
)
async def test_missed_fires_are_caught_up_with_as_the_policy_says(
    bench: Workbench, policy: CatchupPolicy, expected: int
) -> None:
    playground = await scheduled(bench, due=timedelta(minutes=30, seconds=10), cron="*/10 * * * *", catchup=policy)
    missed = await next_fire(bench, playground)
    await service(bench).tick()
    found = await runs(bench, playground)
    upcoming = await next_fire(bench, playground)
    assert len(found) == expected
    match policy:
        case CatchupPolicy.SKIP:
            assert upcoming > utc_now()
        case CatchupPolicy.LATEST:
            assert found[0].scheduled_for is not None
            assert utc_now() - found[0].scheduled_for <= timedelta(minutes=10)
            assert upcoming > utc_now()
        case CatchupPolicy.ALL:
            assert found[0].scheduled_for == missed
            assert upcoming <= missed + timedelta(minutes=10)


async def test_all_missed_fires_run_one_after_the_other(bench: Workbench) -> None:
    playground = await scheduled(bench, due=timedelta(minutes=55), cron="*/10 * * * *", catchup=CatchupPolicy.ALL)
    schedules = service(bench)
    async with bench.worker():
        for _ in range(20):
            await schedules.tick()
            newest, *_ = await runs(bench, playground)
            await bench.end_of(newest)
    found = await runs(bench, playground)
    assert 5 <= len(found) <= 7
    assert {run.status for run in found} == {RunStatus.SUCCESS}  # none had to give way to the one before
    assert len({run.scheduled_for for run in found}) == len(found)
    assert await next_fire(bench, playground) > utc_now()


async def test_a_playground_has_its_turn_once_in_a_tick(bench: Workbench) -> None:
    """Also where the fire after the one that is made up for is due as well, and on time."""
    minute = utc_now().replace(second=0, microsecond=0)
    playground = await scheduled(bench, cron="* * * * *", catchup=CatchupPolicy.ALL)
    await set_fire(bench, playground, minute - timedelta(minutes=1))
    await service(bench, clock=lambda: minute + timedelta(seconds=30)).tick()
    (run,) = await runs(bench, playground)
    assert (run.status, run.scheduled_for) == (RunStatus.PENDING, minute - timedelta(minutes=1))
    assert await next_fire(bench, playground) == minute


async def test_a_fire_that_is_made_up_for_waits_for_the_run_that_is_on_and_costs_nothing_meanwhile(
    bench: Workbench,
) -> None:
    playground = await scheduled(bench, due=timedelta(minutes=55), cron="*/10 * * * *", catchup=CatchupPolicy.ALL)
    schedules = service(bench)
    await schedules.tick()
    second = await next_fire(bench, playground)
    tick = await schedules.tick()
    assert (tick.fired, tick.next_fire_at) == (0, None)
    assert await next_fire(bench, playground) == second
    assert len(await runs(bench, playground)) == 1


async def test_fires_that_are_made_up_for_are_held_against_each_other_and_not_against_the_clock(
    bench: Workbench,
) -> None:
    playground = await scheduled(bench, cron="*/10 * * * *", catchup=CatchupPolicy.ALL)
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    await set_fire(bench, playground, noon)
    schedules = service(bench, min_interval=timedelta(minutes=15), clock=lambda: noon + timedelta(minutes=28))
    async with bench.worker():
        for _ in range(3):
            await schedules.tick()
            newest, *_ = await runs(bench, playground)
            await bench.end_of(newest)
    statuses = [run.status for run in reversed(await runs(bench, playground))]
    assert statuses == [RunStatus.SUCCESS, RunStatus.CANCELLED, RunStatus.SUCCESS]


async def test_a_schedule_that_cannot_be_read_any_more_stops_no_other_and_is_not_looked_at_without_end(
    bench: Workbench,
) -> None:
    broken = await scheduled(bench, due=timedelta(seconds=30))
    fine = await scheduled(bench)

    async def spoil(unit) -> None:
        await unit.playgrounds.update(broken.id, schedule_timezone="Atlantis/Capital")

    await bench.database.write(spoil)
    tick = await service(bench).tick()
    assert len(await runs(bench, fine)) == 1
    assert not await runs(bench, broken)
    assert tick.next_fire_at is not None
    assert tick.next_fire_at > datetime.now(UTC)  # else the scheduler would not sleep any more
