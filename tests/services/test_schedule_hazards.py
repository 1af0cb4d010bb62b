"""Schedules at scale and in trouble: many due at once, clocks that jump, rows that nobody can read, edits meanwhile."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from app.domain.identity import new_id, utc_now
from app.domain.schedule import CatchupPolicy, Schedule
from app.domain.status import RunStatus, RunTrigger
from app.models import Run
from app.services.schedules import BATCH, ScheduleService
from app.store.unit_of_work import UnitOfWork
from tests.support.scheduled import add_scheduled, statements_of
from tests.support.workbench import Workbench

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


class Clock:
    """Shows what it is set to."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def service(bench: Workbench, clock: Callable[[], datetime] = utc_now, *, process=None) -> ScheduleService:
    process = process or bench.process
    return ScheduleService(
        database=process.database, min_interval=timedelta(), lane_of=process.engines.lane_of, clock=clock
    )


async def add(bench: Workbench, count: int = 1, *, fire_at: datetime = NOON, **values) -> list[UUID]:
    return await add_scheduled(bench.database, bench.viewer.user_id, count, fire_at=fire_at, **values)


async def fires(bench: Workbench, playground_id: UUID) -> list[datetime]:
    rows = await bench.rows(Run.__table__.select().where(Run.__table__.c.playground_id == playground_id))
    return sorted(row.scheduled_for for row in rows)


async def end_runs(bench: Workbench) -> None:
    """Have every run ended, as if workers had done it."""

    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(text("UPDATE run SET status = 'SUCCESS', ended_at = created_at"))
        await unit._session.execute(text("UPDATE playground SET active_run_id = NULL"))

    await bench.database.write(work)


async def set_columns(bench: Workbench, playground_id: UUID, assignments: str) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(text(f"UPDATE playground SET {assignments} WHERE id = '{playground_id.hex}'"))

    await bench.database.write(work)


# ---- at scale


async def test_a_look_that_finds_nothing_due_is_one_statement_however_many_are_scheduled(
    bench: Workbench, clock: Clock
) -> None:
    await add(bench, 300, fire_at=NOON + MINUTE)
    with statements_of(bench.database) as statements:
        tick = await service(bench, clock).tick()
    assert (tick.fired, tick.next_fire_at) == (0, NOON + MINUTE)
    assert len(statements) == 1


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # it counts the rows that it reads
async def test_a_look_reads_a_few_rows_of_an_index(bench: Workbench) -> None:
    await add(bench, 2000, fire_at=NOON + MINUTE)
    paused = await add(bench, 5, fire_at=NOON)
    for playground_id in paused:
        playground = Schedule(cron="* * * * *", paused=True)
        await bench.services.playgrounds.update(bench.viewer, playground_id, schedule=playground)
    async with bench.database.read() as unit:
        session = unit._session
        with statements_of(bench.database) as statements:
            await unit.playgrounds.next_fire_at(NOON)
            await unit.playgrounds.lock_due(NOON, after=None, limit=BATCH)
        await session.execute(text("FLUSH STATUS"))
        await unit.playgrounds.next_fire_at(NOON)
        await unit.playgrounds.lock_due(NOON, after=None, limit=BATCH)
        read = (await session.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))).all()
        assert sum(int(count) for _, count in read) <= 6
        connection = await session.connection()
        for statement, parameters in statements:
            (plan,) = (await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)).mappings().all()
            assert plan["key"] == "ix_playground_next_fire_at"


async def test_all_that_are_due_are_fired_in_one_look_with_few_statements(bench: Workbench, clock: Clock) -> None:
    count = 2 * BATCH + 7
    ids = await add(bench, count)
    with statements_of(bench.database) as statements:
        tick = await service(bench, clock).tick()
    assert tick.fired == count
    assert await bench.scalar("SELECT count(*) FROM run") == count
    assert await bench.scalar("SELECT count(DISTINCT playground_id) FROM run") == count
    assert await bench.scalar("SELECT count(*) FROM task_run WHERE status = 'QUEUED'") == count
    assert len(statements) < count / 2
    assert await fires(bench, ids[0]) == [NOON]


