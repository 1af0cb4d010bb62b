"""What every engine does alike, asked of each engine that can run here."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.tasks import TaskType
from app.engines.base import Engine, EngineError, EngineKind, Handle, TerminalEngineError, WorkState
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.engine import EmbeddedSqlEngine
from app.engines.embedded.pyspark import EmbeddedPysparkEngine
from app.engines.mysql import MysqlEngine
from app.engines.registry import EngineRegistry
from tests.engines.driving import Driver
from tests.support.mariadb import MariaDB

AWKWARD = "it's \"quoted\" `back` $HOME $(id) ${x} \n two lines \t %s {} ''' ; -- /* */ # ünï 🙂 end"
SQL_TEXT = "'" + AWKWARD.replace("'", "''") + "'"
MANY = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An engine, what it calls things, and how to see from outside whether it still works."""

    driver: Driver
    queries: Mapping[str, str]
    gone: Callable[[], Awaitable[bool]]


QUERIES = {
    # name of the query: (Presto, MySQL, PySpark)
    "values": (
        "SELECT 1 AS \"Id\", CAST(NULL AS VARCHAR) AS nothing, '' AS blank, 'é🙂' AS \"Läbel\", 2.50 AS price",
        "SELECT 1 AS `Id`, CAST(NULL AS CHAR) AS nothing, '' AS blank, 'é🙂' AS `Läbel`, 2.50 AS price",
        (
            "from decimal import Decimal\n"
            "result = spark.createDataFrame([(1, None, '', 'é🙂', Decimal('2.50'))],"
            " 'Id int, nothing string, blank string, `Läbel` string, price decimal(3,2)')"
        ),
    ),
    "awkward": (
        f"SELECT {SQL_TEXT} AS text -- it's a `comment`, $HOME\n",
        f"SELECT {SQL_TEXT} AS text -- it's a `comment`, $HOME\n",
        f"# it's a `comment`, $HOME\nresult = spark.createDataFrame([({AWKWARD!r},)], ['text'])\n",
    ),
    "many": (
        (
            "SELECT a.n * 1000 + b.n AS n, 'a text of some length that fills the row up' AS text"
            " FROM UNNEST(sequence(0, 999)) AS a(n) CROSS JOIN UNNEST(sequence(0, 999)) AS b(n)"
        ),
        f"SELECT seq AS n, 'a text of some length that fills the row up' AS text FROM seq_1_to_{MANY}",
        (
            "from pyspark.sql.functions import lit\n"
            "text = lit('a text of some length that fills the row up').alias('text')\n"
            f"result = spark.range({MANY}).select('id', text)"
        ),
    ),
    "endless": (
        (
            "SELECT COUNT(*) FROM UNNEST(sequence(1, 100000)) AS a(n) CROSS JOIN UNNEST(sequence(1, 100000)) AS b(n)"
            " CROSS JOIN UNNEST(sequence(1, 100000)) AS c(n) WHERE (a.n * b.n) % 7 = c.n % 5"
        ),
        "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b WHERE (a.seq * b.seq) % 7 = 3",
        (
            "import subprocess\nsubprocess.Popen(['sleep', '61.25'])\nprint('started')\n"
            "spark.range(1000000).crossJoin(spark.range(1000000).toDF('n')).selectExpr('sum((id * n) % 7)').collect()"
        ),
    ),
    "empty": (
        "SELECT 1 AS a WHERE 1 = 0",
        "SELECT 1 AS a FROM DUAL WHERE 1 = 0",
        "result = spark.range(3).filter('id > 5').withColumnRenamed('id', 'a')",
    ),
    "wrong": ("SELECT 1 FROM WHERE", "SELECT 1 FROM WHERE", "x = 1\ny = (\n"),
    "missing": ("SELECT * FROM not_there", "SELECT * FROM not_there", "spark.table('not_there').show()"),
    "logged": ("SELECT 1 AS a", "SELECT 1 AS a", "print('a line')"),
}


def queries(column: int) -> Mapping[str, str]:
    return {name: texts[column] for name, texts in QUERIES.items()}


