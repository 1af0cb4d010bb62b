"""The course of a run: order, parallel branches, failures, what is left out, what is asked for twice."""

import asyncio
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.errors import ConflictError, InvalidError, NotFoundError
from app.domain.identity import new_id
from app.domain.status import RunStatus, RunTrigger, TaskRunStatus
from app.engines.base import TerminalEngineError
from app.models import Run
from app.services.launching import Launch
from app.services.tasks import TaskDraft
from tests.support.workbench import Workbench

CHAIN = {"a": "", "b": "a", "c": "b"}
DIAMOND = {"a": "", "b": "a", "c": "a", "d": "b c"}
S, F, U, K = (
    TaskRunStatus.SUCCESS,
    TaskRunStatus.FAILED,
    TaskRunStatus.UPSTREAM_FAILED,
    TaskRunStatus.SKIPPED,
)


def broken(message: str = "no such table") -> TerminalEngineError:
    return TerminalEngineError(message, code="NOT_FOUND")


def order(bench: Workbench) -> list[str]:
    return [text for text, _ in bench.cluster.submitted]


@pytest.mark.parametrize(
    "edges",
    [
        {"only": ""},
        CHAIN,
        DIAMOND,
        {"root": "", **{f"leaf{n}": "root" for n in range(8)}},
        {**{f"root{n}": "" for n in range(8)}, "join": " ".join(f"root{n}" for n in range(8))},
        {"a": "", "b": "", "c": "a b", "d": "b", "e": "c d", "f": "a e"},
    ],
    ids=["one", "chain", "diamond", "fan out", "fan in", "mesh"],
)
async def test_every_task_succeeds_once_and_after_its_parents(bench: Workbench, edges: dict[str, str]) -> None:
    playground, _ = await bench.graph(edges)
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.SUCCESS
    assert run.number == 1
    assert run.started_at is not None
    assert run.ended_at is not None
    assert run.created_at <= run.started_at <= run.ended_at
    assert sorted(order(bench)) == sorted(edges)
    for child, parents in edges.items():
        for parent in parents.split():
            assert order(bench).index(parent) < order(bench).index(child)
    rows = await bench.task_runs(run)
    assert {row.status for row in rows.values()} == {S}
    assert {row.attempt for row in rows.values()} == {1}
    for row in rows.values():
        assert row.output_location is not None
        assert row.output_row_count == 1
        assert [attempt.status for attempt in await bench.attempts(row)] == [S]
    again = await bench.services.playgrounds.get(bench.viewer, playground.id)
    assert again is not None
    assert again.active_run_id is None


async def test_independent_tasks_run_at_the_same_time(bench: Workbench) -> None:
    playground, _ = await bench.graph({f"t{n}": "" for n in range(6)})
    gate = asyncio.Event()
    for n in range(6):
        bench.cluster.plan(f"t{n}", until=gate)
    async with bench.worker():
        run = await bench.launch(playground)
        for n in range(6):
            await bench.cluster.until_submitted(f"t{n}")
        assert bench.cluster.most_at_once == 6
        gate.set()
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS


async def test_what_depends_on_a_failure_is_not_run_and_other_branches_go_on(bench: Workbench) -> None:
    playground, _ = await bench.graph(
        {"a": "", "bad": "a", "below": "bad", "far": "below", "other": "a", "both": "other bad", "end": "other"}
    )
    bench.cluster.plan("bad", failures=[broken()])
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.PARTIAL_SUCCESS
    assert await bench.statuses(run) == {
        "a": S, "bad": F, "below": U, "far": U, "other": S, "both": U, "end": S,
    }  # fmt: skip
    rows = await bench.task_runs(run)
    assert rows["bad"].error_code == "NOT_FOUND"
    assert rows["bad"].error_message == "no such table"
    assert rows["bad"].error_retriable is False
    assert {name for name, _ in bench.cluster.submitted} == {"a", "bad", "other", "end"}
    told = [event for event in await bench.events_to_end(run) if event.task_run_id == rows["below"].id]
    assert [event.status for event in told] == ["UPSTREAM_FAILED"]
    assert "bad" in (told[0].message or "")


