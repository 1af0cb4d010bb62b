"""MySQL connections that are refused, lost, given up, waited for and used again; and the rows that wait behind them."""

import asyncio
import socket
import time
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.engines.base import EngineError, TerminalEngineError, TransientEngineError, WorkState
from app.engines.mysql.connections import Validation
from tests.engines.mysql.driving import engine_for
from tests.support.mariadb import MariaDB
from tests.support.proxy import Proxy

LONG = "SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b"
ENDLESS_ROWS = "SELECT * FROM seq_1_to_100000000"


async def running(mariadb: MariaDB, text: str) -> bool:
    listed = await asyncio.to_thread(mariadb.execute, "SHOW FULL PROCESSLIST")
    return text in listed


async def until_running(mariadb: MariaDB, text: str) -> None:
    deadline = time.monotonic() + 10
    while not await running(mariadb, text):
        assert time.monotonic() < deadline, f"{text} never ran"
        await asyncio.sleep(0.02)


async def until_gone(mariadb: MariaDB, text: str, *, seconds: float = 3) -> bool:
    deadline = time.monotonic() + seconds
    while await running(mariadb, text):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_a_password_may_be_secret_and_of_any_letters(mariadb, tmp_path):
    mariadb.execute("CREATE OR REPLACE USER 'zoë'@'%' IDENTIFIED BY 'pä€ß🙂'")
    async with engine_for(mariadb, tmp_path, user="zoë", password=SecretStr("pä€ß🙂")) as driver:
        assert (await driver.run("SELECT 1")).rows == [["1"]]


async def test_wrong_credentials_are_terminal(mariadb, tmp_path):
    async with engine_for(mariadb, tmp_path, password="wrong") as driver:
        ended = await driver.run("SELECT 1")
        assert (type(ended.error), ended.code) == (TerminalEngineError, "PERMISSION")
        assert not (await driver.engine.check()).healthy


