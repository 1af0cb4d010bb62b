"""Leases are told by the database's clock, whatever a host's own clock says."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.status import RunStatus
from app.engines.base import TransientEngineError
from app.services import claims, conclusion, leases, runs
from tests.support.workbench import Workbench

LONG = timedelta(hours=1)
NEAR = timedelta(seconds=10)


async def test_the_databases_clock_is_that_of_utc(bench: Workbench) -> None:
    async with bench.database.read() as unit:
        now = await unit.workers.now()
    assert now.tzinfo is not None
    assert abs(datetime.now(UTC) - now) < NEAR


@pytest.mark.parametrize("skew", [LONG, -LONG], ids=["ahead", "behind"])
async def test_a_host_whose_clock_is_an_hour_wrong_takes_nobody_for_dead(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, skew: timedelta
) -> None:
    monkeypatch.setattr(leases, "utc_now", lambda: datetime.now(UTC) + skew)
    hand = await bench.hand()
    await hand.lease.beat()
    assert (await bench.sweep()).dead_workers == 0
    async with bench.database.read() as unit:
        assert await unit.workers.exists(hand.id)


@pytest.mark.parametrize("skew", [LONG, -LONG], ids=["ahead", "behind"])
async def test_a_run_is_executed_at_once_and_retried_in_time_whatever_the_hosts_clocks_say(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, skew: timedelta
) -> None:
    bench.cluster.plan("a", failures=[TransientEngineError("not now")])
    playground, _ = await bench.graph({"a": "", "b": "a"}, max_retries=1, retry_delay_ms=20)
    for module in (claims, conclusion):  # the worker's clock is wrong, that of the server is not
        monkeypatch.setattr(module, "utc_now", lambda: datetime.now(UTC) + skew)
    async with bench.worker():
        assert (await bench.run(playground)).status is RunStatus.SUCCESS
    monkeypatch.setattr(runs, "utc_now", lambda: datetime.now(UTC) + skew)  # and now the server's is wrong as well
    async with bench.worker():
        assert (await bench.run(playground)).status is RunStatus.SUCCESS
