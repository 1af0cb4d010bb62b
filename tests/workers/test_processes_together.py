"""Whole workers and schedulers in one event loop: they heal what is lost, and leave nothing behind when they stop."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.schedule import Schedule
from app.domain.status import ReconciliationStatus, RunStatus
from app.services import recovery
from app.services.leases import Lease
from app.services.reconciliations import Comparison
from app.store.database import DatabaseAwayError
from app.store.pages import PageRequest
from tests.support.workbench import Workbench, flush
from workers import scheduler as scheduler_module
from workers.scheduler import SchedulerProcess


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeps often, and takes what waits for loss soon."""
    monkeypatch.setattr(scheduler_module, "SWEEP_INTERVAL", timedelta(milliseconds=50))
    monkeypatch.setattr(scheduler_module, "LONGEST_SLEEP", timedelta(milliseconds=50))
    monkeypatch.setattr(recovery, "LOST_AFTER", timedelta(milliseconds=200))


@pytest.mark.usefixtures("impatient")
async def test_a_run_ends_although_redis_forgets_everything_again_and_again(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", **{f"b{n}": "a" for n in range(4)}, "c": "b0 b1 b2 b3"})
    done = asyncio.Event()

    async def forget() -> None:
        while not done.is_set():
            flush(bench.process.settings.redis_url)
            await asyncio.sleep(0.02)

    forgetting = asyncio.create_task(forget())
    async with bench.worker(), SchedulerProcess(bench.process).running():
        run = await bench.launch(playground)
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    done.set()
    await forgetting
    assert sorted(text for text, _ in bench.cluster.submitted) == ["a", "b0", "b1", "b2", "b3", "c"]


@pytest.mark.usefixtures("impatient")
async def test_a_run_ends_although_its_workers_die_one_after_the_other(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a", "c": "b"})
    gates = {name: bench.cluster.plan(name, until=asyncio.Event()) for name in "abc"}
    async with SchedulerProcess(bench.process).running():
        run = await bench.launch(playground)
        left = []
        for name in "ab":
            hand = await bench.hand()
            rows = await bench.task_runs(run)
            step = hand.start(run) if name == "a" else hand.execute(rows["a"].id)
            left.append(asyncio.create_task(step))
            await bench.cluster.until_submitted("a", times=len(left))
            await hand.die()
        for plan in gates.values():
            assert plan.until is not None
            plan.until.set()
        async with bench.worker():
            assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    await asyncio.gather(*left)


@pytest.mark.usefixtures("impatient")
async def test_schedulers_fire_while_workers_run(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron="* * * * * *"))
    async with (
        bench.worker(),
        SchedulerProcess(bench.process).running(),
        SchedulerProcess(await bench.another_process()).running(),
    ):

        async def fired() -> bool:
            page = await bench.services.runs.page(playground.id, PageRequest(size=10))
            return any(run.status is RunStatus.SUCCESS for run in page.rows)

        await bench.until(fired)
    page = await bench.services.runs.page(playground.id, PageRequest(size=100))
    times = [run.scheduled_for for run in page.rows]
    assert len(set(times)) == len(times)


async def test_a_comparison_is_done_by_a_worker_and_told_to_its_end(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    bench.cluster.plan("a", rows=((1,), (2,)))
    bench.cluster.plan("b", rows=((2,), (3,), (3,)))
    pairs = bench.services.reconciliations
    async with bench.worker():
        await bench.run(playground)
        pair = await pairs.create(
            bench.viewer, playground.id, left_task_id=tasks["a"].id, right_task_id=tasks["b"].id,
            mapping=[ColumnMapping(left="one", right="one")], options=ReconciliationOptions(),
        )  # fmt: skip
        run = await pairs.launch(bench.viewer, pair.id, Comparison())
        statuses = []
        async with asyncio.timeout(20):
            async for batch in pairs.follow(bench.viewer, run.id, after=None):
                statuses += [row.status for row in batch.rows]
    assert statuses[0] is ReconciliationStatus.PENDING
    assert statuses[-1] is ReconciliationStatus.SUCCESS
    done = await pairs.run(bench.viewer, run.id)
    assert done is not None
    assert done.result is not None
    assert (done.result["common_row_count"], done.result["left_only_row_count"]) == (1, 1)
    assert done.result["right_only_row_count"] == 2


async def test_a_worker_leaves_no_task_and_no_row_behind(bench: Workbench) -> None:
    before = asyncio.all_tasks()
    async with bench.worker(), bench.worker(), SchedulerProcess(bench.process).running():
        assert await bench.scalar("SELECT count(*) FROM worker") == 3

    async def no_task_is_left() -> bool:
        return not asyncio.all_tasks() - before

    await bench.until(no_task_is_left)
    assert await bench.scalar("SELECT count(*) FROM worker") == 0
    assert not bench.process.bell._listeners


@pytest.mark.parametrize("error", [PoolTimeoutError(), DatabaseAwayError(), OSError("away")])
async def test_a_lease_outlives_a_database_that_is_away_for_a_while(
    bench: Workbench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand = await bench.hand()
    beat, beats = Lease.beat, []

    async def failing(lease: Lease) -> None:
        beats.append(1)
        if len(beats) <= 2:
            raise error
        await beat(lease)

    monkeypatch.setattr(Lease, "beat", failing)
    keeping = asyncio.create_task(hand.lease.keep())

    async def goes_on() -> bool:
        return len(beats) > 3

    await bench.until(goes_on)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
