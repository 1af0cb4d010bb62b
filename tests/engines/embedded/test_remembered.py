"""What the engine keeps between two works, and that no work notices it: texts, sessions, views, schemas."""

import asyncio
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb

from app.domain.tasks import TaskType
from app.engines.base import WorkState
from app.engines.embedded import databases
from app.engines.embedded import engine as engine_module
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.registered import RegisteredTable
from app.engines.embedded.translation.tables import TableSchema
from app.engines.embedded.translation.translator import Translator
from tests.engines.embedded.harness import Runner, make_engine, wait_for_end, work

HIVE, PRESTO, SPARK, MYSQL = TaskType.HIVE, TaskType.PRESTO, TaskType.SPARK_SQL, TaskType.MYSQL
_STAR = "SELECT * FROM t"


def test_a_text_is_parsed_and_translated_once_for_the_same_tables():
    translator = Translator(HIVE)
    text = "SELECT a FROM s.t; SELECT nvl(b, 0) AS b FROM t"

    def translations(schema: TableSchema, key: str = "t"):
        schemas = {key: schema}
        return [
            translator.translate(each.tree, text=text, place=each.place, lookup=lambda _: key, schemas=schemas)
            for each in translator.parse(text)
        ]

    assert translator.parse(text) is translator.parse(text)
    numbers = TableSchema(columns=(("a", "INTEGER"), ("b", "INTEGER")))
    first = translations(numbers)
    assert [each.labels for each in first] == [("a",), ("b",)]
    assert all(again is before for again, before in zip(translations(numbers), first, strict=True))
    for changed in (
        translations(TableSchema(columns=(("a", "INTEGER"), ("b", "DOUBLE")))),
        translations(numbers, key="s.t"),
    ):
        assert not any(now is before for now, before in zip(changed, first, strict=True))


async def test_the_same_text_follows_its_table_through_every_change(fresh: Runner):
    assert (await fresh(HIVE, _STAR)).code == "TABLE_NOT_FOUND"
    for values, labels, rows in (
        ("1 AS a", ["a"], [("1",)]),
        ("2 AS a", ["a"], [("2",)]),
        ("CAST(2.5 AS double) AS a", ["a"], [("2.5",)]),
        ("'x,y' AS a", ["a"], [("x,y",)]),
        ("3 AS A, true AS b", ["A", "b"], [("3", "true")]),
        ("1 AS a", ["a"], [("1",)]),
    ):
        made = await fresh(PRESTO, f"DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT {values}")
        assert made.state is WorkState.SUCCEEDED, made.message
        for _ in range(2):
            result = await fresh(HIVE, _STAR)
            assert (result.labels, result.rows) == (labels, rows)
    await fresh(HIVE, "DROP TABLE t")
    assert (await fresh(HIVE, _STAR)).code == "TABLE_NOT_FOUND"
    assert (await fresh(HIVE, "WITH t AS (SELECT 9 AS own) SELECT * FROM t")).labels == ["own"]


async def test_the_same_text_means_each_playgrounds_and_each_dialects_own(fresh: Runner, tmp_path: Path):
    other = Runner(fresh.engine, tmp_path)
    await fresh(HIVE, "CREATE TABLE t AS SELECT 1 AS a")
    await other(HIVE, "CREATE TABLE t AS SELECT 'x' AS b, 2 AS c")
    for _ in range(2):
        assert (await fresh(HIVE, _STAR)).rows == [("1",)]
        assert (await other(HIVE, _STAR)).rows == [("x", "2")]
        assert (await fresh(HIVE, "SELECT 7 / 2 AS x")).rows == [("3.5",)]
        assert (await fresh(PRESTO, "SELECT 7 / 2 AS x")).rows == [("3",)]


async def test_another_process_replaces_a_table_and_the_next_work_sees_it(tmp_path: Path):
    playground = uuid4()
    engines = [
        make_engine(Catalogue(root=tmp_path / "catalogue", registered={}), tmp_path / "scratch") for _ in range(2)
    ]
    one, other = (Runner(engine, tmp_path, playground) for engine in engines)
    await one(SPARK, "CREATE TABLE t AS SELECT 0 AS a")
    for number in range(1, 5):
        await other(SPARK, f"INSERT OVERWRITE t SELECT {number}")
        assert (await one(SPARK, _STAR)).rows == [(str(number),)]
    for engine in engines:
        await engine.close()


