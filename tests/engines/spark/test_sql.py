"""Spark SQL by Spark Connect: sessions, statements, values, errors and functions."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from app.domain.tasks import TaskType
from app.engines.base import Handle, TerminalEngineError, TransientEngineError, WorkState
from app.engines.spark.address import SparkAddress
from app.engines.spark.client import SparkClient
from app.engines.spark.engine import SparkEngine
from app.engines.spark.server import RemoteServer
from tests.engines.driving import Driver
from tests.engines.spark.functions import work_with
from tests.support.processes import free_port


async def test_no_task_sees_another_s_views(sql):
    ended = await sql.run("CREATE TEMPORARY VIEW mine AS SELECT 1 AS a; SELECT * FROM mine")
    assert ended.rows == [["1"]]
    assert (await sql.run("SELECT * FROM mine")).code == "TABLE_NOT_FOUND"


async def test_tables_stay_for_other_tasks(sql):
    name = f"t_{uuid4().hex}"
    ended = await sql.run(f"CREATE TABLE {name} USING parquet AS SELECT id FROM range(3)")
    assert (ended.state, ended.labels) == (WorkState.SUCCEEDED, [])
    assert (await sql.run(f"SELECT count(*) AS n FROM {name}; DROP TABLE {name}")).rows == [["3"]]


async def test_the_last_query_s_rows_are_the_output(sql):
    ended = await sql.run("SELECT 1 AS first; SELECT 2 AS last; SET spark.sql.shuffle.partitions = 3; -- the end")
    assert (ended.labels, ended.rows) == (["last"], [["2"]])


async def test_a_statement_that_is_no_query_gives_its_answer_when_nothing_else_does(sql):
    assert (await sql.run("SET spark.sql.shuffle.partitions = 3")).rows == [["spark.sql.shuffle.partitions", "3"]]


async def test_a_statement_fails_the_text_and_stops_what_follows(sql):
    name = f"t_{uuid4().hex}"
    ended = await sql.run(f"SELECT 1; SELECT raise_error('no more'); CREATE TABLE {name} (a INT) USING parquet")
    assert (ended.state, "no more" in ended.message) == (WorkState.FAILED, True)
    assert (await sql.run(f"SELECT * FROM {name}")).code == "TABLE_NOT_FOUND"


async def test_a_compound_statement_is_one(sql):
    ended = await sql.run("BEGIN DECLARE n INT DEFAULT 4; SELECT n + 1 AS five; END")
    assert (ended.labels, ended.rows) == (["five"], [["5"]])


async def test_values_of_every_kind_read_as_spark_shows_them(sql):
    ended = await sql.run(
        "SELECT 1 AS a, 2 AS a, CAST(0.1 AS FLOAT) AS f, DATE '2026-01-05' AS d, TIMESTAMP '2026-01-05 09:30:00' AS t,"
        " array(1, NULL) AS l, map('k', 1) AS m, named_struct('x', 1) AS s, X'00FF' AS b, true AS yes"
    )
    assert ended.labels[:2] == ["a", "a"]
    assert ended.rows == [
        ["1", "2", "0.1", "2026-01-05", "2026-01-05 09:30:00", "[1,null]", '{"k":1}', '{"x":1}', "AP8=", "true"]
    ]
    assert ended.types == [
        *("INT", "INT", "FLOAT", "DATE", "TIMESTAMP"),
        *("array<int>", "map<string,int>", "struct<x:int>", "BINARY", "BOOLEAN"),
    ]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("SELECT nope FROM range(3)", "COLUMN_NOT_FOUND"),
        ("SELECT nope(1)", "FUNCTION_NOT_FOUND"),
        ("SELECT * FROM not_there.t", "TABLE_NOT_FOUND"),
        ("USE not_there", "DATABASE_NOT_FOUND"),
        ("SELECT CAST('x' AS INT)", "DATA"),
        ("SELECT 1 / 0", "DATA"),
        ("SELECT a, count(*) FROM VALUES (1) AS t(a)", "ANALYSIS"),
        ("-- nothing", "SYNTAX"),
        ("SELECT '\ud800'", "SYNTAX"),
    ],
)
async def test_errors_are_named_by_their_condition(sql, text, code):
    ended = await sql.run(text)
    assert (type(ended.error), ended.code) == (TerminalEngineError, code)


async def test_the_connection_s_keys_are_set_in_every_session(spark_server, tmp_path):
    server = RemoteServer(SparkAddress.parse(spark_server.connect_url))
    engine = SparkEngine(name="spark", server=server, scratch=tmp_path, conf={"spark.sql.ansi.enabled": "false"})
    driver = Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path)
    assert (await driver.run("SELECT CAST('x' AS INT) AS a")).rows == [[None]]
    await engine.close()


async def test_progress_comes_while_it_runs(sql):
    handle = await sql.submit("SELECT sum(id * 7 % 13) FROM range(0, 100000000000000, 1, 1)")
    told = ""
    while "tasks" not in told:
        poll = await sql.engine.poll(handle, wait=timedelta(seconds=30))
        assert poll.state is WorkState.RUNNING
        told = " ".join(line.text for line in poll.log)
    assert poll.progress is not None
    await sql.engine.cancel(handle)


async def test_a_time_limit_stops_it_in_the_server(sql, spark_server):
    ended = await sql.run("SELECT sum(id * 7 % 13) FROM range(0, 100000000000000, 1, 1)", limit=timedelta(seconds=0.5))
    assert ended.code == "TIMEOUT"
    async with asyncio.timeout(6):
        while not await spark_server.is_idle():
            pass


async def test_functions_of_both_kinds_are_there_for_this_task_alone(sql, udf_jar):
    handle = await sql.engine.submit(work_with(sql, "SELECT shout('it''s'), plus_one(41L), shout(NULL)", udf_jar))
    await sql.follow(handle)
    stored = await sql.fetch(handle)
    assert stored.row_count == 1
    assert (await sql.run("SELECT shout('x')")).code == "FUNCTION_NOT_FOUND"


async def test_a_session_that_the_server_does_not_know_is_lost(sql):
    handle = Handle(text=f"spark:{uuid4()}", durable=True)
    with pytest.raises(TerminalEngineError) as caught:
        await sql.follow(handle)
    assert caught.value.code == "LOST"


async def test_a_session_that_is_ended_before_its_first_statement_is_worth_another_attempt(sql, monkeypatch):
    configure = SparkClient.configure

    async def too_late(client, session, conf):
        await configure(client, session, conf)
        await client.release(session)
        await configure(client, session, conf)

    monkeypatch.setattr(SparkClient, "configure", too_late)
    ended = await sql.run("SELECT 1")
    assert (type(ended.error), ended.code) == (TransientEngineError, "CONNECTION")


async def test_a_server_that_is_away_is_worth_another_attempt_and_not_well(tmp_path, monkeypatch):
    monkeypatch.setattr("app.engines.spark.client._PAUSES", (0.01,))
    address = SparkAddress(host="127.0.0.1", port=free_port())
    engine = SparkEngine(name="spark", server=RemoteServer(address), scratch=tmp_path)
    ended = await Driver(engine, type=TaskType.SPARK_SQL, folder=tmp_path).run("SELECT 1")
    assert (type(ended.error), ended.code) == (TransientEngineError, "CONNECTION")
    assert not (await engine.check()).healthy
    await engine.close()
