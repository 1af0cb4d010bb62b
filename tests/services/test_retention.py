"""Retention: what is old goes with its files, little by little; the last good outputs and what is referred to stay."""

import asyncio
from datetime import timedelta

import pytest

from app.domain.errors import NotFoundError, PrunedError
from app.domain.identity import utc_now
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.retention import SETTLED, Rules
from app.outputs.locations import differences_location
from app.services.discards import DiscardService
from app.services.reconciliations import Comparison
from app.services.retention import Pruned, RetentionService
from app.store.unit_of_work import UnitOfWork
from tests.services.retained import (
    DAY,
    OLD,
    file_of,
    numbers,
    old_runs,
    output,
    pair,
    prune,
    root,
    row_of,
    write,
)
from tests.support.workbench import Workbench

pytestmark = pytest.mark.usefixtures("in_haste")


# ---- runs


async def test_nothing_is_deleted_where_no_rule_is_set(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    await old_runs(bench, playground, 3)
    assert await prune(bench) == Pruned()
    assert await numbers(bench, playground) == [1, 2, 3]


async def test_old_runs_go_with_all_that_is_theirs_and_the_newest_stays(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a"})
    runs = await old_runs(bench, playground, 4)
    outputs = [await output(bench, run) for run in runs]
    pruned = await prune(bench, max_age=DAY)
    assert (pruned.runs, await numbers(bench, playground)) == (3, [4])
    assert [file_of(bench, row).exists() for row in outputs] == [False, False, False, True]
    assert not file_of(bench, outputs[0]).parents[2].exists()  # no empty folders are left
    for table, mine in (("task_run", "run_id"), ("event", "run_id")):
        count = await bench.scalar(f"SELECT count(DISTINCT {mine}) FROM {table}")
        assert count == 1
    assert await bench.scalar("SELECT count(*) FROM task_attempt") == 2
    assert await bench.scalar("SELECT count(*) FROM discarded_file") == 0
    assert await prune(bench, max_age=DAY) == Pruned()


async def test_runs_beyond_the_number_that_is_kept_go_once_they_have_settled(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    other, _ = await bench.graph({"a": ""})
    await old_runs(bench, playground, 5)
    await old_runs(bench, other, 2)
    async with bench.worker():
        await bench.run(playground)
    assert (await prune(bench, max_runs=2)).runs == 4
    assert await numbers(bench, playground) == [5, 6]
    assert await numbers(bench, other) == [1, 2]
    await prune(bench, max_runs=1)
    assert await numbers(bench, playground) == [6]


async def test_a_run_that_has_just_ended_stays_for_those_who_follow_it(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    async with bench.worker():
        runs = [await bench.run(playground) for _ in range(3)]
    assert await prune(bench, max_runs=1) == Pruned()
    await bench.age("run", "ended_at", SETTLED * 1.1, [run.id for run in runs])
    assert (await prune(bench, max_runs=1)).runs == 2


async def test_failure_never_wipes_the_last_good_output(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    good, _ = await old_runs(bench, playground, 2)
    await write(bench, f"UPDATE run SET status = 'FAILED' WHERE id <> '{good.id.hex}'")
    newest = f"SELECT id FROM run WHERE playground_id = '{playground.id.hex}' AND number = 2"
    await write(bench, f"UPDATE task_run SET status = 'FAILED', output_location = NULL WHERE run_id = ({newest})")
    await prune(bench, max_age=DAY, max_runs=1, max_output_age=DAY)
    assert await numbers(bench, playground) == [1, 2]
    assert file_of(bench, await output(bench, good)).exists()
    await bench.services.tasks.delete(bench.viewer, tasks["a"].id)
    assert file_of(bench, await output(bench, good, "b")).exists()


async def test_each_task_keeps_its_own_newest_good_output(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": ""})
    first, _, _ = await old_runs(bench, playground, 3)
    a_only = "SELECT id FROM run WHERE number > 1"
    await write(
        bench,
        f"UPDATE task_run SET status = 'SKIPPED', output_location = NULL WHERE name = 'b' AND run_id IN ({a_only})",
    )
    await prune(bench, max_age=DAY, max_output_age=DAY)
    assert await numbers(bench, playground) == [1, 3]
    assert file_of(bench, await output(bench, first, "b")).exists()
    assert not file_of(bench, await output(bench, first, "a")).exists()


async def test_a_run_that_is_on_is_never_touched(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    run = await bench.launch(playground)
    await bench.age("run", "created_at", OLD, [run.id])
    assert await prune(bench, max_age=DAY, max_runs=1, max_log_age=DAY, max_output_age=DAY) == Pruned()
    async with bench.worker():
        await bench.end_of(run)


async def test_a_cursor_from_before_what_was_pruned_goes_on_behind_it(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    first, second = await old_runs(bench, playground, 2)
    everything = await bench.events_to_end(second)
    await prune(bench, max_age=DAY)
    with pytest.raises(NotFoundError):
        await bench.events_to_end(first)
    feed = bench.services.run_feeds.playground(bench.viewer, playground.id, after=1)
    batch = await anext(feed)
    assert [row.sequence for row in batch.rows] == [row.sequence for row in everything]
    await feed.aclose()


# ---- logs and outputs of runs that stay


async def test_old_logs_go_and_runs_stay(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    old, young = await old_runs(bench, playground, 2)
    await bench.age("run", "ended_at", timedelta(), [young.id])
    rows = [await output(bench, run) for run in (old, young)]

    async def work(unit: UnitOfWork) -> None:
        for row in rows:
            lines = [
                {
                    "task_run_id": row.id,
                    "sequence": 100 + n,
                    "attempt": 1,
                    "at": utc_now(),
                    "stream": "engine",
                    "text": "x",
                }
                for n in range(10)
            ]
            await unit.logs.append(lines)

    await bench.database.write(work)
    before = len(await bench.log_of(rows[1]))
    pruned = await prune(bench, max_log_age=DAY)
    assert pruned.log_lines >= 10
    assert await bench.log_of(rows[0]) == []
    assert len(await bench.log_of(rows[1])) == before
    assert await numbers(bench, playground) == [1, 2]
    assert file_of(bench, rows[0]).exists()


async def test_an_old_output_goes_and_says_so(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})
    old, newest = await old_runs(bench, playground, 2)
    assert (await prune(bench, max_output_age=DAY)).outputs == 1
    row, kept = await output(bench, old), await output(bench, newest)
    assert row.output_pruned_at is not None
    assert (file_of(bench, row).exists(), file_of(bench, kept).exists()) == (False, True)
    assert row.output_location is not None
    with pytest.raises(PrunedError, match="by the rules of retention; run the task again"):
        await bench.services.runs.by_output(bench.viewer, row.output_location)
    reconciliation = await bench.services.reconciliations.create(
        bench.viewer, playground.id, left_task_id=tasks["a"].id, right_task_id=tasks["a"].id,
        mapping=[ColumnMapping(left="one", right="one")], options=ReconciliationOptions(),
    )  # fmt: skip
    with pytest.raises(PrunedError) as refusal:
        await bench.services.reconciliations.launch(
            bench.viewer, reconciliation.id, Comparison(left_task_run_id=row.id)
        )
    assert refusal.value.path == ("leftTaskRunId",)
    assert await prune(bench, max_output_age=DAY) == Pruned()


async def test_an_output_that_a_younger_run_has_carried_over_stays_until_that_is_old_as_well(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    origin, resumed, newest = await old_runs(bench, playground, 3)
    source = await output(bench, origin)
    await write(bench, f"UPDATE run SET resumed_from_id = '{origin.id.hex}' WHERE id = '{resumed.id.hex}'")
    await write(
        bench,
        f"UPDATE task_run SET carried_over = 1, output_of_id = '{source.id.hex}', "
        f"output_location = '{source.output_location}' WHERE run_id = '{resumed.id.hex}'",
    )
    await bench.age("run", "ended_at", timedelta(hours=1), [resumed.id])
    assert (await prune(bench, max_output_age=DAY)).outputs == 0
    assert (await prune(bench, max_age=DAY)).runs == 1  # the row goes, the file stays with who names it
    assert file_of(bench, source).exists()
    await bench.age("run", "ended_at", OLD, [resumed.id])
    assert (await prune(bench, max_age=DAY)).runs == 1
    assert not file_of(bench, source).exists()
    assert file_of(bench, await output(bench, newest)).exists()


# ---- crashes, and several at once


async def test_a_file_whose_deleter_was_killed_is_deleted_by_the_next(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    first, _ = await old_runs(bench, playground, 2)
    path = file_of(bench, await output(bench, first))
    await RetentionService(database=bench.database, rules=Rules(max_age=DAY)).prune()  # killed before it clears
    assert path.exists()
    assert await DiscardService(database=bench.database, outputs=bench.process.outputs).clear() == 1
    assert not path.exists()


async def test_a_file_that_cannot_be_deleted_now_is_tried_again(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, _ = await bench.graph({"a": ""})
    await old_runs(bench, playground, 3)
    outputs = bench.process.outputs
    with monkeypatch.context() as patch:

        async def refuse(_prefix: str) -> None:
            raise PermissionError("no")

        patch.setattr(outputs, "delete", refuse)
        assert (await prune(bench, max_age=DAY)).runs == 2
    assert await bench.scalar("SELECT count(*) FROM discarded_file") == 2
    assert await DiscardService(database=bench.database, outputs=outputs).clear() == 2


async def test_what_a_lost_attempt_has_left_goes_with_its_run(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    first, _ = await old_runs(bench, playground, 2)
    path = file_of(bench, await output(bench, first))
    stray = path.parents[1] / "2" / "output.csv"
    stray.parent.mkdir()
    stray.write_text("one\n")
    await prune(bench, max_age=DAY)
    assert not stray.exists()


async def test_two_passes_at_once_delete_everything_once(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    await old_runs(bench, playground, 8)
    other = await bench.another_process()
    services = [
        RetentionService(database=process.database, rules=Rules(max_age=DAY)) for process in (bench.process, other)
    ]
    passes = await asyncio.gather(*(service.prune() for service in services))
    assert sum(each.runs for each in passes) == 7
    assert await numbers(bench, playground) == [8]


async def test_runs_go_on_while_old_ones_are_deleted(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a"})
    await old_runs(bench, playground, 6)
    pruning = asyncio.create_task(prune(bench, max_age=DAY))
    async with bench.worker():
        for _ in range(3):
            await bench.run(playground)
    assert (await pruning).runs >= 5
    assert (await numbers(bench, playground))[-3:] == [7, 8, 9]


async def test_a_deleted_reconciliation_and_a_deleted_playground_leave_no_file(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    (run,) = await old_runs(bench, playground, 1)
    row = await output(bench, run)
    run_id = await pair(bench, playground, row, row, status="SUCCESS", age=OLD)
    await bench.services.reconciliations.delete(bench.viewer, (await row_of(bench, run_id)).reconciliation_id)
    await prune(bench)
    assert not (root(bench) / differences_location(run_id)).exists()
    await bench.services.playgrounds.delete(bench.viewer, playground.id)
    assert not file_of(bench, row).exists()
    await prune(bench)
    assert await bench.scalar("SELECT count(*) FROM discarded_file") == 0


def test_an_age_that_is_set_is_never_shorter_than_it_takes_to_see_the_end() -> None:
    rules = Rules(max_age=timedelta(seconds=1), max_log_age=timedelta(seconds=1))
    assert not rules.deletes(SETTLED / 2, newer=0)
    assert not rules.deletes_logs(SETTLED / 2)
    assert rules.youngest == SETTLED
    assert not Rules()
