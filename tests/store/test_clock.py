"""Leases are told by the database's clock, whatever a host's own clock says."""

from datetime import UTC, datetime, timedelta

import pytest

from app.services import leases, recovery
from tests.support.workbench import Workbench

LONG = timedelta(hours=1)
NEAR = timedelta(seconds=10)


async def test_the_databases_clock_is_that_of_utc(bench: Workbench) -> None:
    async with bench.database.read() as unit:
        now = await unit.workers.now()
    assert now.tzinfo is not None
    assert abs(datetime.now(UTC) - now) < NEAR


@pytest.mark.parametrize("skew", [LONG, -LONG], ids=["ahead", "behind"])
@pytest.mark.parametrize("module", [leases, recovery], ids=["the worker", "the scheduler"])
async def test_a_host_whose_clock_is_an_hour_wrong_takes_nobody_for_dead(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch, skew: timedelta, module: object
) -> None:
    monkeypatch.setattr(module, "utc_now", lambda: datetime.now(UTC) + skew)
    hand = await bench.hand()
    await hand.lease.beat()
    assert (await bench.sweep()).dead_workers == 0
    async with bench.database.read() as unit:
        assert await unit.workers.exists(hand.id)
