# ruff: noqa: E501 - a case is a line, whatever its length
"""Tables that tasks make, fill, replace and drop, and what other tasks and other engines see of them."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from app.domain.tasks import TaskType
from app.engines.base import TransientEngineError, WorkState
from app.engines.embedded.catalogue import Catalogue, encode_name
from app.engines.embedded.registered import RegisteredTable
from tests.engines.embedded.harness import Runner, make_engine

HIVE, PRESTO, SPARK, MYSQL = TaskType.HIVE, TaskType.PRESTO, TaskType.SPARK_SQL, TaskType.MYSQL


async def rows(run: Runner, text: str, dialect: TaskType = SPARK) -> list[tuple[str, ...]]:
    result = await run(dialect, text)
    assert result.state is WorkState.SUCCEEDED, result.message
    return result.rows


async def code(run: Runner, text: str, dialect: TaskType = SPARK) -> str | None:
    result = await run(dialect, text)
    assert result.state is WorkState.FAILED
    return result.code


CREATES = [
    (HIVE, "CREATE TABLE t STORED AS ORC AS SELECT 1 AS a, 'x' AS b"),
    (HIVE, "CREATE TABLE IF NOT EXISTS t AS SELECT 1 AS a, 'x' AS b"),
    (HIVE, "CREATE TABLE t (a INT, b STRING); INSERT INTO TABLE t SELECT 1, 'x'"),
    (HIVE, "CREATE TABLE t (a INT) PARTITIONED BY (b STRING); INSERT OVERWRITE TABLE t PARTITION (b = 'x') SELECT 1"),
    (HIVE, "CREATE TABLE t (a INT) PARTITIONED BY (b STRING); INSERT INTO t PARTITION (b) SELECT '1', 'x'"),
    (HIVE, "CREATE DATABASE IF NOT EXISTS d; USE d; CREATE TABLE t AS SELECT 1 AS a, 'x' AS b"),
    (PRESTO, "CREATE TABLE t WITH (format = 'ORC') AS SELECT 1 AS a, 'x' AS b"),
    (PRESTO, "CREATE TABLE hive.default.t AS SELECT 1 AS a, 'x' AS b"),
    (PRESTO, "CREATE TABLE t (a bigint, b varchar); INSERT INTO t VALUES (1, 'x')"),
    (PRESTO, "CREATE TABLE t (a, b) AS SELECT 1, 'x'"),
    (PRESTO, "CREATE VIEW t AS SELECT 1 AS a, 'x' AS b"),
    (SPARK, "CREATE OR REPLACE TABLE t USING parquet AS SELECT 1 AS a, 'x' AS b"),
    (SPARK, "CREATE OR REPLACE VIEW t AS SELECT 1 AS a, 'x' AS b"),
    (SPARK, "CREATE TABLE t (a INT, b STRING) USING delta; INSERT INTO t (b, a) VALUES ('x', 1)"),
    (SPARK, "CREATE TABLE t (a INT, b STRING); WITH s AS (SELECT 1 AS a, 'x' AS b) INSERT OVERWRITE t SELECT * FROM s"),
    (MYSQL, "CREATE TABLE t AS SELECT 1 AS a, 'x' AS b"),
    (MYSQL, "CREATE TABLE t SELECT 1 AS a, 'x' AS b"),
    (MYSQL, "CREATE TABLE t (a INT NOT NULL, b VARCHAR(10) DEFAULT 'q', PRIMARY KEY (a)) ENGINE=InnoDB; INSERT INTO t VALUES (1, 'x')"),
    (MYSQL, "CREATE TABLE `T` AS SELECT 1 AS a, 'x' AS b"),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "text"), CREATES, ids=lambda value: str(value)[:70])
async def test_a_created_table_is_seen_by_every_dialect(fresh: Runner, dialect, text):
    made = await fresh(dialect, text)
    assert made.state is WorkState.SUCCEEDED, made.message
    assert (made.text, made.labels, made.row_count) == ("", [], 0), "DDL gives an output without columns"
    for other in (HIVE, PRESTO, SPARK, MYSQL):
        assert await rows(fresh, "SELECT a, b FROM t", other) == [("1", "x")]


async def test_statements_run_in_order_and_the_last_result_is_the_output(fresh: Runner):
    text = """
    DROP TABLE IF EXISTS t; -- there is none yet
    CREATE TABLE t AS SELECT 1 AS a;
    SELECT 'not this; one' AS x;
    INSERT INTO t VALUES (2);
    SELECT sum(a) AS total FROM t;
    INSERT INTO t VALUES (3);
    """
    assert await rows(fresh, text) == [("3",)]
    assert await rows(fresh, "SELECT count(*) AS n FROM t") == [("3",)]


async def test_creating_a_table_twice_is_refused_and_says_what_to_do(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT 1 AS a")
    result = await fresh(HIVE, "CREATE TABLE t AS SELECT 2 AS a")
    assert result.code == "TABLE_EXISTS"
    assert "DROP TABLE IF EXISTS t" in result.message
    assert await rows(fresh, "CREATE TABLE IF NOT EXISTS t AS SELECT 2 AS a; SELECT a FROM t") == [("1",)]
    assert await rows(fresh, "CREATE OR REPLACE TABLE t AS SELECT a + 1 AS a FROM t; SELECT a FROM t") == [("2",)]


async def test_overwrite_replaces_and_may_read_what_it_replaces(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT 1 AS a UNION ALL SELECT 2 AS a")
    await rows(fresh, "INSERT OVERWRITE TABLE t SELECT a * 10 FROM t WHERE a = 2", HIVE)
    assert await rows(fresh, "SELECT a FROM t") == [("20",)]


async def test_overwriting_a_partition_leaves_the_others(fresh: Runner):
    await rows(fresh, "CREATE TABLE t (a INT) PARTITIONED BY (d STRING); INSERT INTO t VALUES (1, 'x'), (2, 'y')", HIVE)
    await rows(fresh, "INSERT OVERWRITE TABLE t PARTITION (d = 'x') SELECT 9", HIVE)
    assert await rows(fresh, "SELECT a, d FROM t ORDER BY d") == [("9", "x"), ("2", "y")]
    await rows(fresh, "INSERT OVERWRITE TABLE t PARTITION (d) SELECT 7, 'y'", HIVE)
    assert await rows(fresh, "SELECT a, d FROM t ORDER BY d") == [("9", "x"), ("7", "y")]
    await rows(fresh, "INSERT OVERWRITE TABLE t PARTITION (d) SELECT 5, 'z'", SPARK)
    assert await rows(fresh, "SELECT a, d FROM t") == [("5", "z")], "Spark's static mode empties the table"


async def test_insert_checks_the_columns(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT 1 AS a, 'x' AS b")
    assert await code(fresh, "INSERT INTO t SELECT 1") == "SYNTAX"
    assert await code(fresh, "INSERT INTO t (a, c) SELECT 1, 2") == "COLUMN_NOT_FOUND"
    assert await code(fresh, "INSERT INTO nowhere SELECT 1") == "TABLE_NOT_FOUND"
    assert await code(fresh, "CREATE TABLE u AS SELECT 1 AS a, 2 AS a") == "SYNTAX"
    await rows(fresh, "INSERT INTO t (b) SELECT 'only b'", MYSQL)
    assert await rows(fresh, "SELECT a, b FROM t ORDER BY b") == [("", "only b"), ("1", "x")]


async def test_delete_and_truncate_leave_what_they_should(fresh: Runner):
    await rows(fresh, "CREATE TABLE t (a INT, b STRING); INSERT INTO t VALUES (1, 'x'), (2, NULL), (3, 'y')")
    await rows(fresh, "DELETE FROM t WHERE b = 'x'", PRESTO)
    assert await rows(fresh, "SELECT a FROM t ORDER BY a") == [("2",), ("3",)], "an unknown condition deletes nothing"
    await rows(fresh, "DELETE FROM t WHERE t.a = 2", MYSQL)
    assert await rows(fresh, "SELECT a FROM t ORDER BY a") == [("3",)]
    await rows(fresh, "TRUNCATE TABLE t", HIVE)
    assert await rows(fresh, "SELECT count(*) AS n FROM t") == [("0",)]


async def test_a_failed_task_publishes_nothing(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT 1 AS a")
    text = "INSERT INTO t VALUES (2); CREATE TABLE u AS SELECT 1 AS a; DROP TABLE t; SELECT * FROM nowhere"
    assert await code(fresh, text) == "TABLE_NOT_FOUND"
    assert await rows(fresh, "SELECT a FROM t") == [("1",)]
    assert await code(fresh, "SELECT * FROM u") == "TABLE_NOT_FOUND"


async def test_dropped_tables_are_gone_and_registered_ones_cannot_be_dropped(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT 1 AS a; DROP TABLE t")
    assert await code(fresh, "SELECT * FROM t") == "TABLE_NOT_FOUND"
    assert await code(fresh, "DROP TABLE t") == "TABLE_NOT_FOUND"
    await rows(fresh, "DROP TABLE IF EXISTS t")
    assert await code(fresh, "DROP TABLE sales") == "REFUSED"
    assert len(await rows(fresh, "SELECT id FROM sales")) == 5


async def test_a_tasks_table_shadows_a_registered_one_until_it_is_dropped(fresh: Runner):
    await rows(fresh, "CREATE TABLE sales AS SELECT 1 AS mine")
    assert await rows(fresh, "SELECT mine FROM sales") == [("1",)]
    await rows(fresh, "DROP TABLE sales")
    assert len(await rows(fresh, "SELECT id FROM sales")) == 5


async def test_temporary_tables_end_with_their_task(fresh: Runner):
    assert await rows(fresh, "CREATE TEMPORARY TABLE t AS SELECT 1 AS a; SELECT a FROM t", MYSQL) == [("1",)]
    assert await code(fresh, "SELECT a FROM t") == "TABLE_NOT_FOUND"


async def test_sums_keep_an_integer_type_in_tables(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT sum(id) AS s, 9007199254740993 AS big FROM sales", MYSQL)
    assert await rows(fresh, "SELECT s, big FROM t") == [("15", "9007199254740993")]


@pytest.mark.parametrize("name", ["`odd name`", "`ünï`", "`a.b`", "`%2e%2e`", "`select`", "schema_a.t"])
async def test_odd_names_are_tables_like_others(fresh: Runner, name):
    await rows(fresh, f"CREATE TABLE {name} AS SELECT 1 AS a")
    assert await rows(fresh, f"SELECT a FROM {name}") == [("1",)]
    await rows(fresh, f"INSERT INTO {name} VALUES (2); DROP TABLE {name}")


async def test_nested_values_survive_in_tables(fresh: Runner):
    await rows(fresh, "CREATE TABLE t AS SELECT ARRAY[1, 2] AS l, MAP(ARRAY['k'], ARRAY[1]) AS m", PRESTO)
    assert await rows(fresh, "SELECT k, v, x FROM t LATERAL VIEW explode(m) e AS k, v LATERAL VIEW explode(l) f AS x ORDER BY x", HIVE) == [("k", "1", "1"), ("k", "1", "2")]  # fmt: skip


async def test_concurrent_inserts_by_two_engines_lose_nothing(tmp_path: Path):
    playground = uuid4()
    runners = []
    for number in range(2):  # as two worker processes: nothing in memory is shared
        catalogue = Catalogue(root=tmp_path / "catalogue", registered={})
        engine = make_engine(catalogue, tmp_path / f"scratch-{number}")
        runners.append(Runner(engine, tmp_path, playground))
    await rows(runners[0], "CREATE TABLE t (n INT, who INT)")
    texts = [f"INSERT INTO t SELECT {n}, {who}" for n in range(12) for who in range(2)]
    results = await asyncio.gather(*(runners[index % 2](SPARK, text) for index, text in enumerate(texts)))
    assert {result.state for result in results} == {WorkState.SUCCEEDED}
    for runner in runners:
        assert await rows(runner, "SELECT count(*) AS n, count(DISTINCT n) AS d FROM t") == [("24", "12")]
        await runner.engine.close()


async def test_a_reader_sees_one_state_of_a_table_that_is_replaced_meanwhile(tmp_path: Path):
    catalogue = Catalogue(root=tmp_path / "catalogue", registered={})
    playground = uuid4()
    source = tmp_path / "one.parquet"
    duckdb.sql("SELECT 1 AS a").write_parquet(str(source))
    catalogue.publish(playground, "t", source)
    before = catalogue.tables(playground)["t"]
    duckdb.sql("SELECT 2 AS a").write_parquet(str(source))
    catalogue.publish(playground, "t", source)
    assert duckdb.sql(f"SELECT a FROM '{before}'").fetchall() == [(1,)]
    assert duckdb.sql(f"SELECT a FROM '{catalogue.tables(playground)['t']}'").fetchall() == [(2,)]
    catalogue.forget(playground)
    assert dict(catalogue.tables(playground)) == {}


async def test_a_lock_is_waited_for_and_the_waiting_has_an_end(tmp_path: Path):
    first, second = (Catalogue(root=tmp_path, registered={}) for _ in range(2))
    playground = uuid4()
    with first.lock(playground, "t"):
        with second.lock(playground, "u"):
            pass
        with pytest.raises(TransientEngineError) as caught, second.lock(playground, "T", timeout=timedelta(0)):
            pass
        assert caught.value.code == "LOCKED"
        with pytest.raises(TransientEngineError), second.lock(playground, "t", give_up=lambda: True):
            pass
    with second.lock(playground, "t", timeout=timedelta(0)):
        pass


def test_a_registered_file_is_converted_once_by_many_at_once_and_again_when_it_changes(tmp_path: Path):
    source = tmp_path / "numbers.csv"
    source.write_text("n\n" + "\n".join(map(str, range(1000))) + "\n")
    registered = {"Numbers": RegisteredTable(name="Numbers", path=source)}
    found: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: found.append(
                Catalogue(root=tmp_path / "root", registered=registered).tables(uuid4())["numbers"]
            )
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
    assert len(list((tmp_path / "root" / "registered").glob("*.parquet"))) == 1
    source.write_text("n\n7\n")
    changed = Catalogue(root=tmp_path / "root", registered=registered).tables(uuid4())["numbers"]
    assert duckdb.sql(f"SELECT n FROM '{changed}'").fetchall() == [(7,)]


async def test_folders_parquet_files_and_unreadable_sources(tmp_path: Path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.csv").write_text("x|y\n1|NONE\n")
    (folder / "b.csv").write_text("x|y\n2|two\n")
    (folder / "_SUCCESS").write_text("")
    duckdb.sql("SELECT 5 AS x").write_parquet(str(tmp_path / "five.parquet"))
    registered = {
        "parts": RegisteredTable(name="parts", path=folder, delimiter="|", null_values=("NONE",)),
        "five": RegisteredTable(name="five", path=tmp_path / "five.parquet"),
        "gone": RegisteredTable(name="gone", path=tmp_path / "gone.csv"),
    }
    engine = make_engine(Catalogue(root=tmp_path / "catalogue", registered=registered), tmp_path / "scratch")
    run = Runner(engine, tmp_path)
    assert await rows(run, "SELECT x, y FROM parts ORDER BY x") == [("1", ""), ("2", "two")]
    assert await rows(run, "SELECT x FROM five") == [("5",)]
    result = await run(HIVE, "SELECT * FROM gone")
    assert result.code == "TABLE_UNREADABLE"
    assert "gone.csv" in result.message
    await engine.close()


def test_names_become_safe_file_names():
    assert encode_name("Daily_1") == "daily_1"
    assert encode_name("../x") == "%2e%2e%2fx"
    assert "/" not in encode_name("a/b\\c~d")
    assert "~" not in encode_name("a~b")
