"""Work that goes on without the process that began it, or without its connection; and where the server is lost."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest

from app.engines.base import Handle, TerminalEngineError, WorkState
from app.engines.hive import session
from app.engines.hive.wire import HiveWire
from tests.engines.driving import Driver
from tests.engines.hive.candidate import QUERIES
from tests.support.proxy import Proxy

# Begins the work as a worker does, tells its handle, and waits to be killed.
BEGINNER = """
import asyncio, sys
from datetime import timedelta
from uuid import uuid4
from app.domain.tasks import TaskType
from app.engines.base import Work
from app.engines.hive.engine import HiveEngine
from app.engines.hive.transport import HiveAddress

async def main():
    engine = HiveEngine(name="hive", address=HiveAddress(host="127.0.0.1", port=int(sys.argv[1])))
    work = Work(task_run_id=uuid4(), attempt=1, playground_id=uuid4(), type=TaskType.HIVE, query=sys.argv[2])
    handle = await engine.submit(work)
    for _ in range(int(sys.argv[3])):
        await engine.poll(handle, wait=timedelta(seconds=1))
    print(handle.text, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
# Not endless ones: Spark forgets to stop a query whose session ends before its first job has begun.
LONG = "SELECT SUM(id % 7) AS a FROM range(0, 1000000000, 1, 1)"
SLOW = "SELECT SUM(id % 7) AS a FROM range(0, 20000000, 1, 1)"


@pytest.fixture
def proxy(spark_server) -> Iterator[Proxy]:
    with Proxy(upstream_port=spark_server.hive_port) as proxy:
        yield proxy


async def begun_elsewhere(port: int, query: str, *, polls: int) -> Handle:
    """The handle of work that a process has begun, which is dead by now."""

    def begin() -> str:
        command = [sys.executable, "-c", BEGINNER, str(port), query, str(polls)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            text = process.stdout.readline().strip()
            process.kill()
        return text

    return Handle(text=await asyncio.to_thread(begin), durable=True)


async def test_work_of_a_killed_process_is_followed_and_fetched(driver, spark_server):
    handle = await begun_elsewhere(spark_server.hive_port, SLOW, polls=2)
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED
    assert (await driver.fetch(handle)).row_count == 1
    with pytest.raises(TerminalEngineError):
        await driver.engine.poll(handle, wait=timedelta(0))


async def test_work_whose_handle_nobody_had_time_to_store_ends_with_its_process(driver, spark_server):
    handle = await begun_elsewhere(spark_server.hive_port, SLOW, polls=0)
    with pytest.raises(TerminalEngineError) as caught:
        await asyncio.wait_for(poll_for_ever(driver, handle), 10)
    assert caught.value.code == "LOST"


async def poll_for_ever(driver: Driver, handle: Handle) -> None:
    while True:
        await driver.engine.poll(handle, wait=timedelta(seconds=1))


async def test_only_one_lengthy_statement_makes_work_durable(driver):
    one = await driver.submit("SET a.b=1; USE default; SELECT 1 AS a")
    two = await driver.submit("CREATE TABLE IF NOT EXISTS lengthy (a INT); SELECT 1 AS a")
    assert (one.durable, two.durable) == (True, False)


async def test_a_fetch_begins_anew_where_another_process_had_begun_it(make):
    first, second = make(), make()
    handle = await first.submit("SELECT id FROM range(0, 30000, 1, 1)")
    await first.follow(handle)
    job = first.engine._jobs[handle.text]
    operation, opened = job._operation, job._session
    columns = await opened.ask(HiveWire.columns, operation)
    await opened.ask(HiveWire.fetch, operation, columns, first=True, size=5_000)
    assert (await second.fetch(handle)).row_count == 30_000


async def test_a_lost_connection_does_not_end_durable_work(make, proxy):
    driver = make(port=proxy.port)
    handle = await driver.submit(SLOW)
    for _ in range(2):
        await driver.engine.poll(handle, wait=timedelta(seconds=1))
    assert proxy.cut() > 0
    assert (await driver.follow(handle))[0].state is WorkState.SUCCEEDED
    assert (await driver.fetch(handle)).row_count == 1


async def test_a_lost_connection_ends_other_work_and_it_may_be_tried_again(make, proxy):
    driver = make(port=proxy.port)
    handle = await driver.submit(f"CREATE TABLE IF NOT EXISTS cut_off (a INT); {LONG}")
    for _ in range(3):
        await driver.engine.poll(handle, wait=timedelta(seconds=1))
    proxy.cut()
    poll, _ = await driver.follow(handle)
    assert (poll.state, poll.error.code, poll.error.retriable) == (WorkState.FAILED, "CONNECTION", True)


async def test_a_server_that_goes_away_in_mid_query_is_a_transient_failure(make, proxy, monkeypatch):
    monkeypatch.setattr(session, "_RECONNECTS", (0.1, 0.1))
    driver = make(port=proxy.port)
    handle = await driver.submit(QUERIES["endless"])
    for _ in range(2):
        await driver.engine.poll(handle, wait=timedelta(seconds=1))
    with proxy.away():
        poll, _ = await driver.follow(handle)
    await make().engine.cancel(handle)  # it goes on in the server, which is well
    assert (poll.state, poll.error.code, poll.error.retriable) == (WorkState.FAILED, "CONNECTION", True)


async def test_a_connection_lost_in_mid_fetch_is_a_transient_failure(make, proxy):
    driver = make(port=proxy.port)
    handle = await driver.submit("SELECT id, repeat('x', 200) AS text FROM range(0, 300000)")
    await driver.follow(handle)
    with proxy.slow(bytes_per_second=2_000_000):
        fetching = asyncio.create_task(driver.fetch(handle))
        await asyncio.sleep(0.5)
        proxy.cut()
        with pytest.raises(Exception, match="connection") as caught:
            await fetching
    assert caught.value.retriable