async def test_schedulers_share_what_is_due_and_do_nothing_twice(bench: Workbench, clock: Clock) -> None:
    ids = await add(bench, 4 * BATCH)
    other = await bench.another_process()
    services = [service(bench, clock, process=process) for process in (bench.process, other)]
    ticks = await asyncio.gather(*(each.tick() for each in services))
    assert sum(tick.fired for tick in ticks) == len(ids)
    assert await bench.scalar("SELECT count(*) FROM run") == len(ids)
    assert await bench.scalar("SELECT count(DISTINCT playground_id) FROM run") == len(ids)


@pytest.mark.parametrize("database_url", ["mariadb"], indirect=True)  # SQLite has one lock for everything
async def test_a_playground_that_somebody_holds_keeps_no_other_waiting_and_is_fired_in_the_end(
    bench: Workbench, clock: Clock
) -> None:
    held, free = await add(bench, fire_at=NOON - MINUTE / 2), await add(bench, 3)
    holding, let_go = asyncio.Event(), asyncio.Event()

    async def hold(unit: UnitOfWork) -> None:
        await unit.open_ledger(held[0])
        holding.set()
        await let_go.wait()

    holder = asyncio.create_task(bench.database.write(hold))
    await holding.wait()
    tick = asyncio.create_task(service(bench, clock, process=await bench.another_process()).tick())

    async def others_fired() -> bool:
        return await bench.scalar("SELECT count(*) FROM run") == len(free)

    await bench.until(others_fired)
    assert not tick.done()
    let_go.set()
    await asyncio.gather(holder, tick)
    assert await fires(bench, held[0]) == [NOON - MINUTE / 2]


# ---- what is missed


async def test_a_year_of_minutes_to_make_up_for_keeps_no_other_waiting(bench: Workbench, clock: Clock) -> None:
    (behind,) = await add(bench, fire_at=NOON - timedelta(days=365), catchup=CatchupPolicy.ALL)
    on_time = await add(bench, BATCH + 3)
    tick = await service(bench, clock).tick()
    assert tick.fired == 1 + len(on_time)
    assert await fires(bench, behind) == [NOON - timedelta(days=365)]
    await end_runs(bench)
    await service(bench, clock).tick()
    assert len(await fires(bench, behind)) == 2


async def test_the_latest_of_a_year_of_minutes_is_the_latest(bench: Workbench, clock: Clock) -> None:
    (behind,) = await add(bench, fire_at=NOON - timedelta(days=365), catchup=CatchupPolicy.LATEST)
    clock.at = NOON + timedelta(seconds=30)
    await service(bench, clock).tick()
    assert await fires(bench, behind) == [NOON]


