"""The embedded engine's verbs: prompt ends, cancelling, lost handles, logs, health, and its CSV."""

import asyncio
import datetime as dt
import decimal
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import duckdb
import pytest

from app.domain.csv_format import encode_rows
from app.domain.tasks import TaskType
from app.engines.base import EngineKind, Handle, TerminalEngineError, WorkState
from app.engines.embedded.catalogue import Catalogue
from app.engines.embedded.engine import HELD_FOR_EACH
from app.engines.embedded.registered import RegisteredTable
from tests.engines.embedded.harness import Runner, Sink, make_engine, wait_for_end, work

# a cross join that would take hours
_ENDLESS = """
WITH d AS (SELECT n FROM UNNEST(sequence(1, 10000)) AS t (n))
SELECT count(*) AS c FROM d a CROSS JOIN d b CROSS JOIN d c WHERE (a.n * b.n + c.n) % 1000003 = 1
"""


async def test_a_long_query_is_cancelled_within_a_second_and_publishes_nothing(fresh: Runner):
    text = f"CREATE TABLE early AS SELECT 1 AS a; CREATE TABLE late AS {_ENDLESS}"
    handle = await fresh.engine.submit(work(TaskType.PRESTO, text, fresh.playground_id))
    assert (await fresh.engine.poll(handle, wait=timedelta(seconds=0.5))).state is WorkState.RUNNING
    started = time.monotonic()
    await fresh.engine.cancel(handle)
    poll = await wait_for_end(fresh.engine, handle)
    assert time.monotonic() - started < 1
    assert (poll.state, poll.error) == (WorkState.CANCELLED, None)
    for name in ("early", "late"):
        assert (await fresh(TaskType.PRESTO, f"SELECT * FROM {name}")).code == "TABLE_NOT_FOUND"
    with pytest.raises(TerminalEngineError):
        await fresh.engine.fetch(handle, Sink(path=fresh.folder / "none.csv"))


@pytest.mark.parametrize("delay", [0, 0.001, 0.005, 0.02])
async def test_cancelling_at_any_moment_ends_the_work(fresh: Runner, delay: float):
    handle = await fresh.engine.submit(work(TaskType.PRESTO, _ENDLESS, fresh.playground_id))
    await asyncio.sleep(delay)
    await fresh.engine.cancel(handle)
    async with asyncio.timeout(2):
        assert (await wait_for_end(fresh.engine, handle)).state is WorkState.CANCELLED


async def test_work_that_waits_for_its_turn_or_for_a_table_can_be_cancelled(tmp_path: Path):
    catalogue = Catalogue(root=tmp_path / "catalogue", registered={})
    engine = make_engine(catalogue, tmp_path / "scratch", max_parallel=1)
    playground = uuid4()
    running = await engine.submit(work(TaskType.PRESTO, _ENDLESS, playground))
    queued = await engine.submit(work(TaskType.PRESTO, "SELECT 1", playground))
    await engine.cancel(queued)
    await engine.cancel(running)
    async with asyncio.timeout(2):
        assert (await wait_for_end(engine, running)).state is WorkState.CANCELLED
        assert (await wait_for_end(engine, queued)).state is WorkState.CANCELLED
    with catalogue.lock(playground, "t"):
        waiting = await engine.submit(work(TaskType.PRESTO, "CREATE TABLE t AS SELECT 1 AS a", playground))
        assert (await engine.poll(waiting, wait=timedelta(seconds=0.1))).state is WorkState.RUNNING
        await engine.cancel(waiting)
        async with asyncio.timeout(2):
            assert (await wait_for_end(engine, waiting)).state is WorkState.CANCELLED
    await engine.close()


async def test_poll_returns_as_soon_as_the_work_ends(fresh: Runner):
    await fresh(TaskType.HIVE, "SELECT 1")
    handle = await fresh.engine.submit(work(TaskType.HIVE, "SELECT 1 AS one", fresh.playground_id))
    started = time.monotonic()
    poll = await fresh.engine.poll(handle, wait=timedelta(seconds=20))
    assert poll.state is WorkState.SUCCEEDED
    assert time.monotonic() - started < 0.5
    assert not handle.durable


async def test_poll_returns_after_its_wait_when_the_work_goes_on(fresh: Runner):
    handle = await fresh.engine.submit(work(TaskType.PRESTO, _ENDLESS, fresh.playground_id))
    started = time.monotonic()
    assert (await fresh.engine.poll(handle, wait=timedelta(seconds=0.1))).state is WorkState.RUNNING
    assert 0.05 < time.monotonic() - started < 1
    assert (await fresh.engine.poll(handle, wait=timedelta(0))).state is WorkState.RUNNING
    await fresh.engine.cancel(handle)
    await wait_for_end(fresh.engine, handle)


