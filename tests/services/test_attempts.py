"""Attempts: what is tried again and how often, timeouts, logs, and engines that misbehave."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from app.domain.events import JobName
from app.domain.status import RunStatus, TaskRunStatus
from app.engines.base import LOST, EngineError, TerminalEngineError, TransientEngineError
from app.services import attempt as attempt_module
from app.services.claims import MAX_LOSSES
from app.services.conclusion import MAX_BACKOFF, backoff
from tests.support.workbench import Workbench


def shaky(times: int) -> list[EngineError]:
    return [TransientEngineError(f"connection lost ({n})", code="CONNECTION") for n in range(1, times + 1)]


async def test_a_transient_failure_is_tried_again_until_it_succeeds(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a"}, max_retries=3)
    bench.cluster.plan("a", failures=shaky(2))
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.SUCCESS
    row = (await bench.task_runs(run))["a"]
    assert row.attempt == 3
    assert row.error_code is None
    attempts = await bench.attempts(row)
    assert [(each.attempt, each.status) for each in attempts] == [
        (1, TaskRunStatus.FAILED),
        (2, TaskRunStatus.FAILED),
        (3, TaskRunStatus.SUCCESS),
    ]
    assert [each.error_message for each in attempts] == ["connection lost (1)", "connection lost (2)", None]
    assert [each.output_location is None for each in attempts] == [True, True, False]
    told = [event.status for event in await bench.events_to_end(run) if event.task_run_id == row.id]
    assert told == ["QUEUED", "RUNNING"] * 3 + ["SUCCESS"]
    assert bench.cluster.submitted == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]
    notes = await bench.log_of(row)
    assert [note.split(" Again")[0] for note in notes] == [
        "Attempt 1 failed: connection lost (1)",
        "Attempt 2 failed: connection lost (2)",
    ]


@pytest.mark.parametrize("max_retries", [0, 2])
async def test_retries_end_after_the_number_that_was_asked_for(bench: Workbench, max_retries: int) -> None:
    playground, _ = await bench.graph({"a": ""}, max_retries=max_retries)
    bench.cluster.plan("a", failures=shaky(10))
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    assert run.status is RunStatus.FAILED
    assert bench.cluster.attempts_at("a") == row.attempt == max_retries + 1
    assert row.error_code == "CONNECTION"
    assert row.error_retriable is True


async def test_a_terminal_failure_is_not_tried_again(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""}, max_retries=5)
    bench.cluster.plan("a", failures=[TerminalEngineError("syntax error", code="SYNTAX")])
    async with bench.worker():
        run = await bench.run(playground)
    assert run.status is RunStatus.FAILED
    assert bench.cluster.attempts_at("a") == 1


async def test_work_that_its_engine_has_lost_runs_again_and_that_is_no_retry(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": ""})
    lost = [TerminalEngineError("There is no such work.", code=LOST)] * MAX_LOSSES
    bench.cluster.plan("a", failures=lost[:1])
    bench.cluster.plan("b", failures=lost)
    async with bench.worker():
        run = await bench.run(playground)
    rows = await bench.task_runs(run)
    assert (rows["a"].status, rows["a"].attempt, rows["a"].losses) == (TaskRunStatus.SUCCESS, 2, 1)
    assert (rows["b"].status, rows["b"].attempt, rows["b"].error_code) == (TaskRunStatus.FAILED, MAX_LOSSES, LOST)


def test_the_delay_doubles_with_jitter_up_to_an_hour() -> None:
    for attempt in range(1, 12):
        expected = timedelta(milliseconds=1000 * 2 ** (attempt - 1))
        delays = {backoff(1000, attempt) for _ in range(20)}
        assert len(delays) > 1
        assert all(expected * 0.75 <= delay <= expected * 1.25 for delay in delays)
    assert all(backoff(1000, attempt) <= MAX_BACKOFF * 1.25 for attempt in (40, 10_000))
    assert backoff(0, 5) == timedelta()


async def test_a_retry_waits_for_its_time_also_when_its_job_comes_early(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""}, max_retries=1, retry_delay_ms=60_000)
    bench.cluster.plan("a", failures=shaky(1))
    hand = await bench.hand()
    run = await bench.launch(playground)
    await hand.start(run)
    row = (await bench.task_runs(run))["a"]
    assert row.status is TaskRunStatus.QUEUED
    assert row.queued_at is not None
    assert row.worker_id is None
    await hand.execute(row.id)
    assert (await bench.task_runs(run))["a"].status is TaskRunStatus.QUEUED
    assert bench.cluster.attempts_at("a") == 1
    await bench.age("task_run", "queued_at", timedelta(), [row.id])
    await hand.execute(row.id)
    assert (await bench.row(run)).status is RunStatus.SUCCESS


async def test_a_timeout_ends_the_task_and_reaches_the_engine(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": "a"}, timeout_ms=50, max_retries=3)
    bench.cluster.plan("a", until=asyncio.Event())
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    assert run.status is RunStatus.FAILED
    assert (row.error_code, row.error_retriable, row.attempt) == ("TIMEOUT", False, 1)
    assert "50 ms" in (row.error_message or "")
    assert bench.cluster.cancelled == ["a"]
    assert (await bench.statuses(run))["b"] is TaskRunStatus.UPSTREAM_FAILED


async def test_an_engine_that_takes_work_only_after_the_timeout_is_told_to_stop_all_the_same(
    bench: Workbench,
) -> None:
    playground, _ = await bench.graph({"a": ""}, timeout_ms=50)
    gate = asyncio.Event()
    bench.cluster.plan("a", submit_when=gate, until=asyncio.Event())
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await asyncio.sleep(0.1)  # longer than the timeout: the engine has not answered yet
        gate.set()
        await bench.cluster.until_cancelled("a")
        assert (await bench.end_of(run)).status is RunStatus.FAILED
    assert (await bench.task_runs(run))["a"].error_code == "TIMEOUT"


async def test_an_engine_that_does_not_stop_is_left_after_the_grace(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "STOP_GRACE", 0.1)
    playground, _ = await bench.graph({"a": ""}, timeout_ms=50)
    bench.cluster.plan("a", until=asyncio.Event(), deaf=True)
    async with bench.worker():
        run = await bench.run(playground)
    assert (await bench.task_runs(run))["a"].error_code == "TIMEOUT"


async def test_log_lines_of_every_attempt_are_kept_in_order(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""}, max_retries=1)
    bench.cluster.plan("a", failures=shaky(1), log=("first line", "second line"))
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    async with bench.database.read() as unit:
        lines = await unit.logs.after(row.id, 0, limit=100)
    assert [(line.attempt, line.text) for line in lines if line.stream == "stdout"] == [
        (1, "first line"),
        (1, "second line"),
        (2, "first line"),
        (2, "second line"),
    ]
    assert all(earlier.sequence < later.sequence for earlier, later in pairwise(lines))


async def test_a_fault_of_the_adapter_ends_the_task_and_not_the_worker(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": "", "b": ""})
    bench.cluster.plan("a", rows=object())  # what no sink can write
    async with bench.worker():
        run = await bench.run(playground)
        assert run.status is RunStatus.PARTIAL_SUCCESS
        assert (await bench.task_runs(run))["a"].error_code == "INTERNAL"
        bench.cluster.plan("a")
        assert (await bench.run(playground)).status is RunStatus.SUCCESS


async def test_a_task_whose_connection_is_gone_fails_with_words(bench: Workbench) -> None:
    playground, tasks = await bench.graph({"a": ""})

    async def take_away(unit: object) -> None:
        await unit.tasks.update(tasks["a"].id, connection="warehouse")  # type: ignore[attr-defined]  # a unit of work

    await bench.database.write(take_away)
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    assert row.error_code == "INVALID"
    assert "no connection 'warehouse'" in (row.error_message or "")


async def test_work_that_somebody_else_cancels_in_the_engine_has_failed(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    bench.cluster.plan("a", until=asyncio.Event())
    async with bench.worker():
        run = await bench.launch(playground)
        await bench.cluster.until_submitted("a")
        await bench.until(_true_when(lambda: bool(bench.cluster.jobs)))
        bench.cluster.cancel(next(iter(bench.cluster.jobs)))
        assert (await bench.end_of(run)).status is RunStatus.FAILED
    assert (await bench.task_runs(run))["a"].error_code == "CANCELLED"
    assert await bench.process.queue.length(JobName.EXECUTE_TASKS) == 0


def _true_when(condition):
    async def check() -> bool:
        return condition()

    return check
