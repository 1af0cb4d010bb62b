"""What texts give on a Presto or a Trino server: sessions, order of statements, values, errors, limits."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from app.engines.base import TerminalEngineError, UdfKind, WorkState, WorkUdf
from tests.engines.driving import Driver
from tests.engines.presto.candidate import QUERIES


def table() -> str:
    return f"t_{uuid4().hex[:12]}"


async def test_what_a_statement_changes_in_the_session_holds_for_the_next(anywhere):
    ended = await anywhere.run("PREPARE p FROM SELECT ? AS b, 'a,=%;' AS c; EXECUTE p USING 41")
    assert ended.error is None
    assert (ended.labels, ended.rows) == (["b", "c"], [["41", "a,=%;"]])
    ended = await anywhere.run("PREPARE p FROM SELECT 1 AS b; DEALLOCATE PREPARE p; EXECUTE p")
    assert ended.code == "NOT_FOUND"


async def test_one_text_s_session_is_not_another_s(anywhere):
    assert (await anywhere.run("PREPARE mine FROM SELECT 1 AS a")).state is WorkState.SUCCEEDED
    assert (await anywhere.run("EXECUTE mine")).code == "NOT_FOUND"


async def test_statements_run_in_order_and_the_last_rows_are_the_output(anywhere):
    name = table()
    ended = await anywhere.run(
        f"CREATE TABLE {name} AS SELECT 1 AS a; SELECT 'not this' AS x; INSERT INTO {name} SELECT 2;"
        f" SELECT a FROM {name} ORDER BY a; DROP TABLE {name}"
    )
    assert ended.error is None
    assert (ended.labels, ended.rows) == (["a"], [["1"], ["2"]])
    assert any("INSERT: 1 rows" in line for line in ended.log)
    assert (await anywhere.run(f"SELECT * FROM {name}")).code == "NOT_FOUND"  # what follows the rows was run


async def test_what_is_no_query_gives_no_columns_and_no_rows(anywhere):
    name = table()
    ended = await anywhere.run(f"CREATE TABLE {name} AS SELECT 1 AS a")
    assert (ended.text, ended.labels, ended.stored.row_count) == ("", [], 0)
    ended = await anywhere.run(f"SELECT count(*) AS n FROM {name}; DROP TABLE {name}")
    assert ended.rows == [["1"]]


async def test_values_keep_all_that_the_server_says(anywhere):
    ended = await anywhere.run(
        "SELECT 9223372036854775807 AS a, CAST('12345678901234567890.0100' AS decimal(24,4)) AS b, true AS c,"
        " CAST('2020-02-29' AS date) AS d, CAST('2020-01-01 01:02:03.500' AS timestamp) AS e,"
        " CAST(1 AS double) / 3 AS f, CAST('NaN' AS double) AS g, CAST(NULL AS double) AS h"
    )
    assert ended.error is None
    assert ended.rows == [
        [
            *("9223372036854775807", "12345678901234567890.0100", "true", "2020-02-29", "2020-01-01 01:02:03.500"),
            *("0.3333333333333333", "nan", None),
        ]
    ]
    assert ended.types[1].replace(" ", "") == "decimal(24,4)"


async def test_what_is_nested_is_json_at_every_depth(anywhere, request):
    if "presto_server" in request.node.name:
        pytest.skip("the tests' own server has no nested types")
    ended = await anywhere.run(
        "SELECT CAST(ROW(1, ARRAY[2.50, NULL], MAP(ARRAY['k'], ARRAY[ARRAY[1]])) AS"
        " ROW(x bigint, y array(decimal(5,2)), z map(varchar, array(bigint)))) AS a, ARRAY[ROW(1, 'b')] AS b"
    )
    assert ended.rows == [['{"x":1,"y":[2.50,null],"z":{"k":[1]}}', '[[1,"b"]]']]


async def test_an_error_s_place_is_told_in_the_whole_text(anywhere):
    ended = await anywhere.run("SELECT 1 AS a;\n\n  SELECT 1 FROM WHERE")
    assert ended.code == "SYNTAX"
    assert ended.message.startswith("line 3:")


async def test_a_text_without_a_statement_is_refused_at_the_door(driver):
    assert (await driver.run(" -- nothing\n;")).code == "SYNTAX"
    assert (await driver.run("SELECT '\ud800'")).code == "SYNTAX"


async def test_functions_of_a_jar_are_refused_with_the_reason(driver):
    udf = WorkUdf(function_name="f", class_name="a.B", kind=UdfKind.HIVE, jar=Path("/x.jar"), sha256="00")
    with pytest.raises(TerminalEngineError, match="plugins") as caught:
        await driver.engine.submit(replace(driver.work("SELECT f(1)"), udfs=(udf,)))
    assert caught.value.code == "UNSUPPORTED"


async def test_a_time_limit_stops_the_query_in_the_server(anywhere: Driver):
    ended = await anywhere.run(QUERIES["endless"], limit=timedelta(seconds=1))
    assert (ended.state, ended.code) == (WorkState.FAILED, "TIMEOUT")
    assert "1 s" in ended.message


async def test_progress_is_told_over_all_statements(driver):
    handle = await driver.submit("SET SESSION a = 'b'; " + QUERIES["endless"])
    shares = []
    while not shares or shares[-1] <= 0.5:
        poll = await driver.engine.poll(handle, wait=timedelta(seconds=1))
        if poll.progress is not None:
            shares.append(poll.progress)
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] < 1  # the first of two is done, and the second at work
    await driver.engine.cancel(handle)