async def test_a_long_works_log_comes_while_it_runs(fresh: Runner):
    handle = await fresh.engine.submit(work(TaskType.PRESTO, _ENDLESS, fresh.playground_id))
    async with asyncio.timeout(5):
        poll = await fresh.engine.poll(handle, wait=timedelta(seconds=60))
    assert poll.state is WorkState.RUNNING
    assert poll.log[0].text.startswith("DuckDB: ")
    assert poll.log[0].stream == "engine"
    assert not (await fresh.engine.poll(handle, wait=timedelta(seconds=0.3))).log
    await fresh.engine.cancel(handle)
    await wait_for_end(fresh.engine, handle)


async def test_two_works_of_one_playground_run_side_by_side(fresh: Runner):
    long = await fresh.engine.submit(work(TaskType.PRESTO, _ENDLESS, fresh.playground_id))
    assert (await fresh(TaskType.HIVE, "SELECT 1 AS one")).rows == [("1",)]
    await fresh.engine.cancel(long)
    assert (await wait_for_end(fresh.engine, long)).state is WorkState.CANCELLED


async def test_an_unknown_handle_is_lost_and_cancelling_it_is_no_error(fresh: Runner):
    unknown = Handle(text="from another process", durable=False)
    await fresh.engine.cancel(unknown)
    for verb in (
        fresh.engine.poll(unknown, wait=timedelta(0)),
        fresh.engine.fetch(unknown, Sink(path=fresh.folder / "x")),
    ):
        with pytest.raises(TerminalEngineError) as caught:
            await verb
        assert caught.value.code == "LOST"


async def test_a_handle_is_forgotten_once_it_was_fetched_and_scratch_is_empty(fresh: Runner):
    handle = await fresh.engine.submit(work(TaskType.HIVE, "SELECT 1 AS one", fresh.playground_id))
    await wait_for_end(fresh.engine, handle)
    await fresh.engine.fetch(handle, Sink(path=fresh.folder / "one.csv"))
    with pytest.raises(TerminalEngineError):
        await fresh.engine.poll(handle, wait=timedelta(0))
    await fresh(TaskType.HIVE, "SELECT nothing FROM sales")
    files = [path.name for path in (fresh.folder / "scratch").rglob("*") if path.is_file()]
    assert files == ["owner.lock"]


async def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path):
    orphan = tmp_path / "scratch" / "process-dead"
    orphan.mkdir(parents=True)
    (orphan / "owner.lock").touch()
    (orphan / "output.csv").touch()
    catalogue = Catalogue(root=tmp_path / "catalogue", registered={})
    first = make_engine(catalogue, tmp_path / "scratch")
    second = make_engine(catalogue, tmp_path / "scratch")
    assert not orphan.exists()
    for engine in (first, second):
        assert (await Runner(engine, tmp_path)(TaskType.HIVE, "SELECT 1 AS one")).rows == [("1",)]
        await engine.close()
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_types_can_be_taken_away(tmp_path: Path):
    engine = make_engine(Catalogue(root=tmp_path, registered={}), tmp_path / "s", types=frozenset({TaskType.HIVE}))
    assert engine.types == {TaskType.HIVE}
    assert (engine.kind, engine.name) == (EngineKind.EMBEDDED, "embedded")
    assert engine.capacity == 4 * HELD_FOR_EACH
    with pytest.raises(TerminalEngineError):
        await engine.submit(work(TaskType.MYSQL, "SELECT 1", uuid4()))
    with pytest.raises(TerminalEngineError):
        await engine.submit(work(TaskType.PYSPARK, "print(1)", uuid4()))
    assert (await engine.check()).healthy
    await engine.close()


async def test_the_log_says_what_ran_and_how_many_rows_came(fresh: Runner):
    result = await fresh(TaskType.HIVE, "CREATE TABLE t AS SELECT 1 AS a; SELECT nvl(a, 0) AS b FROM t")
    assert any(line.startswith("DuckDB: SELECT") for line in result.log)
    assert "Created t: 1 rows." in result.log
    assert result.log[-1].startswith("1 rows in ")


