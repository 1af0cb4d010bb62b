"""PySpark scripts as clients of a Spark Connect server, and by spark-submit."""

from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.base import WorkState
from app.engines.pyspark.delimiters import records_with
from app.engines.spark.address import SparkAddress
from app.engines.spark.engine import SparkEngine
from app.engines.spark.local import Distribution
from app.engines.spark.server import RemoteServer
from tests.engines.driving import Driver
from tests.engines.spark.functions import work_with
from tests.support.spark import SparkServer, spark_home

TINY = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}


async def test_a_script_has_the_task_s_functions_before_it_starts(script, udf_jar):
    text = "result = spark.sql(\"SELECT shout('a') AS word, plus_one(41L) AS answer\")\nprint('done')"
    handle = await script.engine.submit(work_with(script, text, udf_jar))
    poll, log = await script.follow(handle)
    assert (poll.state, poll.error) == (WorkState.SUCCEEDED, None)
    assert "done" in log
    stored = await script.fetch(handle)
    assert [(column.name, column.type) for column in stored.columns] == [("word", "STRING"), ("answer", "BIGINT")]


async def test_no_script_sees_another_s_views(script):
    ended = await script.run("spark.range(3).createOrReplaceTempView('mine')\nresult = spark.table('mine')")
    assert ended.rows == [["0"], ["1"], ["2"]]
    assert (await script.run("result = spark.table('mine')")).code == "ANALYSIS"


async def test_a_script_that_wants_its_context_goes_by_spark_submit(
    spark_server: SparkServer, tmp_path: Path, udf_jar: Path
):
    distribution = Distribution(
        home=spark_home(), master="local[1]", driver_memory_bytes=700 * 1024**2, conf=TINY | {"spark.app.name": "mine"}
    )
    engine = SparkEngine(
        name="spark",
        server=RemoteServer(SparkAddress.parse(spark_server.connect_url)),
        scratch=tmp_path / "scratch",
        submit=distribution,
    )
    driver = Driver(engine, type=TaskType.PYSPARK, folder=tmp_path)
    text = (
        "import sys\n"
        "total = spark.sparkContext.parallelize([1, 2, 3]).map(lambda n: n * 2).sum()\n"
        "print('to the log', file=sys.stderr)\n"
        "from pyspark.sql import Row\n"
        "result = spark.createDataFrame([Row(total=total, text='', none=None, struct=Row(x=1))],"
        " 'total int, text string, none string, struct struct<x:int>').selectExpr('*', \"shout('a') AS word\")\n"
        "spark.stop()\n"
    )
    handle = await engine.submit(work_with(driver, text, udf_jar))
    poll, log = await driver.follow(handle)
    assert (poll.state, poll.error) == (WorkState.SUCCEEDED, None), log
    assert "to the log" in log
    stored = await driver.fetch(handle)
    assert [column.type for column in stored.columns] == ["INT", "STRING", "STRING", "struct<x:int>", "STRING"]
    await engine.close()


@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_records_get_another_delimiter_and_keep_null_apart_from_blank(tmp_path, delimiter):
    path = tmp_path / "output.csv"
    path.write_bytes('a,b,c,d\n1,,"","x,y"\n"say ""hi""\n;",é🙂,|,\n'.encode())
    told = b"".join(records_with(delimiter, path)).decode()
    assert (
        told
        == {
            ",": '1,,"","x,y"\n"say ""hi""\n;",é🙂,|,\n',
            ";": '1;;"";x,y\n"say ""hi""\n;";é🙂;|;\n',
            "|": '1||""|x,y\n"say ""hi""\n;"|é🙂|"|"|\n',
        }[delimiter]
    )
