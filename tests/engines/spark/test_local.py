"""A Spark that the worker starts itself."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.base import TerminalEngineError
from app.engines.spark.address import SparkAddress
from app.engines.spark.client import SparkClient
from app.engines.spark.engine import SparkEngine
from app.engines.spark.local import Distribution, LocalServer
from tests.engines.driving import Driver
from tests.engines.spark.test_scripts import TINY
from tests.support.spark import spark_home


def server_of(home: Path, folder: Path) -> LocalServer:
    distribution = Distribution(home=home, master="local[2]", driver_memory_bytes=700 * 1024**2, conf=TINY)
    return LocalServer(distribution=distribution, folder=folder)


async def test_it_starts_with_the_first_work_serves_both_kinds_and_comes_back_when_it_has_died(tmp_path):
    server = server_of(spark_home(), tmp_path / "server")
    engine = SparkEngine(name="spark", server=server, scratch=tmp_path / "scratch", spare=False)
    assert (await engine.check()).healthy
    assert not (tmp_path / "server").exists()
    sql = Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path)
    script = Driver(engine, type=TaskType.PYSPARK, folder=tmp_path)

    assert (await sql.run("CREATE TABLE t AS SELECT 7 AS a; SELECT * FROM t")).rows == [["7"]]
    assert (await script.run("result = spark.table('t')")).rows == [["7"]]
    assert not (await sql.submit("SELECT 1")).durable
    client = await server.client()
    stranger = SparkClient(SparkAddress(host="localhost", port=client.address.port))
    with pytest.raises(TerminalEngineError):
        await stranger.version(seconds=10)
    await stranger.close()

    assert server.process_id
    os.killpg(server.process_id, signal.SIGKILL)
    async with asyncio.timeout(10):
        while server.process_id is not None:  # noqa: ASYNC110 - a look is all that there is
            await asyncio.sleep(0.01)
    assert (await sql.run("SELECT 1 AS a")).rows == [["1"]]
    await engine.close()
    assert server.process_id is None


async def test_a_folder_without_a_spark_is_said(tmp_path):
    engine = SparkEngine(name="spark", server=server_of(tmp_path, tmp_path / "server"), scratch=tmp_path)
    health = await engine.check()
    assert (health.healthy, str(tmp_path) in (health.message or "")) == (False, True)
    ended = await Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path).run("SELECT 1")
    assert ended.code == "NO_SPARK"
    await engine.close()
