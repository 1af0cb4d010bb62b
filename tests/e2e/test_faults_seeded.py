"""Whatever is killed, cut, frozen or forgotten while playgrounds run and subscribers go and come: nothing is lost."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support.client import RUN, Api
from tests.support.faults import FAULTS
from tests.support.fragile import Fragile, open_fragile
from tests.support.invariants import assert_invariants
from tests.support.loads import fan, retries
from tests.support.mariadb import prepared_data
from tests.support.processes import Reaper
from tests.support.soak import SETTINGS, Soak
from tests.support.witness import background

GROUPS = {
    "workers": ("kill worker", "freeze worker", "stop worker", "kill all workers"),
    "schedulers and the server": ("kill scheduler", "kill server", "freeze scheduler"),
    "the queue": ("flush redis", "restart redis empty", "send jobs again"),
    "lines to Redis": ("cut redis", "cut rings", "lose redis"),
    "the database": ("restart mariadb", "kill database connections"),
    "lines to the database": ("cut commits", "cut database", "lose database", "slow database", "cut source"),
}
REST = (0.1, 0.6)  # seconds between two faults, at least and at most
ROOM = 1024 * 1024  # bytes that a file may have while the disk is «full»
LARGE = "SELECT seq, repeat('x', 100) AS filling FROM seq_1_to_30000"
LARGE_EMBEDDED = "SELECT n, rpad('x', 100, 'x') AS filling FROM UNNEST(sequence(1, 30000)) AS t(n)"


def test_every_fault_is_tried() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(FAULTS)


@pytest.fixture(scope="module")
async def fragile(reaper: Reaper, request: pytest.FixtureRequest) -> AsyncIterator[Fragile]:
    assert request.config.cache
    template = prepared_data(request.config.cache.mkdir("mariadb"))
    async with open_fragile(template=template, reaper=reaper, schedulers=2, settings=SETTINGS) as fragile:
        yield fragile
        assert not await fragile.stop()
        assert not fragile.facts("SELECT kind, pid FROM worker")


@pytest.fixture(scope="module")
async def api(fragile: Fragile) -> AsyncIterator[Api]:
    api = Api(fragile.base)
    await api.sign_up("caller")
    yield api
    await api.close()


@pytest.mark.parametrize("group", GROUPS)
async def test_nothing_is_lost_and_nothing_is_done_twice(fragile: Fragile, api: Api, group: str) -> None:
    random = Random(group)  # noqa: S311 - the same faults each time
    soak = Soak(fragile, api, random, shapes=(fan, retries), label=group)
    async with soak.under_load():
        for name in GROUPS[group]:
            await soak.do(name)
            await asyncio.sleep(random.uniform(*REST))
    await soak.judge()
    assert soak.violations == []


def limit(fragile: Fragile, size: int) -> None:
    """What is written beyond so many bytes of a file is refused to the workers, as by a disk that is full."""
    for worker in fragile.workers:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def half_written(outputs: Path) -> list[str]:
    return [name for _, _, names in os.walk(outputs / ".partial") for name in names]


async def test_a_full_disk_fails_what_does_not_fit_and_no_more_and_is_recovered_from(
    fragile: Fragile, api: Api
) -> None:
    tasks: dict[str, dict[str, Any]] = {
        "from a server": {"query": LARGE},
        "embedded": {"query": LARGE_EMBEDDED, "type": "PRESTO"},
    }
    impatient, patient = [await api.playground(f"full disk, {kind}") for kind in ("impatient", "patient")]
    for name, values in tasks.items():
        task = await api.task(impatient, name, **values)
        await api.task(impatient, f"below {name}", parents=(task,))
        await api.task(patient, name, maxRetries=50, retryDelayMs=50, **values)
    await api.task(impatient, "small")
    async with background(fragile.supervise()):
        limit(fragile, ROOM)
        found = await api.run_to_end(impatient)
        rows = {row["name"]: row for row in found["taskRuns"]}
        assert found["status"] == "PARTIAL_SUCCESS"
        for name in tasks:
            assert (rows[name]["status"], rows[name]["error"]["code"]) == ("FAILED", "STORAGE"), rows[name]
            assert rows[name]["error"]["retriable"]
            assert rows[f"below {name}"]["status"] == "UPSTREAM_FAILED"
        assert rows["small"]["status"] == "SUCCESS"
        assert half_written(fragile.outputs) == []
        run = await api.start(patient)
        while not all(row["attempt"] > 1 for row in (await api.call(RUN, id=run))["taskRuns"]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        limit(fragile, resource.RLIM_INFINITY)  # somebody has made room
        await api.events(run)
        assert (await api.call(RUN, id=run))["status"] == "SUCCESS"
    assert half_written(fragile.outputs) == []
    await assert_invariants(fragile.url, outputs=fragile.outputs)
