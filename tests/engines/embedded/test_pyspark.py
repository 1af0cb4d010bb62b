"""PySpark scripts on the embedded engine, each in a real process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from app.domain.tasks import TaskType
from app.engines.base import TerminalEngineError, TransientEngineError, WorkState
from app.engines.embedded import pyspark as engine_module
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.pyspark import EmbeddedPysparkEngine
from app.engines.embedded.registered import RegisteredTable
from tests.engines.driving import PLAYGROUND, Driver


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pyspark")


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> Catalogue:
    catalogue = Catalogue(
        root=folder / "catalogue",
        registered={"lost": RegisteredTable(name="lost", path=folder / "no-such-file.csv")},
    )
    duckdb.sql("SELECT i AS id, 'n' || i AS name FROM range(5) t(i)").write_parquet(str(folder / "base.parquet"))
    catalogue.publish(PLAYGROUND, "base", folder / "base.parquet")
    return catalogue


@pytest.fixture(scope="module")
async def spark(catalogue: Catalogue, folder: Path) -> AsyncIterator[Driver]:
    engine = EmbeddedPysparkEngine(catalogue=catalogue, scratch=folder / "scratch")
    yield Driver(engine, type=TaskType.PYSPARK, folder=folder)
    await engine.close()


def script(text: str) -> str:
    return textwrap.dedent(text).lstrip("\n")


def column(catalogue: Catalogue, table: str, expression: str) -> list[object]:
    path = catalogue.tables(PLAYGROUND)[table]
    return [row[0] for row in duckdb.sql(f"SELECT {expression} FROM read_parquet('{path}')").fetchall()]


async def test_the_playground_s_tables_are_there(spark):
    ended = await spark.run("result = spark.table('base').where('id > 2').orderBy('id')")
    assert (ended.labels, ended.types) == (["id", "name"], ["BIGINT", "STRING"])
    assert ended.rows == [["3", "n3"], ["4", "n4"]]


async def test_a_script_for_a_cluster_runs_unchanged(spark):
    ended = await spark.run(
        script("""
        from pyspark.sql import SparkSession
        from pyspark.sql import functions as F

        spark = SparkSession.builder.master("local[*]").appName("report").config("a.b", "c").getOrCreate()

        def main():
            return spark.sql("SELECT id FROM base").groupBy().agg(F.sum("id").alias("total"))

        if __name__ == "__main__":
            result = main()
            spark.stop()
        """)
    )
    assert (ended.labels, ended.rows) == (["total"], [["10"]])


async def test_cells_are_written_by_the_house_s_rules(spark):
    ended = await spark.run(
        script("""
        result = spark.sql('''
            SELECT CAST(NULL AS INT) AS n, '' AS e, 'a,"b' AS q, CAST(0.1 AS FLOAT) AS f, 1e20 AS d, TRUE AS b,
                   TIMESTAMP '2020-01-01 12:00:00' AS t, DATE '2020-02-29' AS day, map('k', 1) AS m,
                   named_struct('Z', 1.50) AS s, array(1, 2) AS l, X'00FF' AS x
        ''')
        """)
    )
    assert ended.rows == [
        [
            *(None, "", 'a,"b', "0.1", "1e+20", "true", "2020-01-01 12:00:00", "2020-02-29"),
            *('{"k":1}', '{"Z":1.50}', "[1,2]", "AP8="),
        ]
    ]
    assert ended.types[9].startswith("struct<Z:")


async def test_functions_of_the_script_work_as_udfs(spark):
    ended = await spark.run(
        script("""
        import pandas as pd
        from pyspark.sql.functions import pandas_udf, udf

        factor = 10

        def times(x):
            return x * factor

        @pandas_udf("long")
        def plus(x: pd.Series) -> pd.Series:
            return x + 1

        result = spark.range(2).select(udf(times, "long")("id").alias("a"), plus("id").alias("b"))
        """)
    )
    assert ended.rows == [["0", "1"], ["10", "2"]]


@pytest.mark.parametrize(
    ("assignment", "labels", "rows"),
    [
        ("import pandas; result = pandas.DataFrame({'a': [1], 'b': [None]})", ["a", "b"], [["1", None]]),
        ("result = [{'a': 1, 'b': None}, {'a': 2, 'b': ''}]", ["a", "b"], [["1", None], ["2", ""]]),
        ("from pyspark.sql import Row; result = [Row(a=1, b='x')]", ["a", "b"], [["1", "x"]]),
        ("result = spark.table('base').where('id < 1').collect()", ["id", "name"], [["0", "n0"]]),
        ("result = [(1, 'x'), (2, None)]", ["_1", "_2"], [["1", "x"], ["2", None]]),
        ("result = [1, 2]", ["value"], [["1"], ["2"]]),
        ("result = spark.sql('SELECT 1 AS a, 2 AS a')", ["a", "a"], [["1", "2"]]),
    ],
)  # fmt: skip
async def test_the_result_may_be_a_frame_or_rows(spark, assignment, labels, rows):
    ended = await spark.run(assignment)
    assert (ended.labels, ended.rows) == (labels, rows)


@pytest.mark.parametrize("text", ["", "x = 1", "result = None", "result = []", "import sys; sys.exit()"])
async def test_a_script_without_a_result_gives_an_empty_output(spark, text):
    ended = await spark.run(text)
    assert (ended.state, ended.labels, ended.text) == (WorkState.SUCCEEDED, [], "")


@pytest.mark.parametrize("text", ["result = 5", "result = 'rows'", "result = [(1,), ('x',)]"])
async def test_a_result_of_another_kind_is_told(spark, text):
    ended = await spark.run(text)
    assert (type(ended.error), ended.code) == (TerminalEngineError, "RESULT")
    assert "`result`" in ended.message


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("x = 1\n\nboom()\n", "SCRIPT", ["NameError", "line 3", "boom()"]),
        ("def f():\n    raise ValueError('é🙂')\n\nf()\n", "SCRIPT", ["ValueError", "line 2", "é🙂"]),
        ("x = 1\ny = (\n", "SYNTAX", ["SyntaxError", "line 2"]),
        ("import no_such_package", "IMPORT", ["no_such_package", "line 1"]),
        ("x = 1\nspark.sql('SELECT nope FROM base').collect()", "ANALYSIS", ["nope", "line 2"]),
        ("x = 1\nspark.sql('SELEC 1')", "SCRIPT", ["SELEC", "line 2"]),  # the server has no class for it
        ("import sys\nsys.exit('gave up')", "SCRIPT", ["gave up"]),
        ("raise KeyboardInterrupt", "SCRIPT", ["KeyboardInterrupt", "line 1"]),
        ("raise Exception('x' * 100000)", "SCRIPT", ["line 1"]),
        ("result = spark.sql('SELECT nope FROM base')", "ANALYSIS", ["nope"]),
        ("x = '\ud800'", "SYNTAX", ["position 6"]),
    ],
)
async def test_an_error_of_the_script_names_its_own_line(spark, text, code, words):
    ended = await spark.run(text)
    assert (type(ended.error), ended.code) == (TerminalEngineError, code)
    assert all(word in ended.message for word in words), ended.message
    assert len(ended.message) <= 2_000
    told = ended.message + "\n".join(ended.log)
    assert "pyspark/runner" not in told
    assert "site-packages/pyspark" not in told


async def test_lines_come_while_the_script_runs(spark):
    handle = await spark.submit(
        "import sys, time\nprint('é🙂 out')\nprint('err', file=sys.stderr)\nprint('no end', end='')\ntime.sleep(30)"
    )
    lines: set[tuple[str, str]] = set()
    async with asyncio.timeout(15):
        while len(lines) < 2:
            poll = await spark.engine.poll(handle, wait=timedelta(seconds=5))
            assert poll.state is WorkState.RUNNING
            lines |= {(line.stream, line.text) for line in poll.log if line.stream != "engine"}
    assert lines == {("stdout", "é🙂 out"), ("stderr", "err")}
    await spark.engine.cancel(handle)
    await spark.follow(handle)


async def test_a_flood_of_lines_is_cut_and_said(spark):
    ended = await spark.run("import sys\nfor i in range(200000): print(i)\nsys.stdout.write('x' * 3000000)")
    assert ended.state is WorkState.SUCCEEDED
    assert ended.log.count("77") == 1
    assert max(map(len, ended.log)) <= 16 * 1024


async def test_saved_tables_become_the_playground_s(spark, catalogue):
    ended = await spark.run(
        script("""
        spark.sql("SELECT id * 2 AS d, TIMESTAMP '2020-01-01 12:00:00' AS t FROM base").write.saveAsTable("made")
        spark.sql("CREATE TABLE by_sql AS SELECT 1 AS one")
        """)
    )
    assert {"Saved the table made", "Saved the table by_sql"} <= set(ended.log)
    assert sorted(column(catalogue, "made", "d")) == [0, 2, 4, 6, 8]
    assert set(column(catalogue, "made", "typeof(t) || ' ' || t")) == {"TIMESTAMP 2020-01-01 12:00:00"}
    assert column(catalogue, "by_sql", "one") == [1]
    assert (await spark.run("result = spark.table('made').groupBy().sum('d')")).rows == [["20"]]


async def test_overwriting_a_table_may_read_it(spark, catalogue):
    await spark.run("spark.range(3).write.saveAsTable('grows')")
    ended = await spark.run("t = spark.table('grows')\nt.union(t).write.mode('overwrite').saveAsTable('grows')")
    assert ended.state is WorkState.SUCCEEDED, ended.message
    assert len(column(catalogue, "grows", "id")) == 6


@pytest.mark.parametrize(("call", "words"), [("", "exists already"), (".mode('append')", "appended")])
async def test_a_table_is_not_replaced_unasked(spark, catalogue, call, words):
    ended = await spark.run(f"spark.range(1).write{call}.saveAsTable('Base')")
    assert ended.state is WorkState.FAILED
    assert words in ended.message
    assert len(column(catalogue, "base", "id")) == 5


async def test_saving_with_ignore_leaves_the_table(spark, catalogue):
    assert (await spark.run("spark.range(1).write.mode('ignore').saveAsTable('base')")).state is WorkState.SUCCEEDED
    assert len(column(catalogue, "base", "id")) == 5


async def test_a_failed_script_publishes_nothing(spark, catalogue):
    await spark.run("spark.range(1).write.saveAsTable('half')\nboom()")
    assert "half" not in catalogue.tables(PLAYGROUND)


async def test_another_playground_s_tables_are_not_there(spark):
    elsewhere = spark.work("spark.table('base').show()")
    handle = await spark.engine.submit(
        type(elsewhere)(
            task_run_id=uuid4(), attempt=1, playground_id=uuid4(), type=TaskType.PYSPARK, query=elsewhere.query
        )
    )
    poll, _log = await spark.follow(handle)
    assert poll.state is WorkState.FAILED


async def test_a_table_that_cannot_be_read_hurts_only_who_uses_it(spark):
    ended = await spark.run("result = [1]")
    assert ended.state is WorkState.SUCCEEDED
    assert any("lost" in line for line in ended.log)


async def test_scripts_do_not_see_each_other_nor_the_platform_s_environment(spark, monkeypatch):
    monkeypatch.setenv("JWT_SECRET_KEY", "very secret")
    await spark.run("spark.range(1).createOrReplaceTempView('mine'); spark.conf.set('spark.x', 'y')")
    ended = await spark.run(
        "import os\nresult = [(spark.catalog.tableExists('mine'), str(os.environ).count('very secret'))]"
    )
    assert ended.rows == [["false", "0"]]


async def test_reading_input_gives_nothing(spark):
    ended = await spark.run("import sys\nresult = [(sys.stdin.read(),)]")
    assert ended.rows == [[""]]


async def test_the_time_limit_kills_the_script(spark):
    ended = await spark.run("import time\ntime.sleep(60)", limit=timedelta(seconds=2))
    assert (ended.state, ended.code) == (WorkState.FAILED, "TIMEOUT")


async def test_a_script_whose_process_is_killed_is_worth_another_attempt(spark):
    ended = await spark.run("import os\nos.kill(os.getpid(), 9)")
    assert (type(ended.error), ended.code) == (TransientEngineError, "CRASHED")


async def test_processes_that_a_script_leaves_behind_are_killed(spark):
    ended = await spark.run("import subprocess\nresult = [subprocess.Popen(['sleep', '62.5']).pid]")
    pid = int(ended.rows[0][0])
    assert not alive(pid)


async def test_a_warm_runner_makes_small_scripts_quick(spark):
    await spark.run("x = 1")
    await asyncio.sleep(4)
    started = time.monotonic()
    assert (await spark.run("result = spark.range(1)")).rows == [["0"]]
    assert time.monotonic() - started < 1  # 0.1 s on an idle machine, 1.4 s without a warm runner


async def test_nothing_is_left_when_the_engine_closes(catalogue, tmp_path):
    engine = EmbeddedPysparkEngine(catalogue=catalogue, scratch=tmp_path / "scratch")
    driver = Driver(engine, type=TaskType.PYSPARK, folder=tmp_path)
    await driver.run("x = 1")
    await driver.submit("import time\ntime.sleep(60)")
    await asyncio.sleep(0.5)
    await engine.close()
    assert list((tmp_path / "scratch").iterdir()) == []
    listed = await asyncio.to_thread(subprocess.check_output, ["ps", "-eo", "args"], text=True)
    assert str(tmp_path) not in listed


async def test_missing_packages_are_told_with_what_to_install(spark, monkeypatch):
    monkeypatch.setattr(engine_module.importlib.util, "find_spec", lambda name: None if name == "pysail" else object())
    ended = await spark.run("x = 1")
    assert (type(ended.error), ended.code) == (TerminalEngineError, "NOT_INSTALLED")
    assert "data-phantom[pyspark]" in ended.message
    health = await spark.engine.check()
    assert (health.healthy, health.message) == (False, ended.message)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_killed_worker_takes_its_scripts_along(tmp_path):
    worker = tmp_path / "worker.py"
    worker.write_text(
        script(f"""
        import asyncio
        from datetime import timedelta
        from pathlib import Path
        from uuid import uuid4
        from app.domain.tasks import TaskType
        from app.engines.base import Work
        from app.engines.embedded.catalogue import Catalogue
        from app.engines.embedded.pyspark import EmbeddedPysparkEngine

        async def main():
            folder = Path({str(tmp_path)!r})
            catalogue = Catalogue(root=folder / "c", registered={{}})
            engine = EmbeddedPysparkEngine(catalogue=catalogue, scratch=folder / "s")
            text = "import os, subprocess as s\\nprint(os.getpid(), s.Popen(['sleep', '63']).pid)\\nwhile True: pass"
            handle = await engine.submit(Work(task_run_id=uuid4(), attempt=1, playground_id=uuid4(),
                                              type=TaskType.PYSPARK, query=text))
            while True:
                poll = await engine.poll(handle, wait=timedelta(seconds=5))
                for line in poll.log:
                    print(line.text, flush=True)

        asyncio.run(main())
        """)
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(worker), stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        pids = [int(word) for word in (await process.stdout.readline()).split()]
    assert len(pids) == 2
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:  # noqa: ASYNC110 - they are not ours to wait for
        await asyncio.sleep(0.05)
    left = [pid for pid in pids if alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