async def test_a_server_that_is_not_there_is_transient_and_unhealthy(mariadb, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with engine_for(mariadb, tmp_path, port=port) as driver:
        ended = await driver.run("SELECT 1")
        assert (type(ended.error), ended.code) == (TransientEngineError, "CONNECTION")
        health = await driver.engine.check()
    assert not health.healthy
    assert str(port) in (health.message or "") or "connect" in (health.message or "").lower()


async def test_a_server_that_does_not_answer_is_unhealthy_within_seconds(mariadb, tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        async with engine_for(mariadb, tmp_path, port=silent.getsockname()[1]) as driver:
            started = time.monotonic()
            assert not (await driver.engine.check()).healthy
            assert time.monotonic() - started < 5


async def test_a_connection_that_is_lost_is_transient(mariadb, reader):
    handle = await reader.submit("SELECT SLEEP(30) AS lost_connection")
    await until_running(mariadb, "lost_connection")
    rows = mariadb.execute("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(30) AS lost%'")
    mariadb.execute(f"KILL CONNECTION {rows.split()[-1]}")
    poll, _log = await reader.follow(handle)
    assert (type(poll.error), poll.error.code) == (TransientEngineError, "CONNECTION")


async def test_after_the_server_dropped_the_idle_connections_work_goes_on(mariadb, reader):
    await reader.run("SELECT 1")
    for line in mariadb.execute("SELECT id FROM information_schema.processlist WHERE command = 'Sleep'").split():
        if line.isdigit():
            mariadb.execute(f"KILL CONNECTION {line}")
    await asyncio.sleep(0.1)
    assert (await reader.run("SELECT 2")).rows == [["2"]]


async def test_cancel_ends_the_query_in_the_server(mariadb, reader):
    handle = await reader.submit(LONG)
    await until_running(mariadb, LONG)
    started = time.monotonic()
    await reader.engine.cancel(handle)
    poll, _log = await reader.follow(handle)
    assert poll.state is WorkState.CANCELLED
    assert time.monotonic() - started < 2
    assert await until_gone(mariadb, LONG)


async def test_cancel_ends_rows_that_nobody_fetches(mariadb, reader):
    handle = await reader.submit(ENDLESS_ROWS)
    await reader.follow(handle)
    await reader.engine.cancel(handle)
    assert (await reader.engine.poll(handle, wait=timedelta(0))).state is WorkState.CANCELLED
    assert await until_gone(mariadb, ENDLESS_ROWS)
    with pytest.raises(EngineError):
        await reader.fetch(handle)


async def test_cancel_ends_a_fetch_midway(mariadb, reader):
    handle = await reader.submit(ENDLESS_ROWS)
    await reader.follow(handle)
    fetching = asyncio.create_task(reader.fetch(handle))
    await asyncio.sleep(0.3)
    await reader.engine.cancel(handle)
    with pytest.raises(TerminalEngineError) as caught:
        await fetching
    assert caught.value.code == "CANCELLED"
    assert await until_gone(mariadb, ENDLESS_ROWS)


async def test_a_fetch_that_is_given_up_ends_the_query(mariadb, reader):
    handle = await reader.submit(ENDLESS_ROWS)
    await reader.follow(handle)
    fetching = asyncio.create_task(reader.fetch(handle))
    await asyncio.sleep(0.3)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert await until_gone(mariadb, ENDLESS_ROWS)


async def test_the_time_limit_holds_for_the_query_and_for_its_rows(mariadb, reader):
    ended = await reader.run(LONG, limit=timedelta(seconds=0.3))
    assert (ended.state, ended.code) == (WorkState.FAILED, "TIMEOUT")
    assert await until_gone(mariadb, LONG)
    handle = await reader.engine.submit(reader.work(ENDLESS_ROWS, limit=timedelta(seconds=0.5)))
    await reader.follow(handle)
    with pytest.raises(TerminalEngineError) as caught:
        await reader.fetch(handle)
    assert caught.value.code == "TIMEOUT"


async def test_closing_the_engine_ends_its_queries(mariadb, database, tmp_path):
    async with engine_for(mariadb, tmp_path, database=database) as driver:
        await driver.submit(LONG)
        await until_running(mariadb, LONG)
    assert await until_gone(mariadb, LONG)


async def test_a_pool_that_stays_full_is_a_transient_error(mariadb, tmp_path):
    async with engine_for(mariadb, tmp_path, max_size=1, max_wait=timedelta(seconds=0.2)) as driver:
        handle = await driver.submit("SELECT SLEEP(30)")
        ended = await driver.run("SELECT 1")
        assert (type(ended.error), ended.code) == (TransientEngineError, "POOL_EXHAUSTED")
        await driver.engine.cancel(handle)
        await driver.follow(handle)
        assert (await driver.run("SELECT 1")).rows == [["1"]]


async def test_work_that_waits_for_a_connection_can_be_cancelled(mariadb, tmp_path):
    async with engine_for(mariadb, tmp_path, max_size=1) as driver:
        first = await driver.submit("SELECT SLEEP(30)")
        second = await driver.submit("SELECT 1")
        await driver.engine.cancel(second)
        assert (await driver.follow(second))[0].state is WorkState.CANCELLED
        await driver.engine.cancel(first)


async def test_a_connection_is_reused_without_traces_of_its_last_user(mariadb, database, tmp_path):
    async with engine_for(mariadb, tmp_path, database=database, max_size=1, read_only=False) as driver:
        other = mariadb.create_database()
        first = await driver.run("SELECT CONNECTION_ID()")
        await driver.run(
            f"CREATE TEMPORARY TABLE mine (a INT); SET @x = 1; SET sql_mode = 'ANSI'; SET NAMES latin1;"
            f" SELECT GET_LOCK('mine', 0); START TRANSACTION; USE {other}"
        )
        second = await driver.run(
            "SELECT CONNECTION_ID(), @x, @@sql_mode LIKE '%ANSI%', DATABASE(), @@character_set_client,"
            " IS_USED_LOCK('mine'), @@autocommit"
        )
        assert second.rows[0][0] == first.rows[0][0]
        assert second.rows[0][1:] == [None, "0", database, "utf8mb4", None, "1"]
        assert (await driver.run("SELECT * FROM mine")).code == "TABLE_NOT_FOUND"


async def test_reading_leaves_no_lock_behind(mariadb, database, reader):
    await reader.run("SELECT * FROM t")
    mariadb.execute("SET lock_wait_timeout = 1; ALTER TABLE t COMMENT = 'free'", database=database)


async def test_rows_wait_in_the_server_and_not_in_this_process(reader):
    handle = await reader.submit("SELECT seq, REPEAT('x', 1000) FROM seq_1_to_300000")
    await reader.follow(handle)
    before = resident_bytes()
    await asyncio.sleep(0.5)
    assert resident_bytes() - before < 30_000_000
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, resident_bytes())
            await asyncio.sleep(0.01)

    watching = asyncio.create_task(watch())
    stored = await reader.fetch(handle)
    watching.cancel()
    assert (stored.row_count, stored.size_bytes > 300_000_000) == (300_000, True)
    assert peak - before < 100_000_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_an_idle_connection_that_fell_silent_is_replaced_after_the_validation_timeout(mariadb, tmp_path):
    validation = Validation(query="SELECT 1 AS are_you_there", timeout=timedelta(seconds=0.2))
    with Proxy(upstream_port=mariadb.port) as proxy:
        async with engine_for(mariadb, tmp_path, port=proxy.port, validation=validation) as driver:
            assert (await driver.run("SELECT 1")).rows == [["1"]]
            connections = driver.engine._connections
            asked = len(connections._idle)
            with proxy.blackhole():
                assert await connections._used() is None
            assert (asked, len(connections._idle)) == (1, 0)
            assert (await driver.run("SELECT 2")).rows == [["2"]]


async def test_a_connection_is_asked_as_the_settings_say(mariadb, tmp_path):
    broken = "SELECT no_such_column"
    for on_borrow, on_return, kept in [(False, False, True), (True, False, False), (False, True, False)]:
        validation = Validation(query=broken, on_borrow=on_borrow, on_return=on_return)
        async with engine_for(mariadb, tmp_path, max_size=1, validation=validation) as driver:
            first = (await driver.run("SELECT CONNECTION_ID()")).rows
            assert ((await driver.run("SELECT CONNECTION_ID()")).rows == first) is kept
