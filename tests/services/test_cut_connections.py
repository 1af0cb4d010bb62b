"""Connections to MariaDB and Redis are cut in the middle of what they carry, and runs end as if they had not been."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from app.domain.status import RunStatus
from app.services import leases, recovery
from tests.support.invariants import assert_invariants
from tests.support.mariadb import MariaDB
from tests.support.proxy import COMMIT, Moment, Proxy
from tests.support.redis import RedisServer
from tests.support.workbench import Workbench, emptied, flush, open_workbench, redis_url_of, settings_for
from workers import scheduler as scheduler_module
from workers.scheduler import SchedulerProcess

GRAPH = {"a": "", **{f"b{number}": "a" for number in range(5)}, "c": " ".join(f"b{number}" for number in range(5))}
SPARED = {COMMIT: 3, b"PUBLISH": 2, b"PSETEX": 1, b"ZREM": 1}  # requests, at the most, between two cuts
CUTS = 8  # of one run: an operator would find out why there are more


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A workbench, and the proxies that all its parts reach their servers by."""

    bench: Workbench
    database: Proxy
    redis: Proxy
    url: str  # of the database, past the proxy

    async def judge(self) -> None:
        await assert_invariants(self.url, outputs=self.bench.process.settings.outputs.directory)


@pytest.fixture
async def lines(
    tmp_path: Path,
    mariadb: MariaDB,
    migrated_mariadb: str,
    redis_server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Lines]:
    monkeypatch.setattr(recovery, "LOST_AFTER", timedelta(seconds=0.5))
    monkeypatch.setattr(scheduler_module, "SWEEP_INTERVAL", timedelta(seconds=0.1))
    await emptied(migrated_mariadb)
    redis_url = redis_url_of(redis_server.url)
    flush(redis_url)
    with Proxy(upstream_port=mariadb.port) as database, Proxy(upstream_port=redis_server.port) as redis:
        settings = settings_for(
            tmp_path,
            database_url=migrated_mariadb.replace(f":{mariadb.port}/", f":{database.port}/"),
            redis_url=redis_url.replace(f":{redis_server.port}/", f":{redis.port}/"),
            DATA_PHANTOM__WORKER__LEASE="10s",  # nobody is dead here
        )
        async with open_workbench(settings) as bench:
            yield Lines(bench=bench, database=database, redis=redis, url=migrated_mariadb)


@asynccontextmanager
async def trapping(proxy: Proxy, needle: bytes, moment: Moment, random: Random) -> AsyncIterator[None]:
    """Inside the block, now this request is cut and now that."""

    async def trap() -> None:
        for _ in range(CUTS):
            trap = proxy.trap(needle, moment, spare=random.randint(0, SPARED[needle]))
            while trap.times:  # noqa: ASYNC110 - the proxy is another thread
                await asyncio.sleep(0.005)

    trapping = asyncio.create_task(trap())
    try:
        yield
    finally:
        trapping.cancel()
        await asyncio.gather(trapping, return_exceptions=True)
        proxy.disarm()


@pytest.mark.parametrize("moment", Moment)
async def test_a_run_whose_commits_are_cut_is_recorded_once_and_whole(
    lines: Lines, moment: Moment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "SETTLE_AGE", timedelta(seconds=0.5))  # claims whose answer was lost are settled soon
    bench = lines.bench
    playground, _ = await bench.graph(GRAPH)
    async with bench.worker(), bench.worker(await bench.another_process()), SchedulerProcess(bench.process).running():
        async with trapping(lines.database, COMMIT, moment, Random(moment)):  # noqa: S311 - repeatable
            run = await bench.launch(playground)
            assert (await bench.end_of(run)).status is RunStatus.SUCCESS
        assert lines.database.cuts
        assert (await bench.run(playground)).status is RunStatus.SUCCESS, "no slot is left held"
    await lines.judge()
    assert sorted({text for text, _ in bench.cluster.submitted}) == sorted(GRAPH)


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("needle", [b"PUBLISH", b"PSETEX", b"ZREM"], ids=bytes.decode)
async def test_a_run_whose_jobs_and_rings_are_cut_ends(lines: Lines, needle: bytes, moment: Moment) -> None:
    bench = lines.bench
    playground, _ = await bench.graph(GRAPH)
    async with bench.worker(), bench.worker(await bench.another_process()), SchedulerProcess(bench.process).running():
        async with trapping(lines.redis, needle, moment, Random(0)):  # noqa: S311 - repeatable
            run = await bench.launch(playground)
            assert (await bench.end_of(run)).status is RunStatus.SUCCESS
        assert lines.redis.cuts
        assert (await bench.run(playground)).status is RunStatus.SUCCESS
    await lines.judge()
    assert len(bench.cluster.submitted) == 2 * len(GRAPH), "a job that comes again is not done again"


async def test_an_answer_that_is_lost_is_no_second_launch(lines: Lines) -> None:
    bench = lines.bench
    for moment in Moment:
        playground, _ = await bench.graph({"a": ""})
        lines.database.trap(COMMIT, moment)
        run = await bench.launch(playground, idempotency_key="once")
        assert (await bench.launch(playground, idempotency_key="once")).id == run.id
        async with bench.worker(), SchedulerProcess(bench.process).running():
            assert (await bench.end_of(run)).status is RunStatus.SUCCESS
    await lines.judge()
