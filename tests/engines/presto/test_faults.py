"""A server that is away, busy, forgetful or strange: what is asked again, what is given up, what is never doubled."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from app.engines.base import Handle, TerminalEngineError, TransientEngineError, WorkState
from app.engines.presto.client import StatementClient
from app.engines.presto.dialect import Dialect
from tests.engines.driving import Driver
from tests.engines.presto.candidate import QUERIES
from tests.engines.presto.driving import driver_for, engine_for
from tests.support.presto import Failed, Fault, PrestoServer
from tests.support.processes import free_port

MANY_PAGES = "SELECT n FROM UNNEST(sequence(1, 20000)) AS t (n) ORDER BY n"


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_server_that_is_busy_is_asked_again(driver, presto_server, status):
    with presto_server.misbehaving(Fault(method="POST", status=status), Fault(status=status, times=2)):
        ended = await driver.run("SELECT 1 AS a")
    assert ended.rows == [["1"]]


async def test_a_server_says_when_to_come_back(driver, presto_server):
    began = asyncio.get_running_loop().time()
    with presto_server.misbehaving(Fault(status=429, headers={"Retry-After": "1"})):
        ended = await driver.run("SELECT 1 AS a")
    assert ended.rows == [["1"]]
    assert asyncio.get_running_loop().time() - began >= 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_an_answer_that_was_cut_off_is_had_again_and_no_row_is_lost_or_doubled(driver, presto_server, after):
    cuts = [Fault(after=after) for _ in range(4)]
    handle = await driver.submit(MANY_PAGES)
    await driver.follow(handle)
    with presto_server.misbehaving(*cuts):
        stored = await driver.fetch(handle)
    assert stored.row_count == 20_000
    assert all(fault.times == 0 for fault in cuts)
    ended = await driver.run(MANY_PAGES)
    assert [int(row[0]) for row in ended.rows] == list(range(1, 20_001))


async def test_a_statement_whose_answer_was_lost_is_run_once(driver, presto_server):
    before = len(presto_server.queries)
    with presto_server.misbehaving(Fault(method="POST", after=True)):
        ended = await driver.run("CREATE TABLE once_only AS SELECT 1 AS a; SELECT count(*) AS n FROM once_only")
    assert ended.rows == [["1"]]
    assert len(presto_server.queries) == before + 3  # the one that nobody asked for was never begun
    await driver.run("DROP TABLE once_only")


async def test_a_server_that_stays_away_is_told_as_transient(tmp_path):
    client = StatementClient(url=f"http://127.0.0.1:{free_port()}", headers={}, patience=timedelta(milliseconds=300))
    with pytest.raises(TransientEngineError) as caught:
        await client.send("SELECT 1", {})
    assert caught.value.code == "CONNECTION"
    await client.close()
    async with driver_for(f"http://127.0.0.1:{free_port()}", Dialect.TRINO, tmp_path) as driver:
        health = await driver.engine.check()
        assert not health.healthy
        assert health.message


async def test_a_server_that_is_starting_is_not_well(driver, presto_server):
    presto_server.starting = True
    health = await driver.engine.check()
    presto_server.starting = False
    assert (health.healthy, health.message) == (False, "The server is starting still.")


async def test_a_coordinator_that_was_restarted_has_lost_the_work(driver: Driver, presto_server: PrestoServer):
    handle = await driver.submit(QUERIES["endless"])
    await driver.engine.poll(handle, wait=timedelta(0))
    presto_server.restart()
    poll, _ = await driver.follow(handle)
    assert isinstance(poll.error, TerminalEngineError)
    assert poll.error.code == "LOST"


async def test_errors_of_the_cluster_are_worth_another_attempt(driver, presto_server):
    presto_server.fail_with = Failed("No nodes", name="NO_NODES_AVAILABLE", kind="INSUFFICIENT_RESOURCES")
    ended = await driver.run("SELECT 1 AS a")
    assert isinstance(ended.error, TransientEngineError)
    assert ended.code == "NO_NODES_AVAILABLE"


async def test_what_another_has_cancelled_is_cancelled_here(driver, presto_server):
    handle = await driver.submit(QUERIES["endless"])
    await driver.engine.poll(handle, wait=timedelta(0))
    presto_server.queries[handle.text.split()[0]].cancel()
    poll, _ = await driver.follow(handle)
    assert (poll.state, poll.error) == (WorkState.CANCELLED, None)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "PERMISSION"), (403, "PERMISSION"), (404, "REFUSED"), (400, "REFUSED"), (500, "SERVER")]
)
async def test_a_refusal_is_told_with_what_it_means(driver, presto_server, status, code):
    with presto_server.misbehaving(Fault(method="POST", status=status)):
        ended = await driver.run("SELECT 1 AS a")
    assert ended.code == code


async def test_what_does_not_speak_the_protocol_is_told():
    client = StatementClient(url="http://nowhere", headers={})
    client._http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _request: httpx.Response(200, text="<html>")))
    with pytest.raises(TerminalEngineError) as caught:
        await client.send("SELECT 1", {})
    assert caught.value.code == "PROTOCOL"
    await client.close()


# ---- handles


async def test_whatever_moment_a_worker_dies_in_the_handle_that_it_has_stored_is_good(presto_server, tmp_path):
    async with (
        driver_for(presto_server.url, Dialect.PRESTO, tmp_path) as first,
        driver_for(presto_server.url, Dialect.PRESTO, tmp_path) as second,
    ):
        stored = await first.submit(MANY_PAGES)
        state = WorkState.RUNNING
        while state is WorkState.RUNNING:
            poll = await first.engine.poll(stored, wait=timedelta(seconds=5))
            await asyncio.sleep(0.05)  # what it may have asked for besides is on its way
            page, _ = await second.engine._client.ask(stored.text.split()[1], wait=timedelta(0))
            assert page.error is None
            assert stored.durable
            stored, state = poll.handle or stored, poll.state
        assert (await second.follow(stored))[0].state is WorkState.SUCCEEDED
        assert (await second.fetch(stored)).row_count == 20_000


async def test_rows_that_were_taken_are_lost_to_another_and_its_query_is_ended(driver, presto_server):
    handle = await driver.submit(MANY_PAGES)
    kept = handle
    while (poll := await driver.engine.poll(handle, wait=timedelta(seconds=5))).state is WorkState.RUNNING:
        kept = poll.handle or kept
    await driver.fetch(handle)
    twin = engine_for(presto_server.url, Dialect.PRESTO)
    poll = await twin.poll(kept, wait=timedelta(seconds=5))
    assert (poll.state, poll.error.code) == (WorkState.FAILED, "LOST")
    assert ("DELETE", f"/v1/query/{kept.text.split()[0]}") in presto_server.requests
    await twin.close()


async def test_only_the_last_statement_of_a_text_can_be_found_again(driver):
    handle = await driver.submit("SET SESSION a = 'b'; SELECT 1 AS a")
    assert not handle.durable
    kept = []
    while (poll := await driver.engine.poll(handle, wait=timedelta(seconds=5))).state is WorkState.RUNNING:
        kept += [poll.handle] if poll.handle else []
    assert [found.durable for found in kept][-1]
    assert not kept[0].durable
    assert (await driver.fetch(handle)).row_count == 1


async def test_a_statement_after_the_rows_makes_the_handle_perishable(driver):
    handle = await driver.submit("SELECT 1 AS a; SET SESSION a = 'b'")
    while (poll := await driver.engine.poll(handle, wait=timedelta(seconds=5))).state is WorkState.RUNNING:
        assert poll.handle is None or not poll.handle.durable
    await driver.fetch(handle)


@pytest.mark.parametrize("text", ["", "id", "id file:///etc/passwd", "id http://host/elsewhere"])
async def test_a_handle_that_is_none_is_lost(driver, text):
    with pytest.raises(TerminalEngineError) as caught:
        await driver.engine.poll(Handle(text=text, durable=True), wait=timedelta(0))
    assert caught.value.code == "LOST"


async def test_a_cancel_while_rows_are_taken_stops_the_query_and_the_fetch(driver, presto_server):
    handle = await driver.submit(QUERIES["many"])
    await driver.follow(handle)
    fetching = asyncio.create_task(driver.fetch(handle))
    await asyncio.sleep(0.1)
    await driver.engine.cancel(handle)
    with pytest.raises(TerminalEngineError) as caught:
        await fetching
    assert caught.value.code == "CANCELLED"
    assert presto_server.queries[handle.text.split()[0]].state == "FAILED"


async def test_who_takes_no_more_rows_lets_the_query_go(driver, presto_server):
    handle = await driver.submit(QUERIES["many"])
    await driver.follow(handle)
    with pytest.raises(OSError, match="full"):
        await driver.engine.fetch(handle, _FullDisk())
    assert presto_server.queries[handle.text.split()[0]].state == "FAILED"


class _FullDisk:
    delimiter = ","

    async def write_rows(self, columns, batches):
        assert columns
        async for _batch in batches:
            raise OSError("the disk is full")


async def test_no_more_than_one_page_is_read_ahead(driver, presto_server):
    handle = await driver.submit(MANY_PAGES)
    await driver.follow(handle)
    sink = _Slow(presto_server)
    await driver.engine.fetch(handle, sink)
    assert sink.most_ahead <= 2
    assert sink.pages >= 4


class _Slow:
    delimiter = ","

    def __init__(self, server: PrestoServer) -> None:
        self.server = server
        self.pages = 0
        self.most_ahead = 0

    async def write_rows(self, columns, batches):
        assert columns
        asked = len(self.server.requests)
        async for _batch in batches:
            await asyncio.sleep(0.05)
            self.pages += 1
            self.most_ahead = max(self.most_ahead, len(self.server.requests) - asked - self.pages)


async def test_an_account_is_told_and_a_wrong_one_refused(presto_server, tmp_path):
    presto_server.password = "pässword:1"
    client = StatementClient(
        url=presto_server.url,
        headers={"X-Trino-User": "jörg"},
        auth=httpx.BasicAuth("jörg".encode(), presto_server.password.encode()),
    )
    page, _ = await client.send("SELECT 1", {})
    assert page.next_uri
    await client.close()
    async with driver_for(presto_server.url, Dialect.TRINO, tmp_path) as driver:
        ended = await driver.run("SELECT 1")
    presto_server.password = None
    assert ended.code == "PERMISSION"


async def test_tls_is_never_left_for_an_address_without_it():
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(
            200, json={"id": "q", "nextUri": "http://coordinator:8080/v1/statement/queued/q/1?slug=x"}
        )

    client = StatementClient(url="https://balancer:8443", headers={})
    client._http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    page, _ = await client.send("SELECT 1", {})
    await client.ask(page.next_uri, wait=timedelta(seconds=1))
    await client.close()
    assert asked[1] == "https://balancer:8443/v1/statement/queued/q/1?slug=x&maxWait=1000ms"
