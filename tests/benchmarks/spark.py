"""A small Spark query: the second one on a warm session, beside a spark-submit for each task."""

import asyncio
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from app.domain.tasks import TaskType
from app.engines.base import WorkState
from tests.engines.driving import Driver
from tests.engines.spark.candidate import engine_at
from tests.support.processes import Reaper
from tests.support.spark import JVM_OPTIONS, SparkServer, spark_environment, spark_home

QUERY = "SELECT id % 7 AS day, count(*) AS n FROM range(10000) GROUP BY 1 ORDER BY 1"
SCRIPT = f'result = spark.sql("{QUERY}")'
SUBMITTED = f'from pyspark.sql import SparkSession\nSparkSession.builder.getOrCreate().sql("{QUERY}").collect()\n'
WARM, SCRIPTS, SUBMIT = "Spark SQL, warm session", "PySpark script, warm session", "spark-submit"
REPEATS = 5
SUBMISSIONS = 3


def main() -> dict[str, Any]:
    with ExitStack() as stack:
        reaper = Reaper()
        stack.callback(reaper.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = SparkServer(reaper=reaper)
        server.start()
        stack.callback(server.close)
        seconds = asyncio.run(warm(server, folder))
        seconds[SUBMIT] = [submitted(folder) for _ in range(SUBMISSIONS)]
    rows = {
        name: {"median s": median(each), "x of spark-submit": median(seconds[SUBMIT]) / median(each)}
        for name, each in seconds.items()
    }
    return {"unit": f"{QUERY!r}; seconds from submit to stored output", "rows": rows}


async def warm(server: SparkServer, folder: Path) -> dict[str, list[float]]:
    engine = engine_at(server, folder)
    sql = Driver(engine, type=TaskType.SPARK_SQL, folder=folder)
    script = Driver(engine, type=TaskType.PYSPARK, folder=folder)
    seconds = {
        WARM: await timed(lambda: run(sql, QUERY), REPEATS),
        SCRIPTS: await timed(lambda: run(script, SCRIPT), SUBMISSIONS),
    }
    await engine.close()
    return seconds


async def run(driver: Driver, text: str) -> None:
    ended = await driver.run(text)
    if ended.state is not WorkState.SUCCEEDED:
        raise AssertionError(ended.message)


async def timed(work: Callable[[], Awaitable[None]], repeats: int) -> list[float]:
    """The first is not counted: it warms the session up."""
    seconds = []
    for _ in range(1 + repeats):
        begin = perf_counter()
        await work()
        seconds.append(perf_counter() - begin)
    return seconds[1:]


def submitted(folder: Path) -> float:
    script = folder / "script.py"
    script.write_text(SUBMITTED)
    options = ("--master", "local[2]", "--conf", f"spark.driver.extraJavaOptions={' '.join(JVM_OPTIONS)}")
    begin = perf_counter()
    subprocess.run(
        [spark_home() / "bin" / "spark-submit", "--driver-memory", "700m", *options, script],
        env=dict(spark_environment(folder)),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return perf_counter() - begin
