"""What the Hive engine does beside the contract: statements, sessions, types, errors, functions."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.engines.base import EngineError, TerminalEngineError, UdfKind, WorkState, WorkUdf
from tests.engines.driving import Driver, Ended
from tests.engines.hive.candidate import QUERIES
from tests.support.java import HIVE_FUNCTION, SPARK_FUNCTION

TYPES = """
SELECT CAST(1 AS TINYINT) a, CAST(2 AS SMALLINT) b, 3L c, CAST(0.1 AS FLOAT) d, 0.1D e, TRUE f,
    CAST('1.50' AS DECIMAL(10, 2)) g, DATE '2026-01-05' h, TIMESTAMP '2026-01-05 09:30:00.25' i, X'00FF' j,
    array(1, 2) k, map('x', 1) l, named_struct('y', 'ü') m, NULL n
"""


async def test_the_last_query_with_rows_is_the_output_and_what_follows_it_runs_too(driver):
    ended = await driver.run("""
        CREATE TABLE several (a INT, b STRING); -- a semicolon; in a comment
        INSERT INTO several VALUES (1, 'x;y'), (2, "it's");
        SELECT 1 AS not_this;
        SELECT b FROM several ORDER BY a;
        DROP TABLE several;
    """)
    assert (ended.labels, ended.rows) == (["b"], [["x;y"], ["it's"]])
    assert (await driver.run("SELECT * FROM several")).code == "TABLE_NOT_FOUND"


@pytest.mark.parametrize("text", ["CREATE TABLE IF NOT EXISTS alone (a INT)", "SET x.y=1; USE default"])
async def test_statements_without_rows_give_an_output_without_columns(driver, text):
    ended = await driver.run(text)
    assert (ended.state, ended.labels, ended.stored.row_count) == (WorkState.SUCCEEDED, [], 0)


@pytest.mark.parametrize("text", ["", "-- nothing\n;;"])
async def test_a_text_without_a_statement_is_refused(driver, text):
    assert (await driver.run(text)).code == "SYNTAX"


async def test_a_session_is_its_task_s_own(driver):
    made = await driver.run("SET x.own=1; CREATE TEMPORARY VIEW own AS SELECT 7 AS a; SELECT a FROM own; SET x.own")
    assert made.rows == [["x.own", "1"]]
    assert (await driver.run("SELECT a FROM own")).code == "TABLE_NOT_FOUND"
    assert (await driver.run("SET x.own")).rows == [["x.own", "<undefined>"]]


async def test_settings_and_the_database_hold_for_each_session(make):
    await make().run("CREATE DATABASE IF NOT EXISTS elsewhere")
    address = replace(make().engine._connections.address, database="elsewhere")
    driver = make(address=address, session_settings={"spark.sql.shuffle.partitions": "3"})
    assert (await driver.run("SELECT current_database()")).rows == [["elsewhere"]]
    assert (await driver.run("SET spark.sql.shuffle.partitions")).rows == [["spark.sql.shuffle.partitions", "3"]]


async def test_types_are_the_server_s_and_cells_are_written_by_the_house_s_rules(driver):
    ended = await driver.run(TYPES)
    assert dict(zip(ended.types, ended.rows[0], strict=True)) == {
        "TINYINT": "1",
        "SMALLINT": "2",
        "BIGINT": "3",
        "FLOAT": "0.1",
        "DOUBLE": "0.1",
        "BOOLEAN": "true",
        "DECIMAL(10,2)": "1.50",
        "DATE": "2026-01-05",
        "TIMESTAMP": "2026-01-05 09:30:00.250000",
        "BINARY": "AP8=",
        "ARRAY": "[1,2]",
        "MAP": '{"x":1}',
        "STRUCT": '{"y":"ü"}',
        "NULL": None,
    }


async def test_every_row_and_every_null_comes_through_over_many_fetches(driver):
    ended = await driver.run(
        "SELECT id, IF(id % 3 = 0, NULL, id) AS b, IF(id % 7 = 0, NULL, 'x') AS c FROM range(25000)"
    )
    rows = sorted((int(a), b, c) for a, b, c in ended.rows)
    assert rows == [(n, None if n % 3 == 0 else str(n), None if n % 7 == 0 else "x") for n in range(25_000)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELEKT 1", "SYNTAX"),
        ("SELECT nope FROM (SELECT 1 AS a) t", "COLUMN_NOT_FOUND"),
        ("SELECT nope(1)", "FUNCTION_NOT_FOUND"),
        ("USE nope", "DATABASE_NOT_FOUND"),
        ("SELECT assert_true(1 > 2)", "DATA"),
        ("SELECT raise_error('as written')", "DATA"),
    ],
)
async def test_a_failure_has_its_word_and_no_java(driver, text, code):
    ended = await driver.run(text)
    assert isinstance(ended.error, TerminalEngineError)
    assert ended.code == code
    assert "Exception" not in ended.message
    assert "\tat " not in ended.message


async def test_a_timeout_stops_the_work_in_the_server(driver):
    ended = await driver.run(QUERIES["endless"], limit=timedelta(seconds=0.5))
    assert (ended.state, ended.code) == (WorkState.FAILED, "TIMEOUT")


async def test_work_that_waits_to_be_fetched_can_be_cancelled(driver):
    handle = await driver.submit(QUERIES["logged"])
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED
    await driver.engine.cancel(handle)
    assert (await driver.engine.poll(handle, wait=timedelta(0))).state is WorkState.CANCELLED


async def test_more_work_than_connections_waits_for_one(make):
    driver = make(max_size=1)
    ended = await asyncio.gather(*(driver.run(f"SELECT {n} AS a") for n in range(3)))
    assert [each.rows for each in ended] == [[["0"]], [["1"]], [["2"]]]


async def test_a_server_that_is_not_there_is_a_transient_failure_and_no_health(make):
    driver = make(port=1)
    ended = await driver.run("SELECT 1")
    assert (ended.code, ended.error.retriable) == ("CONNECTION", True)
    assert not (await driver.engine.check()).healthy


# ---- functions


def function(jar: Path, name: str = "shout", **facts) -> WorkUdf:
    told = {"class_name": HIVE_FUNCTION, "kind": UdfKind.HIVE, "jar": jar, "sha256": "0" * 64}
    return WorkUdf(function_name=name, **{**told, **facts})


async def run_with(driver: Driver, query: str, *udfs: WorkUdf) -> Ended:
    engine = driver.engine
    try:
        handle = await engine.submit(replace(driver.work(query), udfs=udfs))
    except EngineError as error:
        return Ended(state=WorkState.FAILED, error=error)
    poll, _ = await driver.follow(handle)
    ended = Ended(state=poll.state, error=poll.error)
    if poll.state is WorkState.SUCCEEDED:
        ended.stored = await driver.fetch(handle)
        ended.path = driver._store.local_path(ended.stored.location)
    return ended


async def test_a_function_of_a_jar_is_there_for_its_task_and_no_other(driver, udf_jar):
    ended = await run_with(
        driver, "SELECT shout('ü') AS a, loud('b') AS b", function(udf_jar), function(udf_jar, "loud")
    )
    assert ended.rows == [["Ü!", "B!"]]
    assert (await driver.run("SELECT shout('a')")).code == "FUNCTION_NOT_FOUND"


async def test_a_spark_function_is_refused_with_a_reason(driver, udf_jar):
    udf = function(udf_jar, class_name=SPARK_FUNCTION, kind=UdfKind.SPARK)
    ended = await run_with(driver, "SELECT shout(1)", udf)
    assert ended.code == "UDF_REFUSED"
    assert "Spark function" in ended.message


async def test_a_jar_that_the_server_cannot_read_is_named_with_what_to_do(driver, tmp_path):
    ended = await run_with(driver, "SELECT shout('a')", function(tmp_path / "away.jar", class_name="org.example.Away"))
    assert ended.code == "UDF"
    assert "away.jar of this worker" in ended.message
    assert "S3" in ended.message
