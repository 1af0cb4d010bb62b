"""Comparisons that follow runs: each pair whose tasks have succeeded, once, and never to the harm of the run."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.schedule import Schedule
from app.domain.status import ReconciliationStatus, RunStatus, TaskRunStatus
from app.engines.base import EngineError
from app.services.backfills import Range
from tests.services.compared import ended, following, pair_of
from tests.support.workbench import Workbench, flush

one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def test_each_pair_is_compared_after_each_run_with_the_outputs_of_that_run(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "", "c": ""})
    bench.cluster.plan("b", rows=((2,),))
    pairs = [await pair_of(bench, playground, tasks["a"], tasks[name]) for name in "bc"]
    async with bench.worker():
        for _ in range(2):
            run = await bench.run(playground)
            assert run.status is RunStatus.SUCCESS
            rows = await bench.task_runs(run)
            found = {row.reconciliation_id: await ended(bench, row.id) for row in await following(bench, run)}
            assert set(found) == {pair.id for pair in pairs}
            for pair, name, matched in zip(pairs, "bc", (False, True), strict=True):
                row = found[pair.id]
                assert (row.left_task_run_id, row.right_task_run_id) == (rows["a"].id, rows[name].id)
                assert row.result is not None
                assert (row.status, row.result["matched"]) == (ReconciliationStatus.SUCCESS, matched)
                assert row.result["warnings"] == []


@one_database
async def test_a_pair_without_both_outputs_is_left_out_and_the_others_are_not(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "", "c": ""})
    bench.cluster.plan("c", failures=[EngineError("no")])
    whole = await pair_of(bench, playground, tasks["a"], tasks["b"])
    await pair_of(bench, playground, tasks["a"], tasks["c"])
    await pair_of(bench, playground, tasks["a"], tasks["a"])  # for comparing two runs of a task
    async with bench.worker():
        run = await bench.run(playground)
        limited = await bench.run(playground, task_ids=[tasks["b"].id])
        both = await bench.run(playground, task_ids=[tasks["b"].id, tasks["a"].id])
    assert run.status is RunStatus.PARTIAL_SUCCESS
    assert [row.reconciliation_id for row in await following(bench, run)] == [whole.id]
    assert await following(bench, limited) == []
    assert [row.reconciliation_id for row in await following(bench, both)] == [whole.id]


@one_database
async def test_a_resumed_run_compares_what_it_carries_over_and_says_so(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    bench.cluster.plan("b", failures=[EngineError("no")])
    await pair_of(bench, playground, tasks["a"], tasks["b"])
    async with bench.worker():
        run = await bench.run(playground)
        resumed = await bench.end_of(await bench.services.resuming.resume(bench.viewer, run.id))
        (comparison,) = await following(bench, resumed)
        done = await ended(bench, comparison.id)
    assert done.left_task_run_id == (await bench.task_runs(resumed))["a"].id
    assert done.result is not None
    assert done.result["warnings"] == ["The left output was made in run 1, and carried over into run 2."]


@one_database
async def test_every_run_of_a_backfill_is_followed(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    await pair_of(bench, playground, tasks["a"], tasks["b"])
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron="0 0 * * *"))
    first = datetime(2026, 1, 1, tzinfo=UTC)
    async with bench.worker():
        backfill = await bench.services.backfills.start(
            bench.viewer, playground.id, Range(start=first, end=first + timedelta(days=2))
        )

        async def over() -> bool:
            await bench.services.backfills.advance_all()
            row = await bench.services.backfills.get(bench.viewer, backfill.id)
            return row is not None and row.ended_at is not None

        await bench.until(over)
    assert await bench.scalar("SELECT count(DISTINCT run_id) FROM reconciliation_run") == 3
    assert await bench.scalar("SELECT count(*) FROM reconciliation_run") == 3


@one_database
async def test_nothing_follows_a_run_that_was_cancelled(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "", "c": ""})
    bench.cluster.plan("c", until=asyncio.Event())
    await pair_of(bench, playground, tasks["a"], tasks["b"])
    async with bench.worker():
        run = await bench.launch(playground)
        for name in "ab":
            await bench.until_status(run, name, TaskRunStatus.SUCCESS)
        await bench.services.runs.cancel(bench.viewer, run.id)
        assert (await bench.end_of(run)).status is RunStatus.CANCELLED
    assert await following(bench, run) == []


@one_database
async def test_a_comparison_that_fails_leaves_its_run_as_it_was(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    await pair_of(bench, playground, tasks["a"], tasks["b"], column="two")
    async with bench.worker():
        run = await bench.run(playground)
        (comparison,) = await following(bench, run)
        failed = await ended(bench, comparison.id)
        assert (await bench.run(playground)).status is RunStatus.SUCCESS
    assert (failed.status, failed.error_code) == (ReconciliationStatus.FAILED, "INVALID")
    assert "has no column 'two'" in (failed.error_message or "")
    assert (await bench.row(run)).status is RunStatus.SUCCESS


async def test_what_follows_a_run_is_done_although_the_worker_dies_and_redis_forgets(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "a"})
    await pair_of(bench, playground, tasks["a"], tasks["b"])
    hand = await bench.hand(await bench.another_process())
    deliver = hand.process.database._deliver

    async def silent(_outbox: object) -> None:
        """As a worker that is killed right after the commit."""

    run = await bench.launch(playground)
    monkeypatch.setattr(hand.process.database, "_deliver", silent)
    await hand.start(run)
    monkeypatch.setattr(hand.process.database, "_deliver", deliver)
    assert (await bench.row(run)).status is RunStatus.SUCCESS
    (comparison,) = await following(bench, run)
    flush(bench.process.settings.redis_url)
    await bench.age("reconciliation_run", "created_at", timedelta(seconds=5), [comparison.id])
    async with bench.worker():
        await bench.sweep()
        assert (await ended(bench, comparison.id)).status is ReconciliationStatus.SUCCESS


async def test_a_run_whose_end_is_written_twice_is_followed_once(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a commit whose answer was lost."""
    playground, tasks = await bench.graph({"a": "", "b": "a"})
    await pair_of(bench, playground, tasks["a"], tasks["b"])
    hand = await bench.hand()
    conclude, ends = hand.execution._conclude, []

    async def twice(alone, some):
        ends.append(len(some))
        outcomes = await conclude(alone, some)
        await conclude(alone, some)
        return outcomes

    monkeypatch.setattr(hand.execution._ended, "_commit", twice)
    run = await bench.launch(playground)
    await hand.start(run)
    assert (await bench.row(run)).status is RunStatus.SUCCESS
    assert ends
    assert len(await following(bench, run)) == 1