@asynccontextmanager
async def embedded_sql(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:  # noqa: ARG001 - one signature for all
    engine = EmbeddedSqlEngine(
        catalogue=Catalogue(root=folder / "catalogue", registered={}),
        scratch=folder / "scratch",
        types=frozenset({TaskType.PRESTO}),
        memory_limit_bytes=256 * 1024 * 1024,
        threads=2,
        max_parallel=2,
    )

    async def gone() -> bool:
        """The query ran in threads of this process: now it uses no more of the processor."""
        before = time.process_time()
        await asyncio.sleep(0.5)
        return time.process_time() - before < 0.05

    yield Candidate(driver=Driver(engine, type=TaskType.PRESTO, folder=folder), queries=queries(0), gone=gone)
    await engine.close()


@asynccontextmanager
async def mysql(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:
    server: MariaDB = request.getfixturevalue("mariadb")
    engine = MysqlEngine(
        name="mysql",
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.create_database(),
    )

    async def gone() -> bool:
        return "seq_1_to_1000000 a" not in await asyncio.to_thread(server.execute, "SHOW FULL PROCESSLIST")

    yield Candidate(driver=Driver(engine, type=TaskType.MYSQL, folder=folder), queries=queries(1), gone=gone)
    await engine.close()


@asynccontextmanager
async def pyspark(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Candidate]:  # noqa: ARG001 - one signature for all
    engine = EmbeddedPysparkEngine(
        catalogue=Catalogue(root=folder / "catalogue", registered={}), scratch=folder / "scratch", spare=False
    )

    async def gone() -> bool:
        """Neither the script's process nor what it started is there."""
        listed = await asyncio.to_thread(subprocess.check_output, ["ps", "-eo", "ppid,args"], text=True)
        own = [line for line in listed.splitlines() if line.split()[0] == str(os.getpid())]
        return "sleep 61.25" not in listed and not any("pyspark_runner" in line for line in own)

    yield Candidate(driver=Driver(engine, type=TaskType.PYSPARK, folder=folder), queries=queries(2), gone=gone)
    await engine.close()


@pytest.fixture(scope="module", params=[embedded_sql, mysql, pyspark], ids=lambda make: make.__name__)
async def candidate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Candidate]:
    async with request.param(request, tmp_path_factory.mktemp("engine")) as made:
        yield made


async def test_it_says_what_it_is_and_that_it_is_well(candidate):
    engine = candidate.driver.engine
    assert engine.name
    assert isinstance(engine.kind, EngineKind)
    assert candidate.driver.type in engine.types
    health = await engine.check()
    assert (health.healthy, health.message) == (True, None)


async def test_labels_values_and_types_come_through(candidate):
    ended = await candidate.driver.run(candidate.queries["values"])
    assert ended.labels == ["Id", "nothing", "blank", "Läbel", "price"]
    assert ended.rows == [["1", None, "", "é🙂", "2.50"]]
    assert ended.types[0] in {"INT", "INTEGER", "BIGINT"}
    assert ended.types[4].replace(" ", "") == "DECIMAL(3,2)"


async def test_null_is_written_unquoted_and_the_empty_string_quoted(candidate):
    assert '1,,"",é🙂,2.50\n' in (await candidate.driver.run(candidate.queries["values"])).text


@pytest.mark.parametrize("delimiter", ["|", "\t", ";"])
async def test_the_sink_s_delimiter_is_used(candidate, delimiter):
    ended = await candidate.driver.run(candidate.queries["awkward"], delimiter=delimiter)
    assert ended.stored.delimiter == delimiter
    assert ended.rows == [[AWKWARD]]
    ended = await candidate.driver.run(candidate.queries["values"], delimiter=delimiter)
    assert ended.text.splitlines()[1] == delimiter.join(["1", "", '""', "é🙂", "2.50"])


async def test_a_text_full_of_quotes_dollars_and_lines_arrives_as_it_was_written(candidate):
    ended = await candidate.driver.run(candidate.queries["awkward"])
    assert (ended.labels, ended.rows) == (["text"], [[AWKWARD]])


async def test_no_rows_still_have_their_header(candidate):
    ended = await candidate.driver.run(candidate.queries["empty"])
    assert (ended.text, ended.stored.row_count) == ("a\n", 0)


async def test_a_large_result_is_stored_in_bounded_memory(candidate):
    before = resident_bytes()
    peak = before

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_bytes())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    ended = await candidate.driver.run(candidate.queries["many"])
    watching.cancel()
    assert ended.stored.row_count == MANY
    assert ended.stored.size_bytes > 40_000_000
    with ended.path.open("rb") as file:
        assert sum(1 for _line in file) == MANY + 1
    # The rows as Python objects would take some 200 MB; DuckDB may take what it was allowed.
    assert peak - before < 120_000_000