async def test_a_run_in_which_nothing_succeeds_has_failed(bench: Workbench) -> None:
    playground, _ = await bench.graph(CHAIN)
    bench.cluster.plan("a", failures=[broken()])
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.FAILED
    assert await bench.statuses(run) == {"a": F, "b": U, "c": U}


async def test_two_failures_above_one_task_end_it_once(bench: Workbench) -> None:
    playground, _ = await bench.graph({"x": "", "y": "", "ok": "", "z": "x y"})
    for name in ("x", "y"):
        bench.cluster.plan(name, failures=[broken()])
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.PARTIAL_SUCCESS
    assert (await bench.statuses(run))["z"] is U


@pytest.mark.parametrize(
    ("chosen", "submitted"),
    [
        (["a", "c"], ["a", "c"]),  # the edge passes through b
        (["c"], ["c"]),
        (["a", "d"], ["a", "d"]),
        (["b", "c", "d"], ["b", "c", "d"]),
        (["a", "a"], ["a"]),
    ],
)
async def test_a_limited_run_keeps_the_order_through_what_is_skipped(
    bench: Workbench, chosen: list[str], submitted: list[str]
) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "a", "c": "b", "d": "c"})
    async with bench.worker():
        run = await bench.run(playground, trigger=RunTrigger.LIMITED, task_ids=[tasks[name].id for name in chosen])
    assert order(bench) == submitted
    assert run.status is RunStatus.SUCCESS
    assert run.trigger is RunTrigger.LIMITED
    assert await bench.statuses(run) == {name: S if name in chosen else K for name in "abcd"}


async def test_a_failure_reaches_through_a_skipped_task(bench: Workbench) -> None:
    playground, tasks = await bench.graph(CHAIN)
    bench.cluster.plan("a", failures=[broken()])
    async with bench.worker():
        run = await bench.run(playground, task_ids=[tasks["a"].id, tasks["c"].id])
    assert await bench.statuses(run) == {"a": F, "b": K, "c": U}
    assert run.status is RunStatus.FAILED


async def test_a_limited_run_refuses_no_tasks_and_foreign_tasks(bench: Workbench) -> None:
    playground, tasks = await bench.graph(CHAIN)
    _, others = await bench.graph({"x": ""})
    with pytest.raises(InvalidError) as refusal:
        await bench.launch(playground, task_ids=[])
    assert refusal.value.path == ("taskIds",)
    with pytest.raises(NotFoundError) as missing:
        await bench.launch(playground, task_ids=[tasks["a"].id, others["x"].id])
    assert missing.value.path == ("taskIds", "1")
    empty = await bench.playground("empty")
    with pytest.raises(InvalidError, match="no tasks yet"):
        await bench.launch(empty)
    again = await bench.launch(playground)
    assert again.number == 1  # a refusal has used up nothing


