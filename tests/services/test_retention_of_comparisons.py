"""Retention of comparisons: they go with their files, and keep the runs of their sides until then."""

import pytest

from app.outputs.locations import differences_location
from app.services.retention import Pruned
from tests.services.retained import DAY, OLD, file_of, numbers, old_runs, output, pair, pair_run, prune, root, row_of
from tests.support.workbench import Workbench

pytestmark = pytest.mark.usefixtures("in_haste")


async def test_a_comparison_in_the_history_keeps_the_runs_of_its_sides_until_it_goes_itself(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    first, second, _ = await old_runs(bench, playground, 3)
    left, right = await output(bench, first), await output(bench, second)
    old = await pair(bench, playground, left, right, status="SUCCESS", age=OLD)
    (reconciliation_id,) = {(await row_of(bench, old)).reconciliation_id}
    newest = await pair_run(bench, reconciliation_id, right, right, status="FAILED", age=OLD)
    pruned = await prune(bench, max_age=DAY)
    assert pruned.reconciliation_runs == 1
    assert await numbers(bench, playground) == [2, 3]  # the newest comparison is kept, and with it its side
    assert not (root(bench) / differences_location(old)).exists()
    assert (root(bench) / differences_location(newest)).exists()


async def test_an_old_file_of_differences_goes_and_the_result_stays(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    (run,) = await old_runs(bench, playground, 1)
    row = await output(bench, run)
    old = await pair(bench, playground, row, row, status="SUCCESS", age=OLD)
    newest = await pair_run(bench, (await row_of(bench, old)).reconciliation_id, row, row, status="SUCCESS", age=OLD)
    assert (await prune(bench, max_output_age=DAY)).outputs == 1
    assert (await row_of(bench, old)).differences_pruned_at is not None
    assert (await row_of(bench, newest)).differences_pruned_at is None
    assert not (root(bench) / differences_location(old)).exists()


async def test_the_sides_of_a_comparison_that_is_on_stay(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    first, second, _ = await old_runs(bench, playground, 3)
    left, right = await output(bench, first), await output(bench, second)
    await pair(bench, playground, left, right, status="PENDING", age=OLD)
    assert await prune(bench, max_age=DAY, max_output_age=DAY) == Pruned()
    assert file_of(bench, left).exists()
    assert file_of(bench, right).exists()
