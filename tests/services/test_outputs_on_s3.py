"""Runs, comparisons and retention of a platform whose outputs lie on S3, as CSV and as Parquet."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette

from app.aws.bucket import Bucket
from app.aws.clients import AwsClients
from app.domain.checks.checks import CheckSeverity, DataCheck, DataCheckKind
from app.domain.errors import PrunedError
from app.domain.outputs import OutputFormat
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.retention import Rules
from app.domain.status import ReconciliationStatus, RunStatus
from app.engines.base import EngineError
from app.models import ReconciliationEvent, ReconciliationRun, TaskRun
from app.services.discards import DiscardService
from app.services.reconciliations import Comparison
from app.services.retention import RetentionService
from app.services.runs import refuse_pruned
from app.services.tasks import TaskDraft
from app.web.downloads import download_route
from tests.support.moto import KEYS, account_at
from tests.support.redis import RedisServer
from tests.support.workbench import Workbench, copied, flush, open_workbench, redis_url_of, settings_for

ROWS = [(number,) for number in range(2_000)]


@pytest.fixture
async def bucket(moto: str) -> AsyncIterator[Bucket]:
    clients = AwsClients(account=account_at(moto))
    await clients.call("s3", "create_bucket", Bucket="results")
    yield Bucket(clients=clients, name="results")
    await clients.close()


@pytest.fixture
async def bench(
    moto: str, bucket: Bucket, migrated_sqlite: Path, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[Workbench]:
    redis_url = redis_url_of(redis_server.url)
    flush(redis_url)
    section = "DATA_PHANTOM__OUTPUTS__S3__"
    settings = settings_for(
        tmp_path,
        database_url=copied(migrated_sqlite, tmp_path),
        redis_url=redis_url,
        **{
            f"{section}BUCKET": bucket.name,
            f"{section}ENDPOINT_URL": moto,
            f"{section}ACCESS_KEY": KEYS["access_key"],
            f"{section}SECRET_KEY": KEYS["secret_key"],
            f"{section}PREFIX": "team",
            f"{section}MAX_KEYS_PER_REQUEST": "2",
        },
    )
    async with open_workbench(settings) as bench:
        yield bench


async def keys(bucket: Bucket) -> list[str]:
    return [found.key async for found in bucket.objects("")]


async def outputs_of(bench: Workbench, *, format: OutputFormat) -> tuple[TaskRun, TaskRun]:
    """Two outputs of one run that differ in one row; the left one in the format, the right one as CSV."""
    bench.cluster.plan("left", rows=ROWS)
    bench.cluster.plan("right", rows=[*ROWS[:-1], (-1,)])
    playground = await bench.playground()
    await bench.task(playground, "left", output_format=format)
    await bench.task(playground, "right")
    run = await bench.run(playground)
    assert run.status is RunStatus.SUCCESS
    rows = await bench.task_runs(run)
    return rows["left"], rows["right"]


@pytest.mark.parametrize("format_", list(OutputFormat))
async def test_checks_look_at_a_copy(bench: Workbench, format_: OutputFormat) -> None:
    playground = await bench.playground()
    task = await bench.task(playground, "a", output_format=format_)
    bench.cluster.plan("a", rows=[*ROWS, (None,)])
    unique = DataCheck(kind=DataCheckKind.UNIQUE, column="one", arguments={}, severity=CheckSeverity.ERROR)
    await bench.services.tasks.set_checks(bench.viewer, task.id, [unique, replace(unique, kind=DataCheckKind.NOT_NULL)])
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["a"]
    assert (row.output_format, row.error_code) == (format_, "CHECK_FAILED")
    assert [(each["passed"], each["failing_row_count"]) for each in row.check_results or ()] == [(True, 0), (False, 1)]


async def compared(bench: Workbench, left: TaskRun, right: TaskRun) -> ReconciliationRun:
    assert left.task_id is not None
    assert right.task_id is not None
    pair = await bench.services.reconciliations.create(
        bench.viewer,
        left.playground_id,
        left_task_id=left.task_id,
        right_task_id=right.task_id,
        mapping=[ColumnMapping(left="one", right="one", key=True)],
        options=ReconciliationOptions(),
    )
    launched = await bench.services.reconciliations.launch(bench.viewer, pair.id, Comparison())
    found = launched

    async def ended() -> bool:
        nonlocal found
        found = await bench.services.reconciliations.run(bench.viewer, launched.id)
        return found.status.ended

    await bench.until(ended)
    return found


@pytest.mark.parametrize("format", OutputFormat)
async def test_outputs_are_run_shown_downloaded_compared_and_pruned(
    bench: Workbench, bucket: Bucket, format: OutputFormat
) -> None:
    async with bench.worker():
        left, right = await outputs_of(bench, format=format)
        assert (left.output_format, left.output_row_count) == (format, 2_000)
        assert sorted(await keys(bucket)) == sorted(f"team/{row.output_location}" for row in (left, right))
        await _is_shown(bench, left)
        await _is_downloaded(bench, left)
        verdict = await compared(bench, left, right)
    assert verdict.status is ReconciliationStatus.SUCCESS
    assert verdict.result is not None
    assert verdict.result["left_only_row_count"] == verdict.result["right_only_row_count"] == 1
    assert f"team/{verdict.differences_location}" in await keys(bucket)
    messages = await bench.rows(select(ReconciliationEvent.message).where(ReconciliationEvent.message.is_not(None)))
    assert any("copied to the machine that compares" in row.message for row in messages)
    assert [path for path in bench.process.settings.outputs.directory.rglob("*") if path.is_file()] == []
    await _is_pruned(bench, bucket, left, right)


async def _is_shown(bench: Workbench, row: TaskRun) -> None:
    assert row.output_location is not None
    assert row.output_format is not None
    table = await bench.services.outputs.preview(row.output_location, format=row.output_format, delimiter=",", limit=3)
    assert (table.columns, table.rows, table.truncated) == (("one",), [["0"], ["1"], ["2"]], True)


async def _is_downloaded(bench: Workbench, row: TaskRun) -> None:
    assert row.output_location is not None
    services = bench.services
    link = services.downloads.url_for(row.output_location, filename="left")
    application = Starlette(routes=[download_route(downloads=services.downloads, outputs=services.outputs)])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://test") as client:
        whole = await client.get(link)
        part = await client.get(link, headers={"range": "bytes=2-5"})
    assert len(whole.content) == row.output_size_bytes
    assert (part.status_code, part.content) == (206, whole.content[2:6])


async def _is_pruned(bench: Workbench, bucket: Bucket, left: TaskRun, right: TaskRun) -> None:
    """The newest outputs of their tasks are kept by the rules; those of a run before are not."""
    async with bench.worker():
        playground = await bench.services.playgrounds.get(bench.viewer, left.playground_id)
        assert playground is not None
        again = await bench.task_runs(await bench.run(playground))
    await bench.age("run", "ended_at", timedelta(days=9), [left.run_id])
    rules = Rules(max_output_age=timedelta(days=1))
    await RetentionService(database=bench.database, rules=rules).prune()
    await DiscardService(database=bench.database, outputs=bench.process.outputs).clear()
    kept = [key for key in await keys(bucket) if not key.startswith("team/reconciliations/")]
    assert sorted(kept) == sorted(f"team/{row.output_location}" for row in again.values())
    for row in (await bench.services.runs.task_runs([left.id, right.id])).values():
        with pytest.raises(PrunedError):
            refuse_pruned(row)


async def test_an_output_that_finds_no_bucket_fails_its_task_in_words(bench: Workbench, bucket: Bucket) -> None:
    await bucket._call("delete_bucket")
    playground = await bench.playground()
    await bench.task(playground, "left", max_retries=3)
    async with bench.worker():
        run = await bench.run(playground)
    row = (await bench.task_runs(run))["left"]
    assert (row.error_code, row.error_retriable, row.attempt) == ("STORAGE", False, 1)
    assert "bucket does not exist" in (row.error_message or "")
    health = await bench.services.health.platform()
    assert any("s3://results/team" in problem for problem in health.problems)


async def test_a_playground_is_deleted_with_its_objects(bench: Workbench, bucket: Bucket) -> None:
    async with bench.worker():
        left, _ = await outputs_of(bench, format=OutputFormat.CSV)
    await bench.services.playgrounds.delete(bench.viewer, left.playground_id)
    assert await keys(bucket) == []


async def test_a_resumed_run_keeps_what_is_on_s3_unless_another_format_is_wanted(bench: Workbench) -> None:
    bench.cluster.plan("b", failures=[EngineError("no")])
    playground = await bench.playground()
    kept = await bench.task(playground, "a")
    changed = await bench.task(playground, "c")
    await bench.task(playground, "b", kept, changed)
    async with bench.worker():
        run = await bench.run(playground)
        assert run.status is RunStatus.FAILED or run.status is RunStatus.PARTIAL_SUCCESS
        await bench.services.tasks.update(bench.viewer, changed.id, TaskDraft(output_format=OutputFormat.PARQUET))
        resumed = await bench.end_of(await bench.services.resuming.resume(bench.viewer, run.id))
    rows = await bench.task_runs(resumed)
    assert {name: row.carried_over for name, row in rows.items()} == {"a": True, "b": False, "c": False}
    assert rows["c"].output_format is OutputFormat.PARQUET
