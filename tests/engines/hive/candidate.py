"""The Hive engine as the contract suite asks it, on Spark's Thrift server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.hive.engine import HiveEngine
from app.engines.hive.transport import HiveAddress
from tests.engines.contract import AWKWARD, MANY, Candidate
from tests.engines.driving import Driver
from tests.support.spark import SparkServer

# A quote in a text stands behind a backslash; two quotes are the end of one text and the start of the next.
TEXT = "'" + AWKWARD.replace("'", "\\'") + "'"
QUERIES = {
    "values": "SELECT 1 AS `Id`, CAST(NULL AS STRING) AS nothing, '' AS blank, 'é🙂' AS `Läbel`, 2.50 AS price",
    "awkward": f"SELECT {TEXT} AS text -- it's a `comment`, $HOME\n",
    "many": f"SELECT id AS n, 'a text of some length that fills the row up' AS text FROM range(0, {MANY})",
    # One task: this Spark runs two at once, and the second is for the others.
    "endless": "SELECT COUNT(*) FROM range(0, 1000000000000, 1, 1) WHERE id % 7 = 3",
    "empty": "SELECT 1 AS a WHERE 1 = 0",
    "wrong": "SELECT 1 FRM WHERE",
    "missing": "SELECT * FROM not_there",
    "logged": "SELECT 1 AS a",
}


@asynccontextmanager
async def hive(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: SparkServer = request.getfixturevalue("spark_server")

    def engine() -> HiveEngine:
        return HiveEngine(name="hive", address=HiveAddress(host=server.host, port=server.hive_port))

    async def gone() -> bool:
        before = task_ticks(server.process.pid)
        await asyncio.sleep(0.3)
        return task_ticks(server.process.pid) == before

    driver = Driver(engine(), type=TaskType.HIVE, folder=folder)
    await driver.run("SELECT COUNT(*) FROM range(0, 1000, 1, 1) WHERE id % 7 = 3")  # the first query takes seconds
    yield Candidate(driver=driver, queries=QUERIES, gone=gone, twin=engine)
    await driver.engine.close()


def task_ticks(pid: int) -> int:
    """How long the threads that run Spark's tasks have used the processor."""
    ticks = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # it has ended
            if (thread / "comm").read_text().startswith("Executor task"):
                fields = (thread / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
    return ticks
