"""Schedulers as processes: killed at the fire, frozen, or with a loop that hangs; health tells, and others go on."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from app.domain.identity import utc_now
from app.domain.schedule import Schedule
from app.services.health import LATEST_FIRE, HealthService, PlatformHealth
from app.services.progress import Progress
from app.services.schedules import Tick
from app.store.database import Database
from tests.support.mariadb import MariaDB
from tests.support.platform import Platform
from tests.support.processes import Reaper
from tests.support.redis import RedisServer
from tests.support.scheduled import add_scheduled
from tests.support.workbench import LEASE, Workbench, add_person, send_nothing
from workers.scheduler import SchedulerProcess

PATIENCE = 120  # seconds; it takes a few where the machine is quiet
DUE = 60  # more than a scheduler fires in one transaction


@pytest.fixture(scope="module")
async def platform(
    tmp_path_factory: pytest.TempPathFactory, reaper: Reaper, mariadb: MariaDB
) -> AsyncIterator[Platform]:
    """A server and a worker, and no scheduler."""
    redis = RedisServer(reaper=reaper)
    redis.start()
    name = mariadb.create_database()
    platform = Platform(
        folder=tmp_path_factory.mktemp("schedulers"),
        database_url=mariadb.url(name),
        redis_url=redis.url,
        reaper=reaper,
        DATA_PHANTOM__WORKER__HEARTBEAT_INTERVAL="200ms",
        DATA_PHANTOM__WORKER__LEASE="2s",
    )
    try:
        platform.run("migrate")
        platform.serve()
        platform.start("worker")
        yield platform
    finally:
        platform.stop()
        redis.close()
        mariadb.drop_database(name)


async def until_health(platform: Platform, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with httpx.AsyncClient() as client, asyncio.timeout(PATIENCE):
        while True:
            try:
                response = await client.get(f"http://127.0.0.1:{platform.health_port}/health")
            except httpx.HTTPError:
                pass
            else:
                state: dict[str, Any] = response.json()
                assert (response.status_code == 200) is (state["status"] == "UP")
                if wanted(state):
                    return state
            await asyncio.sleep(0.05)


async def test_what_a_scheduler_fired_when_it_was_killed_runs_once_and_the_rest_is_fired_by_another(
    platform: Platform,
) -> None:
    state = await until_health(platform, lambda state: state["workers"] == 1)
    assert (state["status"], state["scheduler_silent_ms"]) == ("DOWN", None)
    assert "No scheduler lives" in state["problems"][0]
    database = Database(url=platform.environment["DATA_PHANTOM__META_STORE__URL"], deliver=send_nothing)
    try:
        owner = await add_person(database, "owner")
        await add_scheduled(database, owner.user_id, DUE, fire_at=utc_now(), cron="0 0 1 1 *", query="SELECT 1 AS one")
        command = [sys.executable, "-m", "tests.support.dying_scheduler"]
        dying = subprocess.Popen(command, env=platform.environment, stdin=subprocess.DEVNULL)  # noqa: ASYNC220 - it forks
        assert await asyncio.to_thread(dying.wait, 60) == -signal.SIGKILL
        fired = await _counts(database)
        assert 0 < fired[0] < DUE
        assert fired[1] == 0
        scheduler = platform.start("scheduler")
        async with asyncio.timeout(PATIENCE):
            while (await _counts(database))[1] < DUE:  # noqa: ASYNC110 - no event tells of a row
                await asyncio.sleep(0.1)
        assert await _counts(database) == (DUE, DUE)
        scheduler.terminate()
        assert await asyncio.to_thread(scheduler.wait, 60) == 0
    finally:
        await database.close()


async def test_health_is_red_while_the_scheduler_is_frozen_and_green_when_it_goes_on(platform: Platform) -> None:
    scheduler = platform.start("scheduler")
    state = await until_health(platform, lambda state: state["status"] == "UP")
    assert (state["scheduler_lag_ms"], state["problems"]) == (0, [])
    scheduler.send_signal(signal.SIGSTOP)
    state = await until_health(platform, lambda state: state["status"] == "DOWN")
    assert "has been silent for" in state["problems"][0]
    assert state["scheduler_lag_ms"] >= 2000
    scheduler.send_signal(signal.SIGCONT)
    await until_health(platform, lambda state: state["status"] == "UP")


async def _counts(database: Database) -> tuple[int, int]:
    """How many runs there are of different playgrounds, and how many have succeeded."""
    async with database.read() as unit:
        query = "SELECT count(DISTINCT playground_id), coalesce(sum(status = 'SUCCESS'), 0), count(*) FROM run"
        playgrounds, succeeded, runs = (await unit._session.execute(text(query))).one()
    assert playgrounds == runs
    return runs, int(succeeded)


# ---- in one process


async def health(bench: Workbench) -> PlatformHealth:
    return await bench.services.health.platform()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("loop", ["fire", "sweep", "heal"])
async def test_a_loop_that_hangs_turns_health_red_although_the_process_lives(bench: Workbench, loop: str) -> None:
    process = SchedulerProcess(bench.process)
    service, method = {
        "fire": (process._schedules, "tick"),
        "sweep": (process._recovery, "sweep"),
        "heal": (process._healing, "heal"),
    }[loop]

    async def hang() -> None:
        await asyncio.Event().wait()

    setattr(service, method, hang)
    async with bench.worker(), process.running():

        async def red() -> bool:
            return any("silent" in problem or "No scheduler" in problem for problem in (await health(bench)).problems)

        await bench.until(red)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_loop_that_crashes_goes_on_and_health_is_green_once_it_succeeds(bench: Workbench) -> None:
    process = SchedulerProcess(bench.process)
    tick, crashes = process._schedules.tick, [1] * 3

    async def crash_at_first() -> Tick:
        if crashes:
            crashes.pop()
            raise LookupError("a fault of ours")
        return await tick()

    process._schedules.tick = crash_at_first  # type: ignore[method-assign]
    async with bench.worker(), process.running():

        async def green() -> bool:
            return not crashes and (await health(bench)).well

        await bench.until(green)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_health_tells_how_late_the_most_overdue_fire_is(bench: Workbench) -> None:
    playground, _ = await bench.graph({"a": ""})
    await bench.services.playgrounds.update(bench.viewer, playground.id, schedule=Schedule(cron="* * * * *"))
    async with bench.worker(), SchedulerProcess(bench.process).running():
        assert (await health(bench)).scheduler_overdue_ms == 0
    await bench.age("playground", "next_fire_at", LATEST_FIRE * 2, [playground.id])
    state = await health(bench)
    assert LATEST_FIRE * 2 <= timedelta(milliseconds=state.scheduler_overdue_ms) <= LATEST_FIRE * 3
    assert any("is overdue for" in problem for problem in state.problems)
    await bench.services.playgrounds.update(
        bench.viewer, playground.id, schedule=Schedule(cron="* * * * *", paused=True)
    )
    assert (await health(bench)).scheduler_overdue_ms == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_heartbeat_younger_than_a_lease_is_no_lag(bench: Workbench) -> None:
    service = HealthService(
        database=bench.database,
        bell=bench.process.bell,
        engines=bench.process.engines,
        outputs=bench.process.outputs,
        lease=LEASE * 100,
    )
    async with SchedulerProcess(bench.process).running():
        await bench.until(lambda: _beaten(service))
        assert (await service.platform()).scheduler_lag_ms == 0


async def _beaten(service: HealthService) -> bool:
    return (await service.platform()).scheduler_silent_ms is not None


def test_a_loop_is_stalled_once_its_turn_is_overdue_by_the_patience() -> None:
    now = 0.0
    progress = Progress(patience=timedelta(seconds=5), clock=lambda: now)
    progress.turn("fire")
    progress.turn("heal", next_within=timedelta(minutes=1))
    assert not progress.stalled()
    now = 6.0
    assert progress.stalled() == ["fire"]
    progress.turn("fire")
    assert not progress.stalled()
    now = 66.0
    assert progress.stalled() == ["fire", "heal"]
