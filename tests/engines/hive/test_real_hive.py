"""The Hive engine on a real Apache Hive, where `scripts/fetch-hive` has brought one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.base import WorkState
from app.engines.hive.engine import HiveEngine
from app.engines.hive.transport import HiveAddress
from tests.engines.contract import AWKWARD
from tests.engines.driving import Driver
from tests.engines.hive.candidate import QUERIES
from tests.engines.hive.test_attaching import begun_elsewhere
from tests.support.hive import HiveServer, brought
from tests.support.processes import Reaper

pytestmark = pytest.mark.skipif(not brought(), reason="scripts/fetch-hive brings a Hive")

_COUNTED = "(SELECT posexplode(split(space({}), ' ')) AS (id, x)) {}"
PAIRS = "SELECT COUNT(*) AS a FROM {} CROSS JOIN {} WHERE (a.id * b.id) % 7 = 3"
SLOW = PAIRS.format(_COUNTED.format(100_000, "a"), _COUNTED.format(100, "b"))
ENDLESS = PAIRS.format(_COUNTED.format(100_000, "a"), _COUNTED.format(100_000, "b"))


@pytest.fixture(scope="module")
def server(reaper: Reaper) -> Iterator[HiveServer]:
    server = HiveServer(name="hive", reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def driver(server: HiveServer, tmp_path: Path) -> AsyncIterator[Driver]:
    engine = HiveEngine(name="hive", address=HiveAddress(host=server.host, port=server.port))
    yield Driver(engine, type=TaskType.HIVE, folder=tmp_path)
    await engine.close()


async def test_values_come_through_with_labels_as_hive_has_them(driver):
    ended = await driver.run(QUERIES["values"])
    assert ended.labels == ["id", "nothing", "blank", "läbel", "price"]
    assert ended.rows == [["1", None, "", "é🙂", "2.5"]]
    assert (await driver.run(QUERIES["awkward"])).rows == [[AWKWARD]]


async def test_tables_are_made_filled_and_read_and_labels_have_no_table_before_them(driver):
    ended = await driver.run("""
        SET x.y=1;
        CREATE TABLE pairs (a INT, b STRING);
        INSERT INTO pairs VALUES (1, 'x;y'), (2, NULL);
        SELECT pairs.a, b, SUM(a) OVER () AS c FROM pairs ORDER BY a;
        DROP TABLE pairs;
    """)
    assert (ended.labels, ended.rows) == (["a", "b", "c"], [["1", "x;y", "3"], ["2", None, "3"]])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELEKT 1", "SYNTAX"),
        ("SELECT * FROM not_there", "TABLE_NOT_FOUND"),
        ("SELECT nope FROM (SELECT 1 AS a) t", "COLUMN_NOT_FOUND"),
        ("SELECT nope(1)", "FUNCTION_NOT_FOUND"),
        ("USE nope", "DATABASE_NOT_FOUND"),
    ],
)
async def test_a_failure_has_its_word(driver, text, code):
    assert (await driver.run(text)).code == code


async def test_work_is_cancelled_in_the_server(driver):
    handle = await driver.submit(ENDLESS)
    for _ in range(4):
        assert (await driver.engine.poll(handle, wait=timedelta(seconds=1))).state is WorkState.RUNNING
    async with asyncio.timeout(10):
        await driver.engine.cancel(handle)
        assert (await driver.follow(handle))[0].state is WorkState.CANCELLED


async def test_work_of_a_killed_process_is_followed_and_fetched(driver, server):
    handle = await begun_elsewhere(server.port, SLOW, polls=3)
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED
    assert (await driver.fetch(handle)).row_count == 1
