"""Checks and runs: an ERROR fails the task and what depends on it, a WARN is shown, a run has them as it started."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.checks.checks import CheckSeverity, DataCheck, DataCheckKind, checks_of
from app.domain.checks.results import CheckResult, results_of
from app.domain.errors import InvalidError, NotFoundError
from app.domain.identity import utc_now
from app.domain.outputs import OutputFormat, StoredOutput
from app.domain.status import RunStatus, TaskRunStatus
from app.engines.configured import configured_engines
from app.engines.registry import EngineRegistry
from app.models import Run, Task, TaskRun
from app.services import check_process
from app.services.checks import OutputChecks
from app.services.tasks import TaskDraft
from tests.support.workbench import Workbench
from workers.main import WorkerProcess

GRAPH = {"a": "", "b": "a", "c": ""}
ENDLESS = "SELECT 1 FROM range(10000000000000) t(n) WHERE n % 3 = 5"


def check(
    kind: str, column: str | None = None, severity: CheckSeverity = CheckSeverity.ERROR, **arguments: Any
) -> DataCheck:
    return DataCheck(kind=DataCheckKind(kind), column=column, arguments=arguments, severity=severity)


async def set_checks(bench: Workbench, task: Task, *checks: DataCheck) -> Task:
    return await bench.services.tasks.set_checks(bench.viewer, task.id, checks)


async def results(bench: Workbench, run: Run, name: str = "a") -> tuple[CheckResult, ...]:
    row = (await bench.task_runs(run))[name]
    return results_of(checks_of(row.checks), row.check_results)


async def test_an_error_fails_the_task_for_good_and_what_depends_on_it(bench: Workbench) -> None:
    playground, tasks = await bench.graph(GRAPH, max_retries=3)
    bench.cluster.plan("a", rows=[(1,), (None,), (3,)])
    await set_checks(bench, tasks["a"], check("UNIQUE", "one"), check("NOT_NULL", "one"))
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.PARTIAL_SUCCESS
    rows = await bench.task_runs(run)
    assert {name: row.status for name, row in rows.items()} == {
        "a": TaskRunStatus.FAILED,
        "b": TaskRunStatus.UPSTREAM_FAILED,
        "c": TaskRunStatus.SUCCESS,
    }
    row = rows["a"]
    assert bench.cluster.attempts_at("a") == row.attempt == 1
    assert (row.error_code, row.error_retriable) == ("CHECK_FAILED", False)
    assert row.error_message == "A check of the output failed: 1 of 3 rows have no value in «one»."
    assert [(each.passed, each.failing_row_count) for each in await results(bench, run)] == [(True, 0), (False, 1)]
    assert await bench.log_of(row) == [
        "Check passed: No two rows have the same «one».",
        "Check failed: 1 of 3 rows have no value in «one».",
    ]


async def test_the_output_that_failed_can_be_looked_at_and_the_last_good_one_stays(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})
    async with bench.worker():
        good = await bench.run(playground)
        await set_checks(bench, tasks["a"], check("RANGE", "one", min=2))
        bad = await bench.run(playground)
    before, after = [(await bench.task_runs(run))["a"] for run in (good, bad)]
    assert (before.status, after.status) == (TaskRunStatus.SUCCESS, TaskRunStatus.FAILED)
    assert before.output_location != after.output_location
    for row in (before, after):
        assert row.output_location is not None
        found = await bench.services.runs.by_output(bench.viewer, row.output_location)
        assert found.id == row.id
        table = await bench.process.outputs.preview(
            row.output_location, format=OutputFormat.CSV, delimiter=",", limit=5
        )
        assert table.rows == [["1"]]
    assert [each.output_location for each in await bench.attempts(after)] == [after.output_location]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("format_", list(OutputFormat))
async def test_a_warning_is_shown_and_fails_nothing(bench: Workbench, format_: OutputFormat) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "a"}, output_format=format_)
    warning = CheckSeverity.WARN
    await set_checks(
        bench,
        tasks["a"],
        check("ACCEPTED_VALUES", "one", warning, values=["2"]),
        check("NOT_NULL", "two", warning),
        check("SQL", severity=warning, query="SELECT nothing FROM output"),
        check("SQL", severity=warning, query="FROM output WHERE one < 2"),
        check("ROW_COUNT", min=1, max=1),
    )
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.SUCCESS
    found = await results(bench, run)
    assert [(each.passed, each.failing_row_count) for each in found] == [
        (False, 1),
        (False, 0),
        (False, 0),
        (False, 1),
        (True, 0),
    ]
    assert found[1].message == "The check could not be run. The output has no column «two»; it has: one."
    assert "nothing" in found[2].message
    assert (await results(bench, run, "b")) == ()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_run_keeps_the_checks_that_it_started_with(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})
    await set_checks(bench, tasks["a"], check("NOT_NULL", "one"))
    run = await bench.launch(playground)
    changed = await set_checks(bench, tasks["a"], check("RANGE", "one", min=2))
    assert changed.modified_at > tasks["a"].modified_at
    async with bench.worker():
        await bench.end_of(run)
        other = await bench.run(playground)
    assert [each.check.kind for each in await results(bench, run)] == [DataCheckKind.NOT_NULL]
    assert (await bench.row(run)).status is RunStatus.SUCCESS
    assert other.status is RunStatus.FAILED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_rows_are_counted_against_the_last_successful_run(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})
    await set_checks(bench, tasks["a"], check("ROW_COUNT", maxChangePercent=50))
    statuses = []
    async with bench.worker():
        for count in (2, 3, 1, 3, 4):  # the third fails, and is none to compare with
            bench.cluster.plan("a", rows=[(1,)] * count)
            run = await bench.run(playground)
            statuses.append(run.status.value)
    assert statuses == ["SUCCESS", "SUCCESS", "FAILED", "SUCCESS", "SUCCESS"]
    (last,) = await results(bench, run)
    assert last.message == "There are 4 rows, 3 rows in the last successful run."


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_resumed_run_carries_results_over_and_looks_anew_where_checks_were_changed(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": "", "b": "", "c": "a b"})
    for name in ("a", "b"):
        await set_checks(bench, tasks[name], check("NOT_NULL", "one"))
    await set_checks(bench, tasks["c"], check("NOT_NULL", "two"))
    async with bench.worker():
        failed = await bench.run(playground)
        await set_checks(bench, tasks["b"], check("NOT_NULL", "one"), check("UNIQUE", "one"))
        await set_checks(bench, tasks["c"])
        bench.cluster.submitted.clear()
        resumed = await bench.end_of(await bench.services.resuming.resume(bench.viewer, failed.id))
    assert resumed.status is RunStatus.SUCCESS
    assert {text for text, _ in bench.cluster.submitted} == {"b", "c"}
    assert (await bench.task_runs(resumed))["a"].carried_over
    assert await results(bench, resumed, "a") == await results(bench, failed, "a")
    assert len(await results(bench, resumed, "a")) == 1
    assert len(await results(bench, resumed, "b")) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_cancelling_reaches_a_check(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})
    await set_checks(bench, tasks["a"], check("SQL", query=ENDLESS))
    async with bench.worker():
        run = await bench.launch(playground)
        await until_delivered(bench)
        await bench.services.runs.cancel(bench.viewer, run.id)
        ended = await bench.end_of(run)
    assert ended.status is RunStatus.CANCELLED
    assert bench.cluster.cancelled == []  # the engine had done its part


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_timeout_reaches_a_check(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""}, timeout_ms=300)
    await set_checks(bench, tasks["a"], check("SQL", query=ENDLESS))
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    assert (row.status, row.error_code) == (TaskRunStatus.FAILED, "TIMEOUT")
    assert row.check_results is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_worker_that_is_stopped_gives_back_what_it_looks_at(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})
    await set_checks(bench, tasks["a"], check("SQL", query=ENDLESS))
    async with bench.worker():
        run = await bench.launch(playground)
        await until_delivered(bench)
    assert (await bench.statuses(run))["a"] is TaskRunStatus.QUEUED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_query_that_takes_too_much_memory_harms_itself_alone(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    playground, tasks = await bench.graph({"a": ""})
    greedy = check("SQL", query="FROM output WHERE length(repeat('x', 2000000000 + one)) > 3")
    fresh = check("FRESHNESS", "one", maxAge="P1D")
    bench.cluster.plan("a", rows=[(1,)])
    await set_checks(bench, tasks["a"], greedy, check("NOT_NULL", "one"), check("SQL", query="FROM output"), fresh)
    found = []
    async with bench.worker():
        found.append(await results(bench, await bench.run(playground)))
        monkeypatch.setattr(check_process.sys, "executable", "/bin/false")  # it dies at once
        found.append(await results(bench, await bench.run(playground)))
    for first, second, third, fourth in found:
        assert "memory" in first.message.lower()
        assert (first.passed, second.passed, third.passed, fourth.passed) == (False, True, False, False)
        assert fourth.message == "There is no date or timestamp in «one»."
    assert found[0][2].failing_row_count == 1
    assert "want of memory" in found[1][2].message


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_task_without_checks_is_not_looked_at(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    async def run(_self: OutputChecks, task_run: TaskRun, _output: StoredOutput) -> tuple[CheckResult, ...]:
        looked.append(task_run.name)
        return ()

    monkeypatch.setattr(OutputChecks, "run", run)
    playground, tasks = await bench.graph({"a": "", "b": "a"})
    await set_checks(bench, tasks["b"], check("NOT_NULL", "one"))
    async with bench.worker():
        await bench.run(playground)
    assert looked == ["b"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("format_", list(OutputFormat))
async def test_outputs_of_the_embedded_engine_are_looked_at_with_their_types(
    bench: Workbench, tmp_path: Path, format_: OutputFormat
) -> None:
    settings = bench.process.settings
    section = settings.embedded_engine.model_copy(update={"enabled": True, "directory": tmp_path / "embedded"})
    settings = settings.model_copy(update={"embedded_engine": section})
    engines = EngineRegistry(engines=configured_engines(settings, tables={}))
    playground = await bench.playground()
    text = """SELECT 1 AS id, 'Berlin' AS city, DATE '2026-01-05' AS day
        UNION ALL SELECT 2, '', DATE '2026-01-06' UNION ALL SELECT 3, NULL, NULL"""
    task = await bench.task(playground, "cities", query=text, output_format=format_)
    await bench.task(playground, "below", task, query="SELECT 1 AS one")
    await set_checks(
        bench,
        task,
        check("UNIQUE", "id"),
        check("ACCEPTED_VALUES", "city", values=["Berlin", ""]),
        check("RANGE", "day", min="2026-01-05", max="2026-01-06"),
        check("SQL", query="FROM output WHERE id > 3 OR day < DATE '2026-01-05'"),
        check("NOT_NULL", "city"),
    )
    try:
        async with WorkerProcess(replace(bench.process, engines=engines)).running():
            run = await bench.run(playground)
    finally:
        await engines.close()
    assert await bench.statuses(run) == {"cities": TaskRunStatus.FAILED, "below": TaskRunStatus.UPSTREAM_FAILED}
    row = (await bench.task_runs(run))["cities"]
    assert row.error_code == "CHECK_FAILED", row.error_message
    found = await results(bench, run, "cities")
    assert [(each.passed, each.failing_row_count) for each in found] == [(True, 0)] * 4 + [(False, 1)]
    assert row.output_format is format_


async def until_delivered(bench: Workbench) -> None:
    folder = bench.process.settings.outputs.directory

    async def delivered() -> bool:
        found: list[Path] = await asyncio.to_thread(lambda: list(folder.rglob("output.csv")))
        return bool(found)

    await bench.until(delivered)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_check_that_makes_no_sense_is_refused_and_another_persons_task_is_not_found(bench: Workbench) -> None:
    _, tasks = await bench.graph({"a": ""})
    await set_checks(bench, tasks["a"], check("NOT_NULL", "one"))
    for bad, path in (
        (check("RANGE", "one", min=2, max=1), "min"),
        (check("MATCHES", "one", pattern="a("), "pattern"),
        (check("SQL", query="DROP TABLE output"), "query"),
    ):
        with pytest.raises(InvalidError) as caught:
            await set_checks(bench, tasks["a"], check("NOT_NULL", "one"), bad)
        assert caught.value.path == ("checks", "1", "arguments", path)
    bench.viewer, owner = await bench.person(), bench.viewer
    with pytest.raises(NotFoundError):
        await set_checks(bench, tasks["a"])
    bench.viewer = owner
    kept = await bench.services.tasks.update(owner, tasks["a"].id, TaskDraft(name="renamed"))
    assert [each.column for each in checks_of(kept.checks)] == ["one"]
    assert (await set_checks(bench, tasks["a"])).checks is None
    assert kept.modified_at < utc_now()
