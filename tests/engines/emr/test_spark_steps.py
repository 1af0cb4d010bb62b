"""What the steps of HIVE, SPARK_SQL and PYSPARK tasks do, run as on a cluster, on a warm Spark."""

from dataclasses import replace

import pytest

from app.domain.tasks import TaskType
from app.engines.base import UdfKind, WorkState, WorkUdf
from tests.engines.contract import AWKWARD, SQL_TEXT
from tests.engines.driving import Driver, Ended
from tests.support.java import HIVE_FUNCTION, SPARK_FUNCTION

VALUES = (
    "SELECT 1 AS `Id`, CAST(NULL AS STRING) AS nothing, '' AS blank, 'é🙂' AS `Läbel`,"
    " CAST(2.50 AS DECIMAL(3, 2)) AS price, 7L AS big"
)


@pytest.fixture
async def run(cluster, tmp_path):
    """Runs a text of a kind as a task."""
    engine = cluster.engine(max_step_retries=0)

    async def run(type: TaskType, text: str, **values: object) -> Ended:
        return await Driver(engine, type=type, folder=tmp_path).run(text, **values)

    yield run
    await engine.close()


async def test_spark_sql_keeps_labels_types_null_and_a_text_full_of_quotes(run):
    ended = await run(TaskType.SPARK_SQL, f"SET x.y = 1; -- it's\n{VALUES}, {SQL_TEXT} AS text, array(1, 2) AS list;")
    assert ended.labels == ["Id", "nothing", "blank", "Läbel", "price", "big", "text", "list"]
    assert ended.rows == [["1", None, "", "é🙂", "2.50", "7", AWKWARD, "[1,2]"]]
    assert ended.types == ["INT", "STRING", "STRING", "STRING", "DECIMAL(3,2)", "BIGINT", "STRING", "array<int>"]


async def test_two_columns_of_one_label_and_rows_in_their_order_come_through(run):
    ended = await run(TaskType.SPARK_SQL, "SELECT id AS a, -id AS a FROM range(500) ORDER BY id DESC")
    assert ended.labels == ["a", "a"]
    assert ended.rows == [[str(number), str(-number)] for number in range(499, -1, -1)]


async def test_a_statement_without_rows_gives_none(run):
    ended = await run(TaskType.SPARK_SQL, "CREATE OR REPLACE TEMPORARY VIEW v AS SELECT 1 AS a")
    assert ended.state is WorkState.SUCCEEDED
    assert (ended.stored.columns, ended.stored.row_count) == ((), 0)


async def test_spark_s_errors_are_told_by_their_kind(run):
    wrong = await run(TaskType.SPARK_SQL, "SELECT 1 FROM (")
    assert (wrong.code, wrong.error.retriable) == ("SYNTAX", False)
    missing = await run(TaskType.SPARK_SQL, "SELECT * FROM not_there")
    assert missing.code == "TABLE_NOT_FOUND"
    assert "not_there" in missing.message
    assert "JVM stacktrace" not in missing.message


async def test_a_pyspark_script_finds_spark_and_its_prints_are_its_log(run):
    ended = await run(
        TaskType.PYSPARK,
        f"print('begun')\nresult = spark.createDataFrame([(1, {AWKWARD!r})], ['n', 'text'])\nspark.stop()\n",
    )
    assert ended.rows == [["1", AWKWARD]]
    assert "begun" in ended.log


async def test_what_a_pyspark_script_writes_to_its_path_is_its_output(run):
    ended = await run(TaskType.PYSPARK, "spark.range(3).selectExpr('id AS n').write.parquet(output_path)")
    assert (ended.labels, ended.types) == (["n"], ["BIGINT"]), ended.message
    assert sorted(ended.rows) == [["0"], ["1"], ["2"]]
    ended = await run(TaskType.PYSPARK, "x = 1")
    assert ended.state is WorkState.SUCCEEDED
    assert ended.stored.columns == ()


async def test_a_pyspark_script_that_fails_tells_its_line(run):
    ended = await run(TaskType.PYSPARK, "x = 1\nprint(1 / 0)\n")
    assert ended.code == "SCRIPT"
    assert ended.message == "ZeroDivisionError in line 2 (print(1 / 0)): division by zero"
    assert any("ZeroDivisionError" in line for line in ended.log)


async def test_hive_keeps_null_the_empty_string_and_a_text_full_of_quotes(run):
    text = "'" + AWKWARD.replace("\\", "\\\\").replace("'", "\\'") + "'"
    ended = await run(
        TaskType.HIVE,
        f"-- it's;\nSET x.y=1;\nWITH t AS (SELECT 1 AS n) {VALUES}, {text} AS text, map('k', array(n)) AS m FROM t",
    )
    assert ended.labels == ["id", "nothing", "blank", "läbel", "price", "big", "text", "m"]  # Hive has no other letters
    assert ended.rows == [["1", None, "", "é🙂", "2.50", "7", AWKWARD, '{"k":[1]}']]
    assert ended.types[:2] == ["INT", "STRING"]


async def test_hive_lists_what_there_is(run):
    ended = await run(TaskType.HIVE, "SHOW DATABASES")
    assert ended.rows == [["default"]]


async def test_hive_s_errors_are_told_by_their_numbers(run):
    missing = await run(TaskType.HIVE, "SELECT * FROM not_there")
    assert (missing.code, missing.error.retriable) == ("TABLE_NOT_FOUND", False)
    assert (await run(TaskType.HIVE, "SELECT 1 FROM (")).code == "SYNTAX"


async def test_functions_are_registered_in_the_session_of_the_work(cluster, udf_jar, tmp_path):
    engine = cluster.engine(max_step_retries=0)
    shout = WorkUdf(function_name="shout", class_name=HIVE_FUNCTION, kind=UdfKind.HIVE, jar=udf_jar, sha256="a" * 64)
    plus = WorkUdf(
        function_name="plus_one",
        class_name=SPARK_FUNCTION,
        kind=UdfKind.SPARK,
        jar=udf_jar,
        sha256="b" * 64,
        return_type="bigint",
    )
    try:
        for type_, text, udfs, expected in (
            (TaskType.HIVE, "SELECT shout('a') AS a", (shout,), "a\nA!\n"),
            (TaskType.SPARK_SQL, "SELECT concat(shout('a'), plus_one(1L)) AS a", (shout, plus), "a\nA!2\n"),
        ):
            driver = Driver(engine, type=type_, folder=tmp_path)
            handle = await engine.submit(replace(driver.work(text), udfs=udfs))
            poll, _log = await driver.follow(handle)
            assert poll.state is WorkState.SUCCEEDED, poll.error
            stored = await driver.fetch(handle)
            assert driver._store.local_path(stored.location).read_text() == expected
    finally:
        await engine.close()


async def test_the_log_of_a_step_that_died_is_brought_from_the_bucket(light_cluster, tmp_path):
    engine = light_cluster.engine(max_step_retries=0)  # there is no Spark to be had, so the step dies
    ended = await Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path).run("SELECT 1")
    assert (ended.code, ended.error.retriable) == ("STEP_FAILED", True)
    assert any("CLUSTER_SPARK" in line for line in ended.log)
    await engine.close()
