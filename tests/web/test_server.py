"""The server: starting, refusing to start, stopping, and peers that do not read."""

import asyncio
import contextlib
import signal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.web.server import ServerStartError, WebServer


async def hello(_request):
    return PlainTextResponse("hello")


async def large(_request):
    return PlainTextResponse("x" * 50_000_000)


def application(**options):
    return Starlette(routes=[Route("/", hello), Route("/large", large)], **options)


@pytest.fixture
async def server():
    server = WebServer(application(), port=0)
    await server.start()
    yield server
    await server.stop()


async def test_it_serves_once_started_and_no_longer_once_stopped():
    server = WebServer(application(), port=0)
    await server.start()
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{server.port}/")
        assert response.text == "hello"
        assert "server" not in response.headers
    await server.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    await server.stop()


async def test_stopping_one_that_never_started_is_harmless():
    await WebServer(application(), port=0).stop()


async def test_a_taken_port_is_said_in_words(server):
    other = WebServer(application(), port=server.port)
    with pytest.raises(ServerStartError, match=f"Port {server.port} on 127.0.0.1 is taken by another program"):
        await other.start()


async def test_a_port_is_free_again_at_once():
    first = WebServer(application(), port=0)
    await first.start()
    async with httpx.AsyncClient() as client:
        await client.get(f"http://127.0.0.1:{first.port}/")
    await first.stop()
    second = WebServer(application(), port=first.port)
    await second.start()
    await second.stop()


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
async def test_a_foreign_address_is_said_in_words(host):
    with pytest.raises(ServerStartError, match="is no address of this machine"):
        await WebServer(application(), host=host, port=0).start()


async def test_an_application_that_does_not_start_is_an_error_not_the_end_of_the_process():
    @contextlib.asynccontextmanager
    async def lifespan(_app):
        raise RuntimeError("no database")
        yield

    with pytest.raises(ServerStartError, match="failed to start"):
        await WebServer(application(lifespan=lifespan), port=0).start()


async def test_two_servers_run_in_one_loop_and_leave_the_signals_alone(server):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    other = WebServer(application(), port=0)
    await other.start()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    async with httpx.AsyncClient() as client:
        for port in (server.port, other.port):
            assert (await client.get(f"http://127.0.0.1:{port}/")).text == "hello"
    await other.stop()


async def test_a_client_that_does_not_take_its_answer_is_cut_off(server, monkeypatch):
    monkeypatch.setattr("app.web.protocols.STALL_SECONDS", 0.3)
    _reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_000)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    connections = server._server.server_state.connections
    for is_expected in (True, False):
        async with asyncio.timeout(10):
            while bool(connections) is not is_expected:  # noqa: ASYNC110  # uvicorn's set, no event of ours
                await asyncio.sleep(0.01)
    writer.transport.abort()


async def test_a_client_that_takes_its_answer_slowly_gets_all_of_it(server, monkeypatch):
    monkeypatch.setattr("app.web.protocols.STALL_SECONDS", 0.5)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1_000_000)
    writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    received = 0
    while piece := await reader.read(2_000_000):
        received += len(piece)
        await asyncio.sleep(0.02)
    assert received > 50_000_000
    writer.close()


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00", b"GET / HTTP/9.9\r\n\r\n"])
async def test_garbage_is_answered_by_400_not_by_a_traceback(server, garbage, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(garbage)
    assert b"400" in await asyncio.wait_for(reader.read(), 10)
    assert "Traceback" not in caplog.text
    writer.close()


async def test_a_client_that_sends_no_request_is_hung_up_on(monkeypatch):
    monkeypatch.setattr("app.web.protocols.OPENING_SECONDS", 0.2)
    server = WebServer(application(), port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    await server.stop()


async def test_a_request_that_is_on_its_way_at_the_stop_is_answered():
    server = WebServer(application(), port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    await asyncio.sleep(0.05)  # it is taken
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.read()).endswith(b"hello")
    await stopping
    writer.close()


async def test_who_never_asks_does_not_hold_up_the_stop():
    server = WebServer(application(), port=0)
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(5):
        await server.stop()
        assert not await reader.read()
    writer.close()


async def test_who_is_let_go_finds_the_port_closed():
    found = []

    async def let_go():
        try:
            await asyncio.open_connection("127.0.0.1", server.port)
        except ConnectionRefusedError:
            found.append("closed")

    server = WebServer(application(), port=0, let_go=let_go)
    await server.start()
    await server.stop()
    assert found == ["closed"]


FORWARDED = {"x-forwarded-for": "198.51.100.7, 203.0.113.9", "x-forwarded-proto": "https"}


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        (("127.0.0.1",), "https 203.0.113.9"),  # what stands before it is the client's own word
        (("127.0.0.0/8", "203.0.113.0/24"), "https 198.51.100.7"),
        (("10.0.0.0/8",), "http 127.0.0.1"),
        ((), "http 127.0.0.1"),
    ],
)
async def test_only_a_trusted_proxy_says_who_the_client_is(trusted, seen):
    async def show(request):
        return PlainTextResponse(f"{request.url.scheme} {request.client.host}")

    server = WebServer(Starlette(routes=[Route("/", show)]), port=0, trusted_proxies=trusted)
    await server.start()
    async with httpx.AsyncClient() as client:
        response = await client.get(f"http://127.0.0.1:{server.port}/", headers=FORWARDED)
    await server.stop()
    assert response.text == seen
