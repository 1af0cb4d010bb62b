"""Backfills: past fires run in order, as many at once as asked, beside other runs, each once, whatever is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from app.domain.errors import ConflictError, DomainError, ErrorCode, IllegalStateError, InvalidError, NotFoundError
from app.domain.identity import new_id, utc_now
from app.domain.schedule import Schedule
from app.domain.status import BackfillStatus, RunStatus, RunTrigger
from app.engines.base import TerminalEngineError
from app.models import Backfill, Playground, Run
from app.models.backfills import BackfillFire
from app.services.backfills import MAX_FIRES, Range, Standing
from app.services.launching import Launch, Start, record_skipped
from app.services.tasks import TaskDraft
from app.store.pages import PageRequest
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench
from workers.scheduler import SchedulerProcess

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def days(count: int, *, rerun: bool = False) -> Range:
    return Range(start=FIRST, end=FIRST + (count - 1) * DAY, rerun=rerun)


async def daily(bench: Workbench, edges: dict[str, str] | None = None) -> Playground:
    playground, tasks = await bench.graph(edges or {"a": ""})
    for task in tasks.values():
        draft = TaskDraft(query=f"{task.name} {{{{ scheduled_for | date }}}}")
        await bench.services.tasks.update(bench.viewer, task.id, draft)
    schedule = Schedule(cron="@daily", paused=True)
    return await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=schedule)


async def start(bench: Workbench, playground: Playground, span: Range, *, at_once: int = 1) -> Backfill:
    return await bench.services.backfills.start(bench.viewer, playground.id, span, max_concurrent_runs=at_once)


async def fresh(bench: Workbench, backfill: Backfill) -> Backfill:
    row = await bench.services.backfills.get(bench.viewer, backfill.id)
    assert row is not None
    return row


async def standing(bench: Workbench, backfill: Backfill) -> Standing:
    return (await bench.services.backfills.standings([backfill.id]))[backfill.id]


async def runs_of(bench: Workbench, backfill: Backfill) -> list[Run]:
    """The oldest first."""
    pages = await bench.services.history.runs_of_backfills([backfill.id], PageRequest(size=100))
    return list(reversed(pages[backfill.id].rows))


@asynccontextmanager
async def platform(bench: Workbench) -> AsyncIterator[None]:
    """A worker and a scheduler."""
    async with bench.worker(), SchedulerProcess(bench.process).running():
        yield


async def end_of(bench: Workbench, backfill: Backfill) -> Backfill:
    async def ended() -> bool:
        return (await fresh(bench, backfill)).status.ended

    await bench.until(ended)
    return await fresh(bench, backfill)


async def test_every_fire_of_the_range_runs_once_in_order_with_its_own_time(bench: Workbench) -> None:
    playground = await daily(bench)
    async with platform(bench):
        backfill = await start(bench, playground, days(5))
        ended = await end_of(bench, backfill)
    assert (ended.status, ended.fire_count, ended.left_out_count) == (BackfillStatus.SUCCESS, 5, 0)
    assert ended.ended_at is not None
    runs = await runs_of(bench, backfill)
    assert [run.scheduled_for for run in runs] == [FIRST + number * DAY for number in range(5)]
    assert {(run.trigger, run.status, run.backfill_id) for run in runs} == {
        (RunTrigger.BACKFILL, RunStatus.SUCCESS, backfill.id)
    }
    assert bench.cluster.submitted == [(f"a 2026-01-0{number}", 1) for number in range(1, 6)]
    assert bench.cluster.most_at_once == 1
    assert await standing(bench, backfill) == Standing(waiting=0, runs={RunStatus.SUCCESS: 5})
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert (row.active_backfill_id, row.active_run_id, row.last_run_number) == (None, None, 5)


async def test_as_many_runs_are_on_as_asked_and_no_more(bench: Workbench) -> None:
    playground = await daily(bench)
    gates = {f"a 2026-01-0{number}": asyncio.Event() for number in range(1, 6)}
    for text, gate in gates.items():
        bench.cluster.plan(text, until=gate)
    async with platform(bench):
        backfill = await start(bench, playground, days(5), at_once=2)
        assert await standing(bench, backfill) == Standing(waiting=3, runs={RunStatus.PENDING: 2})
        await bench.cluster.until_submitted("a 2026-01-02")
        gates["a 2026-01-02"].set()
        await bench.cluster.until_submitted("a 2026-01-03")
        assert (await standing(bench, backfill)).waiting == 2
        for gate in gates.values():
            gate.set()
        assert (await end_of(bench, backfill)).status is BackfillStatus.SUCCESS
    assert bench.cluster.most_at_once == 2


async def test_a_backfill_goes_beside_the_other_runs_of_its_playground(bench: Workbench) -> None:
    playground = await daily(bench)
    bench.cluster.plan(f"a {utc_now():%Y-%m-%d}", until=(over := asyncio.Event()))
    async with platform(bench):
        on = await bench.launch(playground)
        backfill = await start(bench, playground, days(2))
        assert (await end_of(bench, backfill)).status is BackfillStatus.SUCCESS
        assert not (await bench.row(on)).status.ended
        with pytest.raises(ConflictError):
            await bench.launch(playground)
        over.set()
        assert (await bench.end_of(on)).status is RunStatus.SUCCESS


async def test_fires_that_have_succeeded_are_left_out_unless_asked_for(bench: Workbench) -> None:
    playground = await daily(bench)
    bench.cluster.plan("a 2026-01-02", failures=[TerminalEngineError("no such table", code="NOT_FOUND")])
    async with platform(bench):
        first = await end_of(bench, await start(bench, playground, days(3)))
        assert first.status is BackfillStatus.PARTIAL_SUCCESS
        second = await end_of(bench, await start(bench, playground, days(4)))
        assert (second.status, second.fire_count, second.left_out_count) == (BackfillStatus.SUCCESS, 2, 2)
        times = [run.scheduled_for for run in await runs_of(bench, second)]
        assert times == [FIRST + DAY, FIRST + 3 * DAY]
        with pytest.raises(InvalidError, match=r"All 4 fire times .*rerun"):
            await start(bench, playground, days(4))
        third = await end_of(bench, await start(bench, playground, days(4, rerun=True), at_once=4))
    assert (third.status, third.fire_count, third.left_out_count) == (BackfillStatus.SUCCESS, 4, 0)
    plan = await bench.services.backfills.plan(playground, days(5))
    assert (list(plan.fires), plan.left_out) == ([FIRST + 4 * DAY], 4)


async def test_cancelling_stops_launching_and_cancels_what_runs(bench: Workbench) -> None:
    playground = await daily(bench)
    bench.cluster.plan("a 2026-01-01", until=asyncio.Event())
    async with platform(bench):
        backfill = await start(bench, playground, days(5))
        await bench.cluster.until_submitted("a 2026-01-01")
        cancelled = await bench.services.backfills.cancel(bench.viewer, backfill.id)
        assert cancelled.cancel_requested
        assert (await end_of(bench, backfill)).status is BackfillStatus.CANCELLED
    assert await standing(bench, backfill) == Standing(waiting=0, runs={RunStatus.CANCELLED: 1})
    with pytest.raises(IllegalStateError, match="CANCELLED"):
        await bench.services.backfills.cancel(bench.viewer, backfill.id)
    again = Range(start=FIRST + DAY, end=FIRST + DAY)
    async with platform(bench):
        assert (await end_of(bench, await start(bench, playground, again))).status is BackfillStatus.SUCCESS


async def test_cancelling_before_a_worker_comes_ends_the_backfill_at_once(bench: Workbench) -> None:
    playground = await daily(bench)
    backfill = await start(bench, playground, days(5), at_once=3)
    cancelled = await bench.services.backfills.cancel(bench.viewer, backfill.id)
    assert cancelled.status is BackfillStatus.CANCELLED
    assert await standing(bench, backfill) == Standing(waiting=0, runs={RunStatus.CANCELLED: 3})
    await bench.services.playgrounds.delete(bench.viewer, playground.id)


async def test_the_cancelling_of_one_run_leaves_the_others(bench: Workbench) -> None:
    playground = await daily(bench)
    bench.cluster.plan("a 2026-01-01", until=asyncio.Event())
    async with platform(bench):
        backfill = await start(bench, playground, days(3))
        await bench.cluster.until_submitted("a 2026-01-01")
        (run,) = await runs_of(bench, backfill)
        await bench.services.runs.cancel(bench.viewer, run.id)
        assert (await end_of(bench, backfill)).status is BackfillStatus.PARTIAL_SUCCESS
    assert (await standing(bench, backfill)).runs == {RunStatus.CANCELLED: 1, RunStatus.SUCCESS: 2}


async def test_a_backfill_goes_on_after_every_ring_was_lost(bench: Workbench) -> None:
    """Whoever looks, however often and however many at once, launches the next fires once."""
    playground = await daily(bench)
    backfill = await start(bench, playground, days(4), at_once=2)
    other = await bench.another_process()
    services = (bench.services.backfills, other.services.backfills)
    async with bench.worker():
        for _ in range(2):
            for run in await runs_of(bench, backfill):
                await bench.end_of(run)
            assert not (await fresh(bench, backfill)).status.ended
            await asyncio.gather(*(service.advance_all() for service in services * 3))
    assert (await fresh(bench, backfill)).status is BackfillStatus.SUCCESS
    assert [run.scheduled_for for run in await runs_of(bench, backfill)] == [
        FIRST + number * DAY for number in range(4)
    ]
    assert await bench.services.backfills.advance_all() == 0


async def test_a_fire_that_cannot_be_launched_is_recorded_and_the_others_go_on(bench: Workbench) -> None:
    playground = await daily(bench)
    backfill = await start(bench, playground, days(3))
    (run,) = await runs_of(bench, backfill)
    (task_run,) = (await bench.task_runs(run)).values()
    async with bench.worker():
        await bench.end_of(run)
    assert task_run.task_id is not None
    await bench.services.tasks.delete(bench.viewer, task_run.task_id)
    await bench.services.backfills.advance_all()
    ended = await fresh(bench, backfill)
    assert ended.status is BackfillStatus.PARTIAL_SUCCESS
    skipped = (await runs_of(bench, backfill))[1:]
    assert [(run.status, run.trigger) for run in skipped] == [(RunStatus.CANCELLED, RunTrigger.BACKFILL)] * 2
    assert all(run.message and run.message.startswith("Skipped. The playground has no tasks") for run in skipped)


async def test_a_schedule_and_backfills_may_run_the_same_fire_but_each_only_once(bench: Workbench) -> None:
    playground = await daily(bench)
    backfill_id = new_id()
    launches = [
        Launch(trigger=RunTrigger.SCHEDULED, scheduled_for=FIRST),
        Launch(trigger=RunTrigger.BACKFILL, scheduled_for=FIRST, backfill_id=backfill_id),
        Launch(trigger=RunTrigger.BACKFILL, scheduled_for=FIRST, backfill_id=new_id()),
    ]

    async def record(launch: Launch) -> None:
        async def work(unit: UnitOfWork) -> None:
            ledger = await unit.open_ledger(playground.id)
            assert ledger is not None
            start_ = Start(ledger=ledger, run_id=new_id(), launch=launch)
            await record_skipped(unit, {start_: "a test"}, at=utc_now())

        await bench.database.write(work)

    for launch in launches:
        await record(launch)
    for launch in launches[:2]:
        with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
            await record(launch)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("span", "at_once", "code", "path"),
    [
        (Range(start=FIRST + DAY, end=FIRST), 1, ErrorCode.INVALID, ("from",)),
        (Range(start=FIRST, end=datetime.now(UTC) + DAY), 1, ErrorCode.INVALID, ("until",)),
        (Range(start=FIRST + timedelta(hours=1), end=FIRST + timedelta(hours=2)), 1, ErrorCode.INVALID, ("from",)),
        (Range(start=FIRST - 40 * 366 * DAY, end=FIRST), 1, ErrorCode.TOO_LARGE, ("until",)),
        (days(2), 0, ErrorCode.INVALID, ("maxConcurrentRuns",)),
        (days(2), 51, ErrorCode.INVALID, ("maxConcurrentRuns",)),
    ],
    ids=["reversed", "future", "no fire", "too many", "none at once", "too many at once"],
)
async def test_a_range_that_cannot_be_is_refused(
    bench: Workbench, span: Range, at_once: int, code: ErrorCode, path: tuple[str, ...]
) -> None:
    playground = await daily(bench)
    with pytest.raises(DomainError) as refused:
        await start(bench, playground, span, at_once=at_once)
    assert (refused.value.code, refused.value.path) == (code, path)
    if code is ErrorCode.TOO_LARGE:
        assert str(MAX_FIRES) in refused.value.message


async def test_a_playground_backfills_once_at_a_time_and_is_not_deleted_meanwhile(bench: Workbench) -> None:
    playground = await daily(bench)
    backfill = await start(bench, playground, days(2))
    with pytest.raises(ConflictError, match="backfill"):
        await start(bench, playground, days(2))
    async with bench.worker():
        (run,) = await runs_of(bench, backfill)
        await bench.end_of(run)
    with pytest.raises(ConflictError, match="backfill"):
        await bench.services.playgrounds.delete(bench.viewer, playground.id)
    await bench.services.backfills.cancel(bench.viewer, backfill.id)
    await bench.services.playgrounds.delete(bench.viewer, playground.id)
    assert await bench.services.backfills.get(bench.viewer, backfill.id) is None


async def test_what_cannot_be_launched_at_all_is_not_started(bench: Workbench) -> None:
    unscheduled, _ = await bench.graph({"a": ""})
    with pytest.raises(ConflictError, match="no schedule"):
        await start(bench, unscheduled, days(2))
    empty = await bench.playground()
    await bench.services.playgrounds.update(bench.viewer, empty.id, schedule=Schedule(cron="@daily"))
    with pytest.raises(InvalidError, match="no tasks"):
        await start(bench, empty, days(2))
    row = await bench.services.playgrounds.get(bench.viewer, empty.id)
    assert row is not None
    assert row.active_backfill_id is None


async def test_a_backfill_is_its_owners_alone(bench: Workbench) -> None:
    playground = await daily(bench)
    stranger = await bench.person()
    with pytest.raises(NotFoundError):
        await bench.services.backfills.start(stranger, playground.id, days(2))
    backfill = await start(bench, playground, days(2))
    assert await bench.services.backfills.get(stranger, backfill.id) is None
    with pytest.raises(NotFoundError):
        await bench.services.backfills.cancel(stranger, backfill.id)


async def test_a_backfill_whose_fires_vanished_still_ends(bench: Workbench) -> None:
    playground = await daily(bench)
    backfill = await start(bench, playground, days(3))

    async def lose(unit: UnitOfWork) -> None:
        await unit._session.execute(delete(BackfillFire))

    await bench.database.write(lose)
    async with bench.worker():
        for run in await runs_of(bench, backfill):
            await bench.end_of(run)
    await bench.services.backfills.advance_all()
    assert (await fresh(bench, backfill)).status is BackfillStatus.SUCCESS
