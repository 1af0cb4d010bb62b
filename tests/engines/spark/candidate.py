"""The Spark engine as the contract suite asks it, on a real Spark Connect server: by SQL, and by scripts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.spark.address import SparkAddress
from app.engines.spark.engine import SparkEngine
from app.engines.spark.server import RemoteServer
from tests.engines.contract import AWKWARD, MANY, Candidate
from tests.engines.driving import Driver
from tests.engines.embedded.candidate import PYSPARK_QUERIES
from tests.support.spark import SparkServer

_LITERAL = "'" + AWKWARD.replace("\\", "\\\\").replace("'", "\\'") + "'"
# One partition, which leaves a core to others; a nested loop would look but rarely whether it is to stop.
_ENDLESS = "range(0, 100000000000000, 1, 1)"
SQL_QUERIES = {
    "values": "SELECT 1 AS Id, CAST(NULL AS STRING) AS nothing, '' AS blank, 'é🙂' AS `Läbel`, 2.50BD AS price",
    "awkward": f"SELECT {_LITERAL} AS text -- it's a `comment`, $HOME\n",
    "many": f"SELECT id AS n, 'a text of some length that fills the row up' AS text FROM range({MANY})",
    "endless": f"SELECT sum(id * 7 % 13) FROM {_ENDLESS}",
    "empty": "SELECT 1 AS a WHERE 1 = 0",
    "wrong": "SELECT 1 FROM (WHERE",
    "missing": "SELECT * FROM not_there",
    "logged": "SELECT 1 AS a",
}
SCRIPTS = PYSPARK_QUERIES | {
    "endless": f"print('started')\nspark.{_ENDLESS}.selectExpr('sum(id * 7 % 13)').collect()",
}


@asynccontextmanager
async def spark_sql(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: SparkServer = request.getfixturevalue("spark_server")
    engine = engine_at(server, folder)
    driver = Driver(engine, type=TaskType.SPARK_SQL, folder=folder)
    await driver.run("SELECT count(*) FROM range(10)")  # a server's first query takes some seconds
    yield Candidate(
        driver=driver,
        queries=SQL_QUERIES,
        gone=server.is_idle,
        begins_after=2,
        twin=lambda: engine_at(server, folder),
    )
    await engine.close()


@asynccontextmanager
async def spark_pyspark(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: SparkServer = request.getfixturevalue("spark_server")
    engine = engine_at(server, folder, spare=True)
    driver = Driver(engine, type=TaskType.PYSPARK, folder=folder)
    yield Candidate(driver=driver, queries=SCRIPTS, gone=server.is_idle, begins_after=5)
    await engine.close()


def engine_at(server: SparkServer, folder: Path, *, spare: bool = False) -> SparkEngine:
    address = SparkAddress.parse(server.connect_url)
    return SparkEngine(name="spark", server=RemoteServer(address), scratch=folder / "scratch", spare=spare)
