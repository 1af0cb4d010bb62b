"""What a comparison is refused for before anything is compared, and what is said of outputs that are stale."""

import asyncio
from datetime import timedelta

import pytest

from app.domain.errors import ConflictError, InvalidError, NotFoundError, PrunedError
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.retention import Rules
from app.models import Playground, ReconciliationRun, Task
from app.services.retention import RetentionService
from tests.services.compared import ended, launched, pair_of
from tests.support.workbench import Workbench

OLD = timedelta(days=9)

one_database = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


async def two_tasks(bench: Workbench) -> tuple[Playground, Task, Task]:
    playground, tasks = await bench.graph({"a": "", "b": ""})
    return playground, tasks["a"], tasks["b"]


async def warnings_of(bench: Workbench, run: ReconciliationRun) -> list[str]:
    done = await ended(bench, run.id)
    assert done.result is not None, done.error_message
    warnings: list[str] = done.result["warnings"]
    return warnings


@one_database
async def test_a_column_that_an_output_does_not_have_is_refused_with_its_place(bench: Workbench) -> None:
    playground, left, right = await two_tasks(bench)
    pair = await pair_of(bench, playground, left, right)
    mapping = [ColumnMapping(left="one", right="one"), ColumnMapping(left="ones", right="two")]
    await bench.services.reconciliations.update(bench.viewer, pair.id, mapping=mapping)
    async with bench.worker():
        await bench.run(playground)
    with pytest.raises(InvalidError, match=r"The left side \(«a»\) has no column 'ones'. It has: 'one'.") as refused:
        await launched(bench, pair)
    assert refused.value.path == ("mapping", "1", "left")


@one_database
async def test_outputs_of_others_of_nobody_and_of_failures_are_refused(bench: Workbench) -> None:
    playground, left, right = await two_tasks(bench)
    elsewhere, other, _ = await two_tasks(bench)
    pair = await pair_of(bench, playground, left, right)
    with pytest.raises(ConflictError, match="«a» has no output yet"):
        await launched(bench, pair)
    async with bench.worker():
        rows = await bench.task_runs(await bench.run(playground))
        foreign = await bench.task_runs(await bench.run(elsewhere))
        skipped = await bench.task_runs(await bench.run(playground, task_ids=[left.id]))
    for id_ in (rows["a"].id, foreign["b"].id, pair.id):
        with pytest.raises(NotFoundError, match="no run of the right task") as refused:
            await launched(bench, pair, right_task_run_id=id_)
        assert refused.value.path == ("rightTaskRunId",)
    with pytest.raises(ConflictError, match="it is SKIPPED"):
        await launched(bench, pair, right_task_run_id=skipped["b"].id)
    with pytest.raises(NotFoundError) as refused:
        await bench.services.reconciliations.create(
            bench.viewer, playground.id, left_task_id=left.id, right_task_id=other.id,
            mapping=[ColumnMapping(left="one", right="one")], options=ReconciliationOptions(),
        )  # fmt: skip
    assert refused.value.path == ("rightTaskId",)


@one_database
async def test_an_output_that_was_pruned_is_refused_and_one_that_a_comparison_used_says_so(bench: Workbench) -> None:
    playground, left, right = await two_tasks(bench)
    pair = await pair_of(bench, playground, left, right)
    async with bench.worker():
        run = await bench.run(playground)
        rows = await bench.task_runs(run)
        compared = await launched(bench, pair)
        await ended(bench, compared.id)
        await bench.run(playground)
    await bench.age("run", "ended_at", OLD, [run.id])
    rules = Rules(max_output_age=timedelta(days=1))
    await RetentionService(database=bench.database, rules=rules).prune()
    with pytest.raises(PrunedError, match="run the task again") as refused:
        await launched(bench, pair, left_task_run_id=rows["a"].id)
    assert refused.value.path == ("leftTaskRunId",)
    sides = (await bench.services.runs.task_runs([compared.left_task_run_id])).values()
    assert all(row.output_pruned_at is not None for row in sides)


async def test_a_key_gives_its_comparison_again_also_to_those_who_ask_at_once(bench: Workbench) -> None:
    playground, left, right = await two_tasks(bench)
    pair = await pair_of(bench, playground, left, right)
    async with bench.worker():
        await bench.run(playground)
    seen = await asyncio.gather(*(launched(bench, pair, idempotency_key="once") for _ in range(5)))
    assert len({run.id for run in seen}) == 1
    assert (await launched(bench, pair, idempotency_key="twice")).id != seen[0].id


@one_database
async def test_a_stale_side_is_said_with_what_became_of_its_task_since(bench: Workbench) -> None:
    playground, left, right = await two_tasks(bench)
    pair = await pair_of(bench, playground, left, right)
    async with bench.worker():
        first = await bench.task_runs(await bench.run(playground))
        assert await warnings_of(bench, await launched(bench, pair)) == []
        await bench.run(playground, task_ids=[right.id])
        stale = await warnings_of(bench, await launched(bench, pair))
        old = await warnings_of(
            bench, await launched(bench, pair, left_task_run_id=first["a"].id, right_task_run_id=first["b"].id)
        )
    assert stale == [
        "The outputs are of different runs: the left one of run 1, the right one of run 2.",
        "The left output is stale: run 2 is newer, and there «a» was SKIPPED.",
    ]
    assert old == [
        "The left output is stale: run 2 is newer, and there «a» was SKIPPED.",
        "The right output is stale: run 2 is newer, and there «b» has made another output.",
    ]