@pytest.mark.parametrize(
    ("cron", "at", "latest"),
    [
        ("0 3 1 1 *", datetime(2026, 12, 31, tzinfo=UTC), datetime(2026, 1, 1, 3, tzinfo=UTC)),
        ("* 3 * * *", datetime(2026, 3, 5, 23, tzinfo=UTC), datetime(2026, 3, 5, 3, 59, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2027, 3, 1, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_the_latest_fire_is_found_however_rare_fires_are(cron: str, at: datetime, latest: datetime) -> None:
    schedule = Schedule(cron=cron, catchup=CatchupPolicy.LATEST)
    fire, upcoming = schedule.resolve(datetime(2024, 2, 29, tzinfo=UTC), at)
    assert (fire, upcoming) == (latest, schedule.next_fire_time(after=at))


# ---- clocks


async def test_a_fire_comes_at_its_moment_and_not_before(bench: Workbench, clock: Clock) -> None:
    (playground_id,) = await add(bench)
    clock.at = NOON - timedelta(microseconds=1)
    assert (await service(bench, clock).tick()).fired == 0
    clock.at = NOON
    assert (await service(bench, clock).tick()).fired == 1
    assert await fires(bench, playground_id) == [NOON]


async def test_a_clock_that_is_set_back_fires_nothing_twice(bench: Workbench, clock: Clock) -> None:
    (playground_id,) = await add(bench)
    for _ in range(3):
        await service(bench, clock).tick()
        await end_runs(bench)
        clock.at += MINUTE
    before = await fires(bench, playground_id)
    clock.at = NOON
    await set_columns(bench, playground_id, "next_fire_at = '2026-01-05 12:00:00'")  # as an edit by that clock sets it
    for _ in range(4):
        await service(bench, clock).tick()
        await end_runs(bench)
        clock.at += MINUTE
    found = await fires(bench, playground_id)
    assert before == [NOON, NOON + MINUTE, NOON + 2 * MINUTE]
    assert found == [*before, NOON + 3 * MINUTE]


async def test_a_clock_that_is_set_forward_makes_fires_missed_and_goes_on(bench: Workbench, clock: Clock) -> None:
    (playground_id,) = await add(bench)
    await service(bench, clock).tick()
    await end_runs(bench)
    clock.at = NOON + timedelta(hours=3)
    tick = await service(bench, clock).tick()
    assert tick.next_fire_at == clock.at + MINUTE
    clock.at += MINUTE
    await service(bench, clock).tick()
    assert await fires(bench, playground_id) == [NOON, clock.at]


# ---- rows that nobody can read, and edits


@pytest.mark.parametrize(
    "assignments",
    [
        "schedule_cron = 'every now and then'",
        "schedule_cron = '0 0 30 2 *'",
        "schedule_cron = ''",
        "schedule_timezone = 'Atlantis/Capital'",
        "schedule_catchup = 'NEVER'",
    ],
)
async def test_a_schedule_that_was_spoilt_past_the_api_stops_no_other(
    bench: Workbench, clock: Clock, assignments: str
) -> None:
    (bad,), good = await add(bench, fire_at=NOON - MINUTE / 2), await add(bench, 3)
    await set_columns(bench, bad, assignments)
    tick = await service(bench, clock).tick()
    assert not await fires(bench, bad)
    for playground_id in good:
        assert await fires(bench, playground_id) == [NOON]
    assert tick.next_fire_at == NOON + MINUTE  # the bad one waits longer than that


async def test_what_is_paused_deleted_or_edited_while_it_waits_does_not_fire_as_it_was(
    bench: Workbench, clock: Clock
) -> None:
    paused, deleted, moved, edited = await add(bench, 4)
    playgrounds = bench.services.playgrounds
    await playgrounds.update(bench.viewer, paused, schedule=Schedule(cron="* * * * *", paused=True))
    await playgrounds.delete(bench.viewer, deleted)
    await playgrounds.update(bench.viewer, moved, schedule=Schedule(cron="0 12 * * *", timezone="Asia/Tokyo"))
    await playgrounds.update(bench.viewer, edited, schedule=Schedule(cron="0 0 29 2 *"))
    await service(bench, clock).tick()
    assert await bench.scalar("SELECT count(*) FROM run") == 0
    for playground_id, hour in ((moved, 3), (edited, 0)):
        row = await playgrounds.get(bench.viewer, playground_id)
        assert row is not None
        assert row.next_fire_at is not None
        assert row.next_fire_at.hour == hour
    row = await playgrounds.get(bench.viewer, paused)
    assert row is not None
    assert row.next_fire_at is None
    assert row.schedule_paused


async def test_an_edit_that_comes_between_the_look_and_the_lock_wins(bench: Workbench, clock: Clock) -> None:
    (playground_id,) = await add(bench)

    async def work(unit: UnitOfWork) -> None:
        await unit.playgrounds.update(playground_id, next_fire_at=NOON + MINUTE)
        await service(bench, clock)._fire(unit, [playground_id], NOON)

    await bench.database.write(work)
    assert not await fires(bench, playground_id)


async def test_a_fire_that_finds_a_run_on_names_it_among_many(bench: Workbench, clock: Clock) -> None:
    ids = await add(bench, 3)
    await service(bench, clock).tick()
    clock.at += MINUTE
    await service(bench, clock).tick()
    rows = await bench.rows(Run.__table__.select().where(Run.__table__.c.number == 2))
    assert {row.message for row in rows} == {"Skipped. Run 1 was still on."}
    assert {row.status for row in rows} == {RunStatus.CANCELLED}
    assert len(rows) == len(ids)


async def test_a_backfills_run_of_the_same_time_is_no_fire_of_the_schedule(bench: Workbench, clock: Clock) -> None:
    (playground_id,) = await add(bench)
    backfilled = {
        "id": new_id(), "playground_id": playground_id, "number": 1, "trigger": RunTrigger.SCHEDULED, "series": "b",
        "status": RunStatus.SUCCESS, "scheduled_for": NOON, "created_at": NOON, "ended_at": NOON,
    }  # fmt: skip

    async def work(unit: UnitOfWork) -> None:
        await unit.runs.add_many([backfilled], (), ())
        await unit.playgrounds.update(playground_id, last_run_number=1)

    await bench.database.write(work)
    await service(bench, clock).tick()
    assert await fires(bench, playground_id) == [NOON, NOON]
