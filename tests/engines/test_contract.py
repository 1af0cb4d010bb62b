"""What every engine does alike, asked of each engine that can run here."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from app.engines.base import Engine, EngineError, EngineKind, Handle, TerminalEngineError, WorkState
from app.engines.registry import EngineRegistry
from tests.engines.contract import AWKWARD, MANY, Candidate
from tests.engines.driving import Driver
from tests.engines.embedded.candidate import embedded_sql, pyspark
from tests.engines.emr.candidate import emr
from tests.engines.hive.candidate import hive
from tests.engines.mysql.candidate import mysql
from tests.engines.presto.candidate import REAL, presto
from tests.engines.spark.candidate import spark_pyspark, spark_sql

DURABLE = [hive, presto, *REAL, spark_sql, emr]
CANDIDATES = [embedded_sql, mysql, pyspark, spark_pyspark, *DURABLE]


@pytest.fixture(scope="module", params=CANDIDATES, ids=lambda make: make.__name__)
async def candidate(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Candidate]:
    async with request.param(request, tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture(scope="module", params=DURABLE, ids=lambda make: make.__name__)
async def durable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Candidate]:
    async with request.param(request, tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.fixture
async def twin(durable: Candidate) -> AsyncIterator[Engine]:
    """Another engine object for the same server, as another process has one."""
    assert durable.twin
    engine = durable.twin()
    yield engine
    await engine.close()


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
    assert ended.types[0].upper() in {"INT", "INTEGER", "BIGINT"}
    assert ended.types[4].replace(" ", "").upper() == "DECIMAL(3,2)"


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
    assert peak - before < 120_000_000 + candidate.served_here


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
        await driver.engine.poll(handle, wait=timedelta(0))
        await asyncio.sleep(candidate.begins_after)
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


async def test_another_process_follows_and_fetches_by_the_handle(durable, twin, tmp_path):
    handle = await durable.driver.submit(durable.queries["values"])
    assert handle.durable
    await durable.driver.engine.poll(handle, wait=timedelta(0))
    other = Driver(twin, type=durable.driver.type, folder=tmp_path)
    assert (await other.follow(handle))[0].state is WorkState.SUCCEEDED
    assert (await other.fetch(handle)).row_count == 1


async def test_another_process_cancels_by_the_handle(durable, twin):
    async with endless(durable) as handle:
        await durable.driver.engine.poll(handle, wait=timedelta(seconds=durable.begins_after))
        await twin.cancel(handle)
        assert (await durable.driver.follow(handle))[0].state is not WorkState.RUNNING
        async with asyncio.timeout(6):
            while not await durable.gone():
                pass


async def test_durable_work_goes_on_when_its_engine_closes(durable, twin):
    first = durable.twin()
    handle = await first.submit(durable.driver.work(durable.queries["endless"]))
    await first.poll(handle, wait=timedelta(seconds=durable.begins_after))
    await first.close()
    assert (await twin.poll(handle, wait=timedelta(0))).state is WorkState.RUNNING
    async with asyncio.timeout(6):
        while await durable.gone():
            pass  # a server may be about to begin with it
    await twin.cancel(handle)
    while (await twin.poll(handle, wait=timedelta(seconds=1))).state is WorkState.RUNNING:
        pass


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