async def test_a_registered_parquet_file_may_change_in_its_place(tmp_path: Path):
    path = tmp_path / "live.parquet"
    duckdb.sql("SELECT 1 AS a").write_parquet(str(path))
    registered = {"t": RegisteredTable(name="t", path=path)}
    engine = make_engine(Catalogue(root=tmp_path / "catalogue", registered=registered), tmp_path / "scratch")
    run = Runner(engine, tmp_path)
    assert (await run(HIVE, _STAR)).labels == ["a"]
    duckdb.sql("SELECT 'x' AS b, 2 AS c").write_parquet(str(path))
    result = await run(HIVE, _STAR)
    assert (result.labels, result.rows) == (["b", "c"], [("x", "2")])
    await engine.close()


async def test_tables_within_one_text_are_read_as_its_statements_leave_them(fresh: Runner):
    text = """
    CREATE TEMPORARY TABLE t AS SELECT 1 AS a;
    CREATE TABLE seen AS SELECT * FROM t;
    DROP TABLE t;
    CREATE TEMPORARY TABLE t AS SELECT 'x' AS b;
    SELECT * FROM t CROSS JOIN seen
    """
    for _ in range(3):
        assert (await fresh(MYSQL, f"{text}; DROP TABLE seen")).rows == [("x", "1")]
        assert (await fresh(MYSQL, _STAR)).code == "TABLE_NOT_FOUND"


async def test_macros_of_an_earlier_work_are_there_and_cannot_be_called(fresh: Runner):
    for _ in range(2):
        assert (await fresh(HIVE, "SELECT pmod(-7, 3) AS m, initcap('a b') AS i")).rows == [("2", "A B")]
        assert (await fresh(HIVE, "SELECT phantom_pmod(-7, 3) AS m")).code == "UNSUPPORTED"


async def test_a_failed_query_spoils_nothing_for_the_next(fresh: Runner):
    await fresh(HIVE, "CREATE TABLE t AS SELECT 'x' AS a")
    for _ in range(2):
        assert (await fresh(PRESTO, "SELECT CAST(a AS bigint) AS n FROM t")).code == "DATA_ERROR"
        assert (await fresh(PRESTO, _STAR)).rows == [("x",)]


async def test_an_interrupt_never_hits_the_work_that_has_the_session_next(fresh: Runner):
    """One thread, so one session: each cancelled work is followed by one that must not notice."""
    await fresh(PRESTO, "CREATE TABLE t AS SELECT n FROM UNNEST(sequence(1, 2000)) AS s (n)")
    heavy = "SELECT count(*) AS c FROM t a CROSS JOIN t b"
    for step in range(30):
        handle = await fresh.engine.submit(work(PRESTO, heavy, fresh.playground_id))
        await asyncio.sleep(step * 0.0004)
        await fresh.engine.cancel(handle)
        follower = await fresh.engine.submit(work(PRESTO, heavy, fresh.playground_id))
        await wait_for_end(fresh.engine, handle)
        poll = await wait_for_end(fresh.engine, follower)
        assert poll.state is WorkState.SUCCEEDED, poll.error


async def test_a_large_output_can_be_cancelled_while_it_is_written(fresh: Runner, monkeypatch):
    text = "WITH d AS (SELECT n FROM UNNEST(sequence(1, 20000)) AS t (n)) SELECT a.n, b.n AS m FROM d a CROSS JOIN d b"
    for seconds in (60.0, 0.0):
        monkeypatch.setattr("app.engines.embedded.results._CHEAP_SECONDS", seconds)
        handle = await fresh.engine.submit(work(PRESTO, text, fresh.playground_id))
        assert (await fresh.engine.poll(handle, wait=timedelta(seconds=0.3))).state is WorkState.RUNNING
        await fresh.engine.cancel(handle)
        async with asyncio.timeout(5):
            assert (await wait_for_end(fresh.engine, handle)).state is WorkState.CANCELLED
    assert [path.name for path in (fresh.folder / "scratch").rglob("*") if path.is_file()] == ["owner.lock"]


async def test_few_databases_are_kept_open_once_nothing_has_used_them_for_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "REST_SECONDS", 0.0)
    monkeypatch.setattr(engine_module, "REST_SECONDS", 0.01)
    engine = make_engine(Catalogue(root=tmp_path / "catalogue", registered={}), tmp_path / "scratch")
    for _ in range(12):
        runner = Runner(engine, tmp_path, playground_id=uuid4())
        assert (await runner(PRESTO, "SELECT 1 AS a")).state is WorkState.SUCCEEDED
    await asyncio.wait_for(engine._resting, timeout=10)
    assert len(engine._databases._open) == 8
    assert (await runner(PRESTO, "SELECT 1 AS a")).state is WorkState.SUCCEEDED
    await engine.close()