async def test_an_idempotency_key_gives_back_its_run_also_after_the_end(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    async with bench.worker():
        first = await bench.launch(playground, idempotency_key="once")
        second = await bench.launch(playground, idempotency_key="once")
        await bench.end_of(first)
        third = await bench.launch(playground, idempotency_key="once")
        other = await bench.run(playground, idempotency_key="twice")
    assert first.id == second.id == third.id != other.id
    assert order(bench) == ["a", "a"]
    for key in ("", "x" * 201):
        with pytest.raises(InvalidError) as refusal:
            await bench.launch(playground, idempotency_key=key)
        assert refusal.value.path == ("idempotencyKey",)


async def test_one_key_asked_for_at_once_by_many_makes_one_run(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    runs = await asyncio.gather(*(bench.launch(playground, idempotency_key="once") for _ in range(8)))
    assert len({run.id for run in runs}) == 1


async def test_a_second_launch_is_refused_with_the_number_of_the_run_that_is_on(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    async with bench.worker():
        first = await bench.launch(playground)
        with pytest.raises(ConflictError, match=r"Run 1 ") as refusal:
            await bench.launch(playground)
        assert refusal.value.path == ("playgroundId",)
        gate.set()
        await bench.end_of(first)
        second = await bench.run(playground)
    assert second.number == 2


async def test_of_many_launches_at_once_over_two_processes_one_wins(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    other = await bench.another_process()
    launches = [
        process.services.runs.launch(bench.viewer, playground.id, Launch())
        for process in (bench.process, other)
        for _ in range(5)
    ]
    results = await asyncio.gather(*launches, return_exceptions=True)
    won = [result for result in results if not isinstance(result, BaseException)]
    lost = [result for result in results if isinstance(result, ConflictError)]
    assert (len(won), len(lost)) == (1, 9)
    assert await bench.scalar("SELECT count(*) FROM run") == 1


async def test_an_edit_during_a_run_changes_the_next_one(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "a"})
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await bench.services.tasks.update(bench.viewer, tasks["b"].id, TaskDraft(name="new", query="new text"))
        extra = await bench.task(playground, "extra", tasks["a"])
        await bench.services.tasks.set_parents(bench.viewer, tasks["b"].id, [])
        gate.set()
        await bench.end_of(run)
        assert order(bench) == ["a", "b"]
        assert set(await bench.statuses(run)) == {"a", "b"}
        second = await bench.run(playground)
    assert sorted(order(bench)[2:]) == ["a", "extra", "new text"]
    assert set(await bench.statuses(second)) == {"a", "new", extra.name}


async def test_a_task_deleted_during_a_run_is_run_and_stays_in_the_history(bench: Workbench) -> None:
    playground, tasks = await bench.graph(CHAIN)
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await bench.services.tasks.delete(bench.viewer, tasks["b"].id)
        gate.set()
        assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    rows = await bench.task_runs(run)
    assert order(bench) == ["a", "b", "c"]
    assert rows["b"].task_id is None
    assert rows["b"].output_location is not None
    assert rows["a"].task_id == tasks["a"].id
    left = await bench.services.playgrounds.tasks_of([playground.id])
    assert {task.name for task in left[playground.id]} == {"a", "c"}


async def test_deleting_a_playground_takes_its_outputs_and_waits_for_no_run(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    kept, _ = await bench.graph({"b": ""})
    gate = asyncio.Event()
    bench.cluster.plan("a", until=gate)
    async with bench.worker():
        run = await bench.launch(playground)
        with pytest.raises(ConflictError, match="is on"):
            await bench.services.playgrounds.delete(bench.viewer, playground.id)
        gate.set()
        await bench.end_of(run)
        other = await bench.run(kept)
    gone, stays = await _output(bench, run, "a"), await _output(bench, other, "b")
    assert gone.is_file()
    await bench.services.playgrounds.delete(bench.viewer, playground.id)
    assert not gone.exists()
    assert stays.is_file()
    for table in ("task_run", "task_attempt", "event", "task"):
        assert await bench.scalar(f"SELECT count(*) FROM {table}") > 0  # the other playground's
    assert await bench.scalar("SELECT count(*) FROM run") == 1


async def test_a_failure_never_wipes_the_last_good_output(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    async with bench.worker():
        good = await bench.run(playground)
        bench.cluster.plan("a", failures=[broken()])
        await bench.run(playground)
    assert (await _output(bench, good, "a")).is_file()


async def test_an_output_that_cannot_be_written_fails_the_task_with_words(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    folder = bench.process.settings.outputs.directory
    if folder.is_dir():
        folder.rmdir()
    folder.write_text("a file where the folder should be")
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    assert run.status is RunStatus.FAILED
    assert row.error_code == "STORAGE"
    assert row.error_retriable is True


async def _output(bench: Workbench, run: Run, name: str) -> Path:
    location = (await bench.task_runs(run))[name].output_location
    assert location is not None
    path = bench.process.outputs.local_path(location)
    assert path is not None
    return path


async def test_unknown_playgrounds_and_runs_are_not_found(bench: Workbench) -> None:
    with pytest.raises(NotFoundError):
        await bench.services.runs.launch(bench.viewer, new_id(), Launch())
    with pytest.raises(NotFoundError):
        await bench.services.runs.cancel(bench.viewer, new_id())
    assert await bench.services.runs.get(bench.viewer, UUID(int=0)) is None
