"""The embedded engines as the contract suite asks them."""

import asyncio
import os
import subprocess
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.engine import EmbeddedSqlEngine
from app.engines.embedded.pyspark import EmbeddedPysparkEngine
from tests.engines.contract import AWKWARD, MANY, SQL_TEXT, Candidate
from tests.engines.driving import Driver

SQL_QUERIES = {
    "values": "SELECT 1 AS \"Id\", CAST(NULL AS VARCHAR) AS nothing, '' AS blank, 'é🙂' AS \"Läbel\", 2.50 AS price",
    "awkward": f"SELECT {SQL_TEXT} AS text -- it's a `comment`, $HOME\n",
    "many": (
        "SELECT a.n * 1000 + b.n AS n, 'a text of some length that fills the row up' AS text"
        " FROM UNNEST(sequence(0, 999)) AS a(n) CROSS JOIN UNNEST(sequence(0, 999)) AS b(n)"
    ),
    "endless": (
        "SELECT COUNT(*) FROM UNNEST(sequence(1, 100000)) AS a(n) CROSS JOIN UNNEST(sequence(1, 100000)) AS b(n)"
        " CROSS JOIN UNNEST(sequence(1, 100000)) AS c(n) WHERE (a.n * b.n) % 7 = c.n % 5"
    ),
    "empty": "SELECT 1 AS a WHERE 1 = 0",
    "wrong": "SELECT 1 FROM WHERE",
    "missing": "SELECT * FROM not_there",
    "logged": "SELECT 1 AS a",
}
PYSPARK_QUERIES = {
    "values": (
        "from decimal import Decimal\n"
        "result = spark.createDataFrame([(1, None, '', 'é🙂', Decimal('2.50'))],"
        " 'Id int, nothing string, blank string, `Läbel` string, price decimal(3,2)')"
    ),
    "awkward": f"# it's a `comment`, $HOME\nresult = spark.createDataFrame([({AWKWARD!r},)], ['text'])\n",
    "many": (
        "from pyspark.sql.functions import lit\n"
        "text = lit('a text of some length that fills the row up').alias('text')\n"
        f"result = spark.range({MANY}).select('id', text)"
    ),
    "endless": (
        "import subprocess\nsubprocess.Popen(['sleep', '61.25'])\nprint('started')\n"
        "spark.range(1000000).crossJoin(spark.range(1000000).toDF('n')).selectExpr('sum((id * n) % 7)').collect()"
    ),
    "empty": "result = spark.range(3).filter('id > 5').withColumnRenamed('id', 'a')",
    "wrong": "x = 1\ny = (\n",
    "missing": "spark.table('not_there').show()",
    "logged": "print('a line')",
}


def native_threads() -> set[int]:
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def busy_seconds(*, older: set[int]) -> float:
    """Processor time of the engine's threads: its own, and DuckDB's, which Python does not know.

    Servers and clients of other tests, such as moto's and gRPC's, have threads in this process too: they are known to
    Python, or `older`.
    """
    others = {thread.native_id for thread in threading.enumerate() if not thread.name.startswith("embedded-sql")}
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        if int(task.name) not in others | older:
            with suppress(OSError):  # it has just ended
                ticks += sum(map(int, (task / "stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def embedded_sql(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:  # noqa: ARG001 - one signature for all
    older = native_threads()
    engine = EmbeddedSqlEngine(
        catalogue=Catalogue(root=folder / "catalogue", registered={}),
        scratch=folder / "scratch",
        types=frozenset({TaskType.PRESTO}),
        memory_limit_bytes=256 * 1024 * 1024,
        threads=2,
        max_parallel=2,
    )

    async def gone() -> bool:
        """The query ran in threads of this process: now these use no more of the processor."""
        before = busy_seconds(older=older)
        await asyncio.sleep(0.5)
        return busy_seconds(older=older) - before < 0.05

    yield Candidate(driver=Driver(engine, type=TaskType.PRESTO, folder=folder), queries=SQL_QUERIES, gone=gone)
    await engine.close()


@asynccontextmanager
async def pyspark(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:  # noqa: ARG001 - one signature for all
    engine = EmbeddedPysparkEngine(
        catalogue=Catalogue(root=folder / "catalogue", registered={}), scratch=folder / "scratch", spare=False
    )

    async def gone() -> bool:
        """Neither the script's process nor what it started is there."""
        listed = await asyncio.to_thread(subprocess.check_output, ["ps", "-eo", "ppid,args"], text=True)
        own = [line for line in listed.splitlines() if line.split()[0] == str(os.getpid())]
        return "sleep 61.25" not in listed and not any("pyspark.runner" in line for line in own)

    driver = Driver(engine, type=TaskType.PYSPARK, folder=folder)
    yield Candidate(driver=driver, queries=PYSPARK_QUERIES, gone=gone, begins_after=2.5)
    await engine.close()
