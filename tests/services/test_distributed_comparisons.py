"""Which comparisons leave this machine, and what becomes of their runs whatever happens to job and worker."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from app.aws.clients import AwsClients
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.merging import Totals, merged_result
from app.domain.reconciliation.result import DifferenceKind
from app.domain.status import ReconciliationStatus
from app.engines.base import (
    EngineKind,
    EngineLogLine,
    Handle,
    Poll,
    TerminalEngineError,
    TransientEngineError,
    WorkState,
)
from app.engines.comparing.question import Question
from app.engines.comparing.work import Document, Write
from app.engines.registry import EngineRegistry
from app.models import Reconciliation, ReconciliationEvent, ReconciliationRun, TaskRun
from app.services.distributed_comparison import DistributedComparison
from tests.services.compared import ended, launched, pair_of, row_of
from tests.support.engine import Cluster, FakeEngine
from tests.support.moto import KEYS, account_at
from tests.support.redis import RedisServer
from tests.support.workbench import Workbench, copied, flush, open_workbench, redis_url_of, settings_for
from workers.main import WorkerProcess

THRESHOLD = 1_000
ROWS = [(number,) for number in range(1_000)]


@dataclass(kw_only=True)
class Spark:
    """Remembers, beyond any worker, what it was asked; the job ends once `until` is set."""

    until: asyncio.Event = field(default_factory=asyncio.Event)
    durable: bool = True
    error: TerminalEngineError | None = None
    away: int = 0  # how many polls find nobody
    asked: list[Question] = field(default_factory=list)
    runs: list[UUID] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)


class SparkEngine(FakeEngine):
    """An engine that compares as it is told."""

    kind = EngineKind.EMR
    compares_on = "a step of the tests"
    spark: Spark

    async def begin_comparison(self, question: Question, *, run_id: UUID, playground_id: UUID) -> Handle:
        self.spark.asked.append(question)
        self.spark.runs.append(run_id)
        return Handle(text=f"{playground_id}/{run_id}", durable=self.spark.durable)

    async def poll(self, handle: Handle, *, wait: timedelta) -> Poll:
        if not handle.text.endswith(tuple(map(str, self.spark.runs))):
            return await super().poll(handle, wait=wait)
        if self.spark.away:
            self.spark.away -= 1
            raise TransientEngineError("Nobody is there.", code="AWS_UNAVAILABLE")
        if self.spark.cancelled:
            return Poll(state=WorkState.CANCELLED)
        if not self.spark.until.is_set():
            await asyncio.sleep(0.01)
            at = datetime.now(UTC)
            lines = [EngineLogLine(at=at, stream=stream, text=f"{stream} talks") for stream in ("engine", "stderr")]
            return Poll(state=WorkState.RUNNING, progress=0.25, log=lines)
        if self.spark.error is None:
            return Poll(state=WorkState.SUCCEEDED)
        words = "INFO talk", 'java.io.IOException: Cannot run program "python3.11"', "  at java.lang.Thread"
        lines = [EngineLogLine(at=datetime.now(UTC), stream="stderr", text=text) for text in words]
        return Poll(state=WorkState.FAILED, error=self.spark.error, log=lines)

    async def cancel(self, handle: Handle) -> None:
        self.spark.cancelled.append(handle.text)

    async def take_comparison(self, handle: Handle, write: Write) -> Document:  # noqa: ARG002 - as engines have it
        await write(b"kind\nCHANGED\n")
        question = self.spark.asked[-1]
        totals = Totals(left_rows=1, right_rows=1, counts={**dict.fromkeys(DifferenceKind, 0), "COMMON": 1}, columns={})
        return merged_result(
            totals, [], mapping=question.mapping, options=question.options, sample_limit=1
        ).to_document()


@pytest.fixture
def spark() -> Spark:
    return Spark()


@pytest.fixture
async def bench(
    moto: str, migrated_sqlite: Path, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[Workbench]:
    """Outputs lie on S3."""
    clients = AwsClients(account=account_at(moto))
    await clients.call("s3", "create_bucket", Bucket="results")
    redis_url = redis_url_of(redis_server.url)
    flush(redis_url)
    section = "DATA_PHANTOM__OUTPUTS__S3__"
    settings = settings_for(
        tmp_path,
        database_url=copied(migrated_sqlite, tmp_path),
        redis_url=redis_url,
        **{
            f"{section}BUCKET": "results",
            f"{section}ENDPOINT_URL": moto,
            f"{section}ACCESS_KEY": KEYS["access_key"],
            f"{section}SECRET_KEY": KEYS["secret_key"],
            "DATA_PHANTOM__RECONCILIATION_SETTINGS__DISTRIBUTED_THRESHOLD": str(THRESHOLD),
        },
    )
    async with open_workbench(settings) as bench:
        yield bench
    await clients.close()


@asynccontextmanager
async def worker(bench: Workbench, spark: Spark) -> AsyncIterator[WorkerProcess]:
    engine = SparkEngine(bench.cluster)
    engine.spark = spark
    process = WorkerProcess(replace(bench.process, engines=EngineRegistry(engines=[engine])))
    async with process.running():
        yield process


async def pair(
    bench: Workbench, spark: Spark, *, rows: Sequence[tuple[int]] = ROWS, **options: object
) -> Reconciliation:
    """Two tasks with an output each."""
    playground = await bench.playground()
    for name in ("left", "right"):
        bench.cluster.plan(name, rows=rows)
    left, right = [await bench.task(playground, name) for name in ("left", "right")]
    async with worker(bench, spark):
        await bench.run(playground)
    return await pair_of(bench, playground, left, right, **options)


async def messages(bench: Workbench) -> list[str]:
    rows = await bench.rows(select(ReconciliationEvent.message).where(ReconciliationEvent.message.is_not(None)))
    return [row.message for row in rows]


async def test_large_outputs_on_s3_are_compared_by_the_cluster(bench, spark):
    wanted = await pair(bench, spark, absolute_tolerance=0.5)
    spark.away = 1
    async with worker(bench, spark):
        run = await launched(bench, wanted)

        async def tells() -> bool:
            return (await row_of(bench, run.id)).progress == 0.25

        await bench.until(tells)
        spark.until.set()
        row = await ended(bench, run.id)
    assert row.status is ReconciliationStatus.SUCCESS
    assert row.result["common_row_count"] == 1
    stored = await bench.process.outputs.size(row.differences_location)
    assert stored == row.differences_size_bytes == len(b"kind\nCHANGED\n")
    (question,) = spark.asked
    assert question.left.uri.startswith("s3://results/")
    assert question.mapping == (ColumnMapping(left="one", right="one"),)
    assert question.options.absolute_tolerance == 0.5
    told = await messages(bench)
    assert "The outputs are compared by Spark, as a step of the tests: they are large." in told
    assert "engine talks" in told
    assert "stderr talks" not in told


class Files:
    """As many bytes as the location says, on S3 where it says so."""

    def uri(self, location: str) -> str | None:
        return location if location.startswith("s3:") else None

    async def size(self, location: str) -> int:
        return int(location.rpartition("/")[2])


@pytest.mark.parametrize(
    ("left", "right", "options", "goes"),
    [
        ("s3://a/1001", "s3://a/1", {}, True),
        ("s3://a/1", "s3://a/1001", {}, True),
        ("s3://a/1000", "s3://a/1000", {}, False),
        ("s3://a/1001", "/here/1001", {}, False),
        ("s3://a/1001", None, {}, False),
        ("s3://a/1001", "s3://a/1001", {"method": "BLOOM"}, True),
        ("s3://a/1001", "s3://a/1001", {"method": "BLOOM", "verify": False}, False),
    ],
)
async def test_what_is_small_or_lies_here_or_need_not_be_exact_stays_here(left, right, options, goes):
    distributed = DistributedComparison(engine=None, outputs=Files(), threshold_bytes=THRESHOLD)
    sides = [TaskRun(output_location=location) for location in (left, right)]
    assert await distributed.takes(ReconciliationRun(options={"pass_when": {}, **options}), *sides) is goes


def test_without_a_threshold_or_a_spark_nothing_leaves_this_machine():
    spark, other = SparkEngine(Cluster()), FakeEngine(Cluster())
    for engines, threshold, goes in ([other, spark], 1, True), ([spark], None, False), ([other], 1, False):
        registry = EngineRegistry(engines=engines)
        made = DistributedComparison.configured(engines=registry, outputs=Files(), threshold_bytes=threshold)
        assert (made is not None) is goes


async def test_cancelling_reaches_the_cluster(bench, spark):
    wanted = await pair(bench, spark)
    async with worker(bench, spark):
        run = await launched(bench, wanted)
        await bench.until(lambda: _begun(spark))
        await bench.services.reconciliations.cancel(bench.viewer, run.id)
        row = await ended(bench, run.id)
    assert row.status is ReconciliationStatus.CANCELLED
    assert [text.rpartition("/")[2] for text in spark.cancelled] == [str(run.id)]


@pytest.mark.parametrize("durable", [True, False])
async def test_a_job_that_outlives_its_worker_is_gone_on_with_and_any_other_begun_anew(bench, spark, durable):
    wanted = await pair(bench, spark)
    spark.durable = durable
    async with worker(bench, spark):
        run = await launched(bench, wanted)
        await bench.until(lambda: _begun(spark))
    assert bool(spark.cancelled) is not durable
    spark.cancelled.clear()
    spark.until.set()
    async with worker(bench, spark):
        row = await ended(bench, run.id)
    assert row.status is ReconciliationStatus.SUCCESS
    assert spark.runs == [run.id, run.id]


async def test_what_the_job_says_of_its_failure_is_the_run_s_error(bench, spark):
    wanted = await pair(bench, spark)
    spark.error = TerminalEngineError("The left side, line 3: no.", code="INVALID")
    spark.until.set()
    async with worker(bench, spark):
        row = await ended(bench, (await launched(bench, wanted)).id)
    assert row.status is ReconciliationStatus.FAILED
    assert (row.error_code, row.error_message) == ("INVALID", "The left side, line 3: no.")
    told = [message for message in await messages(bench) if "java" in message]
    assert told == ['java.io.IOException: Cannot run program "python3.11"']


async def _begun(spark: Spark) -> bool:
    return bool(spark.runs)