@asynccontextmanager
async def endless(candidate: Candidate) -> AsyncIterator[Handle]:
    """Work that never ends, and that no failing test leaves behind."""
    handle = await candidate.driver.submit(candidate.queries["endless"])
    try:
        yield handle
    finally:
        await candidate.driver.engine.cancel(handle)
        await candidate.driver.follow(handle)


async def test_cancel_ends_the_work_in_the_engine_within_seconds(candidate):
    driver = candidate.driver
    async with endless(candidate) as handle:
        await asyncio.sleep(2.5 if driver.type is TaskType.PYSPARK else 0.5)
        assert (await driver.engine.poll(handle, wait=timedelta(0))).state is WorkState.RUNNING
        assert not await candidate.gone()
        started = time.monotonic()
        await driver.engine.cancel(handle)
        poll, _log = await driver.follow(handle)
        assert (poll.state, poll.error) == (WorkState.CANCELLED, None)
        assert time.monotonic() - started < 3
        while not await candidate.gone():
            assert time.monotonic() - started < 6, "it still runs in the engine"
            await asyncio.sleep(0.1)
        assert (await driver.engine.poll(handle, wait=timedelta(0))).state is WorkState.CANCELLED
        await driver.engine.cancel(handle)  # again, and too late: no error


async def test_other_work_runs_beside_and_after_a_cancelled_one(candidate):
    async with endless(candidate):
        assert (await candidate.driver.run(candidate.queries["logged"])).state is WorkState.SUCCEEDED
    assert (await candidate.driver.run(candidate.queries["logged"])).state is WorkState.SUCCEEDED


async def test_work_cancelled_at_once_ends_as_cancelled(candidate):
    async with endless(candidate) as handle:
        await candidate.driver.engine.cancel(handle)
        assert (await candidate.driver.follow(handle))[0].state is WorkState.CANCELLED


async def test_a_syntax_error_is_terminal_and_named(candidate):
    ended = await candidate.driver.run(candidate.queries["wrong"])
    assert isinstance(ended.error, TerminalEngineError)
    assert (ended.error.retriable, ended.code) == (False, "SYNTAX")
    assert ended.message
    assert "Traceback" not in ended.message


async def test_a_missing_table_is_terminal_and_named(candidate):
    ended = await candidate.driver.run(candidate.queries["missing"])
    assert isinstance(ended.error, TerminalEngineError)
    assert "not_there" in ended.message


async def test_a_handle_that_is_not_known_is_lost(candidate):
    engine = candidate.driver.engine
    unknown = Handle(text="7d4cf7a8-0000-0000-0000-000000000000", durable=False)
    with pytest.raises(TerminalEngineError) as caught:
        await engine.poll(unknown, wait=timedelta(0))
    assert caught.value.code == "LOST"
    with pytest.raises(EngineError):
        await candidate.driver.fetch(unknown)
    await engine.cancel(unknown)


async def test_a_result_is_fetched_once(candidate):
    handle = await candidate.driver.submit(candidate.queries["logged"])
    await candidate.driver.follow(handle)
    await candidate.driver.fetch(handle)
    with pytest.raises(EngineError):
        await candidate.driver.fetch(handle)


async def test_the_log_has_lines(candidate):
    assert (await candidate.driver.run(candidate.queries["logged"])).log


async def test_a_poll_waits_no_longer_than_it_is_told_and_ends_with_the_work(candidate):
    engine = candidate.driver.engine
    async with endless(candidate) as handle:
        started = time.monotonic()
        state = WorkState.RUNNING
        while time.monotonic() - started < 0.4:  # lines of the log end a poll before its time
            state = (await engine.poll(handle, wait=timedelta(seconds=0.2))).state
        assert state is WorkState.RUNNING
        assert time.monotonic() - started < 1.5
        waiting = asyncio.create_task(candidate.driver.follow(handle))
        await asyncio.sleep(0.1)
        await engine.cancel(handle)
        async with asyncio.timeout(5):
            await waiting


async def test_the_registry_gives_the_engine_by_its_name_and_by_its_language(candidate):
    engine: Engine = candidate.driver.engine
    registry = EngineRegistry(engines=[engine])
    assert registry.engine_for(candidate.driver.type, None) is engine
    assert registry.engine_for(candidate.driver.type, engine.name) is engine


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
