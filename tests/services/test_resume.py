"""Resuming: what succeeded and has not changed keeps its output, the rest runs, and shared outputs stay."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from app.domain.errors import ConflictError, IllegalStateError, NotFoundError
from app.domain.parameters import ParameterValue
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.engines.base import TerminalEngineError
from app.models import Playground, Run, Task
from app.services.tasks import TaskDraft
from app.store.unit_of_work import UnitOfWork
from tests.support.workbench import Workbench

GRAPH = {"a": "", "b": "a", "c": "a", "d": "b c", "e": ""}


def broken() -> TerminalEngineError:
    return TerminalEngineError("no such table", code="NOT_FOUND")


async def failed_run(
    bench: Workbench, edges: dict[str, str] = GRAPH, *, at: str = "b"
) -> tuple[Playground, dict[str, Task], Run]:
    """A run in which one task has failed, once."""
    playground, tasks = await bench.graph(edges)
    bench.cluster.plan(at, failures=[broken()])
    async with bench.worker():
        run = await bench.run(playground)
    bench.cluster.submitted.clear()
    return playground, tasks, run


async def resumed(bench: Workbench, run: Run) -> Run:
    async with bench.worker():
        return await bench.end_of(await bench.services.resuming.resume(bench.viewer, run.id))


def ran(bench: Workbench) -> set[str]:
    return {text for text, _ in bench.cluster.submitted}


async def change(bench: Workbench, task: Task, **values: Any) -> None:
    await bench.services.tasks.update(bench.viewer, task.id, TaskDraft(**values))


async def test_a_resumed_run_keeps_what_succeeded_and_runs_the_rest(bench: Workbench) -> None:
    playground, _, before = await failed_run(bench)
    assert before.status is RunStatus.PARTIAL_SUCCESS
    run = await resumed(bench, before)
    assert (run.number, run.trigger, run.status) == (2, RunTrigger.RESUME, RunStatus.SUCCESS)
    assert run.resumed_from_id == before.id
    assert ran(bench) == {"b", "d"}
    old, new = await bench.task_runs(before), await bench.task_runs(run)
    assert {name for name, row in new.items() if row.carried_over} == {"a", "c", "e"}
    for name in ("a", "c", "e"):
        assert new[name].status is TaskRunStatus.SUCCESS
        assert new[name].attempt == 0
        for column in ("location", "format", "delimiter", "size_bytes", "row_count", "columns"):
            assert getattr(new[name], f"output_{column}") == getattr(old[name], f"output_{column}")
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert row.active_run_id is None


async def test_the_events_tell_of_what_was_carried_over(bench: Workbench) -> None:
    _, _, before = await failed_run(bench, {"a": "", "b": "a"})
    run = await bench.services.resuming.resume(bench.viewer, before.id)
    async with bench.worker():
        events = await bench.events_to_end(run)
    carried = (await bench.task_runs(run))["a"]
    assert [(event.status, event.message) for event in events if event.task_run_id == carried.id] == [
        ("SUCCESS", "Carried over from run 1.")
    ]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("changed", "again"),
    [
        ({"query": "c, otherwise"}, {"b", "c, otherwise", "d"}),
        ({"connection": "fake"}, {"b", "c", "d"}),
        ({"max_retries": 3}, {"b", "d"}),
        ({"name": "renamed"}, {"b", "d"}),
    ],
    ids=["query", "connection", "retries", "name"],
)
async def test_a_task_that_was_changed_runs_again(bench: Workbench, changed: dict[str, Any], again: set[str]) -> None:
    _, tasks, before = await failed_run(bench)
    draft = dict(changed)
    if "connection" in draft:

        async def work(unit: UnitOfWork) -> None:
            await unit.tasks.update(tasks["c"].id, connection="fake")

        await bench.database.write(work)
    else:
        await change(bench, tasks["c"], **draft)
    await resumed(bench, before)
    assert ran(bench) == again


async def test_what_depends_on_a_changed_task_runs_again_however_far_below(bench: Workbench) -> None:
    _, tasks, before = await failed_run(bench, {"a": "", "b": "a", "c": "b", "d": "c", "x": ""}, at="x")
    await change(bench, tasks["a"], query="a, otherwise")
    await resumed(bench, before)
    assert ran(bench) == {"a, otherwise", "b", "c", "d", "x"}


async def test_a_task_with_other_parents_runs_again(bench: Workbench) -> None:
    _, tasks, before = await failed_run(bench)
    await bench.services.tasks.set_parents(bench.viewer, tasks["c"].id, [tasks["a"].id, tasks["e"].id])
    await resumed(bench, before)
    assert ran(bench) == {"b", "c", "d"}


async def test_a_task_whose_parent_was_deleted_runs_again_and_a_new_one_runs(bench: Workbench) -> None:
    playground, tasks, before = await failed_run(bench)
    await bench.services.tasks.delete(bench.viewer, tasks["a"].id)
    await bench.task(playground, "new")
    run = await resumed(bench, before)
    assert ran(bench) == {"b", "c", "d", "new"}
    assert set(await bench.task_runs(run)) == {"b", "c", "d", "e", "new"}


async def test_a_resumed_run_can_be_resumed_and_outputs_keep_their_maker(bench: Workbench) -> None:
    _, _, first = await failed_run(bench)
    bench.cluster.plan("d", failures=[broken()])
    second = await resumed(bench, first)
    assert second.status is RunStatus.PARTIAL_SUCCESS
    bench.cluster.submitted.clear()
    third = await resumed(bench, second)
    assert third.status is RunStatus.SUCCESS
    assert ran(bench) == {"d"}
    one, two, three = [await bench.task_runs(run) for run in (first, second, third)]
    assert three["a"].output_of_id == two["a"].output_of_id == one["a"].id
    assert three["b"].output_of_id == two["b"].id
    assert three["b"].carried_over
    assert not two["b"].carried_over


async def test_what_a_limited_run_left_out_stays_left_out(bench: Workbench) -> None:
    playground, tasks = await bench.graph(GRAPH)
    bench.cluster.plan("d", failures=[broken()])
    async with bench.worker():
        before = await bench.run(playground, trigger=RunTrigger.LIMITED, task_ids=[tasks["a"].id, tasks["d"].id])
    await bench.task(playground, "new")
    bench.cluster.submitted.clear()
    run = await resumed(bench, before)
    assert ran(bench) == {"d"}
    statuses = await bench.statuses(run)
    assert {name for name, status in statuses.items() if status is TaskRunStatus.SKIPPED} == {"b", "c", "e", "new"}
    assert run.status is RunStatus.SUCCESS


async def test_an_output_that_is_gone_is_made_again(bench: Workbench) -> None:
    _, _, before = await failed_run(bench)
    old = await bench.task_runs(before)
    await bench.process.outputs.delete(old["e"].output_location or "")
    await bench.age("task_run", "output_pruned_at", timedelta(), [old["c"].id])
    await resumed(bench, before)
    assert ran(bench) == {"b", "c", "d", "e"}


async def test_only_an_ended_run_of_ones_own_is_resumed_and_only_where_there_is_something_to_do(
    bench: Workbench,
) -> None:
    playground, _, failed = await failed_run(bench)
    resume = bench.services.resuming.resume
    stranger = await bench.person()
    with pytest.raises(NotFoundError):
        await resume(stranger, failed.id)
    on = await bench.launch(playground)
    with pytest.raises(IllegalStateError, match="still on"):
        await resume(bench.viewer, on.id)
    with pytest.raises(ConflictError, match="Run 2 "):
        await resume(bench.viewer, failed.id)
    async with bench.worker():
        done = await bench.end_of(on)
    with pytest.raises(IllegalStateError, match="nothing to do"):
        await resume(bench.viewer, done.id)
    row = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert row is not None
    assert (row.active_run_id, row.last_run_number) == (None, 2)


async def test_a_cancelled_run_is_resumed_from_where_it_was(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a", "c": "b"})
    bench.cluster.plan("b", until=(over := asyncio.Event()))
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.until_status(run, "b", TaskRunStatus.RUNNING)
        await bench.services.runs.cancel(bench.viewer, run.id)
        assert (await bench.end_of(run)).status is RunStatus.CANCELLED
    over.set()
    bench.cluster.submitted.clear()
    assert (await resumed(bench, run)).status is RunStatus.SUCCESS
    assert ran(bench) == {"b", "c"}


async def test_the_owner_of_a_carried_output_is_found_by_its_place_also_when_its_maker_is_gone(
    bench: Workbench,
) -> None:
    _, _, before = await failed_run(bench)
    run = await resumed(bench, before)
    new = await bench.task_runs(run)
    location = new["a"].output_location or ""
    by_output = bench.services.runs.by_output
    assert (await by_output(bench.viewer, location)).name == "a"

    async def forget(unit: UnitOfWork) -> None:
        await unit._session.execute(delete(Run).where(Run.id == before.id))

    await bench.database.write(forget)
    assert (await by_output(bench.viewer, location)).id == new["a"].id
    with pytest.raises(NotFoundError):
        await by_output(await bench.person(), location)
    async with bench.database.read() as unit:
        locations = await unit.playgrounds.output_locations(run.playground_id)
    assert location in locations


async def test_texts_are_compared_as_the_engine_got_them(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "", "c": ""})
    parameters: list[tuple[str, ParameterValue]] = [("day", "2026-01-05"), ("n", 1)]
    update = bench.services.playgrounds.update
    await update(bench.viewer, playground.id, parameters=parameters)
    await change(bench, tasks["a"], query="a {{ day }}")
    await change(bench, tasks["b"], query="b {{ n }} {{ scheduled_for }}")
    bench.cluster.plan("c", failures=[broken()])
    async with bench.worker():
        before = await bench.run(playground, parameters=[("n", 5)])
    bench.cluster.submitted.clear()
    await update(bench.viewer, playground.id, parameters=[("day", "2026-01-06"), ("n", 2)])
    run = await resumed(bench, before)
    assert ran(bench) == {"a 2026-01-06", "c"}  # b's own value, and the moment, are the old run's
    assert run.parameters == {"day": "2026-01-06", "n": 5}
