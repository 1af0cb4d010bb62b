"""What scheduled playgrounds cost: many of which none is due, and a thousand that fall due in one second.

The runs are made by the scheduler of a deployment with MariaDB and two workers; each has one task that does nothing.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text, update

from app.domain.events import Outbox
from app.domain.identity import utc_now
from app.graphql.ids import parse_global
from app.models import Playground
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork
from tests.benchmarks.deployment import caller, production
from tests.benchmarks.usage import cpu_seconds
from tests.support.platform import Platform
from tests.support.scheduled import add_scheduled

SCHEDULED = 10_000
DUE = 1_000
IDLE_SECONDS = 20
LEAD = timedelta(seconds=4)  # before they fall due
STEP = 500  # playgrounds made in a transaction
PATIENCE = 300


async def send_nothing(_outbox: Outbox) -> None:
    """The rows are nobody's news."""


async def idle_cpu(pid: int) -> float:
    """Percent of a core."""
    before = cpu_seconds(pid)
    await asyncio.sleep(IDLE_SECONDS)
    return (cpu_seconds(pid) - before) / IDLE_SECONDS * 100


async def count(database: Database, condition: str) -> int:
    async with database.read() as unit:
        return await unit._session.scalar(text(f"SELECT count(*) FROM run WHERE {condition}")) or 0


async def until(database: Database, condition: str, wanted: int, *, since: datetime) -> float:
    """Seconds from `since` until so many runs are as they should be."""
    async with asyncio.timeout(PATIENCE):
        while await count(database, condition) < wanted:  # noqa: ASYNC110 - no event tells of a row
            await asyncio.sleep(0.05)
    return (utc_now() - since).total_seconds()


async def fall_due(database: Database, ids: list[Any], at: datetime) -> None:
    async def work(unit: UnitOfWork) -> None:
        await unit._session.execute(update(Playground).where(Playground.id.in_(ids)).values(next_fire_at=at))

    await database.write(work)


async def measure(platform: Platform) -> dict[str, dict[str, float]]:
    api = await caller(platform, "bench")
    playground = await api.playground("idle")
    (scheduler,) = [process.pid for process in platform.processes if "scheduler" in process.args]
    database = Database(url=platform.environment["DATA_PHANTOM__META_STORE__URL"], deliver=send_nothing)
    try:
        owner = await _owner(database, parse_global(playground)[1])
        without = await idle_cpu(scheduler)
        far, ids = utc_now() + timedelta(days=1), []
        for _ in range(SCHEDULED // STEP):
            ids += await add_scheduled(database, owner, STEP, fire_at=far, cron="0 0 * * *", query="SELECT 1 AS one")
        idle = await idle_cpu(scheduler)
        at = (utc_now() + LEAD).replace(microsecond=0)
        await fall_due(database, ids[:DUE], at)
        before = cpu_seconds(scheduler)
        launched = await until(database, "scheduled_for IS NOT NULL", DUE, since=at)
        cpu = cpu_seconds(scheduler) - before
        ended = await until(database, "scheduled_for IS NOT NULL AND ended_at IS NOT NULL", DUE, since=at)
        failed = await count(database, "scheduled_for IS NOT NULL AND status <> 'SUCCESS'")
    finally:
        await database.close()
        await api.close()
    return {
        f"scheduler idle, {SCHEDULED:,} scheduled": {"% of a core": idle, "with none": without},
        f"{DUE:,} due in one second": {
            "s until launched": launched,
            "s until ended": ended,
            "CPU s of the scheduler": cpu,
            "runs that failed": failed,
        },
    }


async def _owner(database: Database, playground_id: Any) -> Any:
    async with database.read() as unit:
        playground = await unit.playgrounds.get(playground_id)
    assert playground is not None
    return playground.owner_id


async def everything() -> dict[str, dict[str, float]]:
    async with production(workers=2) as platform:
        return await measure(platform)


def main() -> dict[str, Any]:
    return {"unit": "MariaDB, a scheduler, two workers", "rows": asyncio.run(everything())}