async def test_a_query_beyond_the_memory_limit_fails_and_the_engine_lives(tmp_path: Path):
    engine = make_engine(
        Catalogue(root=tmp_path / "c", registered={}), tmp_path / "s", memory_limit_bytes=32 * 1024 * 1024, threads=1
    )
    run = Runner(engine, tmp_path)
    result = await run(
        TaskType.PRESTO,
        "SELECT cardinality(array_agg(n || repeat('x', 200))) FROM UNNEST(sequence(1, 2000000)) AS t (n)",
    )
    assert (result.state, result.code) == (WorkState.FAILED, "OUT_OF_MEMORY"), result
    assert (await run(TaskType.PRESTO, "SELECT 1 AS one")).rows == [("1",)]
    await engine.close()


_CELLS = {
    "s1": ("varchar", "plain"),
    "s2": ("varchar", ""),
    "s3": ("varchar", None),
    "s4": ("varchar", " leading"),
    "s5": ("varchar", "trailing "),
    "s6": ("varchar", "a,b;c|d\te"),
    "s7": ("varchar", 'say "hi"'),
    "s8": ("varchar", "line\nbreak"),
    "s9": ("varchar", "carriage\rreturn"),
    "s10": ("varchar", "#hash 'quote' \\back NULL"),
    "s11": ("varchar", "émoji 🛫"),
    "s12": ("varchar", '"'),
    "n1": ("integer", -5),
    "n2": ("bigint", 2**62),
    "n3": ("hugeint", 2**100),
    "n4": ("decimal(10,2)", decimal.Decimal("1.50")),
    "f1": ("double", 1.0),
    "f2": ("double", 0.1),
    "f3": ("double", 1e16),
    "f4": ("double", 1e-7),
    "f5": ("double", float("inf")),
    "f6": ("double", 123456789.123),
    "b1": ("boolean", True),
    "b2": ("boolean", None),
    "d1": ("date", dt.date(2024, 2, 29)),
    "t1": ("timestamp", dt.datetime.fromisoformat("2024-02-29 01:02:03")),
    "t2": ("timestamp", dt.datetime.fromisoformat("2024-02-29 01:02:03.120000")),
    "t3": ("time", dt.time(1, 2, 3)),
    "t4": ("time", dt.time(1, 2, 3, 500000)),
    "l1": ("integer[]", [1, None, 3]),
    "l2": ("varchar[]", ['a"b', "c,d"]),
    "m1": ("struct(a integer, b varchar)", {"a": 1, "b": "x"}),
    "x1": ("blob", b"\x00\xff"),
    "z1": ("timestamptz", dt.datetime(2024, 2, 29, 1, 2, 3, tzinfo=dt.UTC)),
}


@pytest.fixture
async def cells(tmp_path: Path):
    """An engine whose registered table `cells` has one row of many kinds."""
    path = tmp_path / "cells.parquet"
    columns = ", ".join(f"CAST(? AS {kind}) AS {name}" for name, (kind, _) in _CELLS.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        values = [value for _, value in _CELLS.values()]
        # as a cache of this engine would hold it: Parquet itself knows no integer of 128 bits
        connection.execute(
            f"COPY (SELECT {columns}) TO '{path}' (FORMAT parquet)".replace("hugeint", "decimal(38,0)"), values
        )
    registered = {"cells": RegisteredTable(name="cells", path=path)}
    engine = make_engine(Catalogue(root=tmp_path / "catalogue", registered=registered), tmp_path / "scratch")
    yield Runner(engine, tmp_path)
    await engine.close()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "^", "]", "-"])
async def test_every_cell_is_written_as_the_house_writes_it(cells: Runner, delimiter: str):
    # a date or an exponent holds the minus sign itself, which csv_format does not quote either way
    names = [name for name in _CELLS if delimiter != "-" or name[0] == "s"]
    result = await cells(TaskType.PRESTO, f"SELECT {', '.join(names)} FROM cells", delimiter=delimiter)
    assert result.state is WorkState.SUCCEEDED, result.message
    row = [_CELLS[name][1] for name in names]
    assert result.text == encode_rows([names, row], delimiter).decode()


async def test_a_header_is_quoted_like_any_cell_and_an_empty_result_has_one(run):
    result = await run(TaskType.MYSQL, 'SELECT 1 AS `a,b`, 2 AS `say "x"` FROM sales WHERE 1 = 0')
    assert result.text == '"a,b","say ""x"""\n'
    assert (result.row_count, result.rows) == (0, [])


async def test_many_rows_keep_their_order(run):
    result = await run(TaskType.PRESTO, "SELECT n FROM UNNEST(sequence(1, 300000)) AS t (n) ORDER BY n DESC")
    assert result.row_count == 300000
    assert [int(row[0]) for row in result.rows] == list(range(300000, 0, -1))
