"""The proxy does to a connection what it is told, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.support.processes import free_port
from tests.support.proxy import Moment, Proxy

PATIENCE = 5
QUIET = 0.1  # seconds in which nothing may come


class Echo:
    """A server that answers each line by `done` and the line, and remembers what it has heard."""

    def __init__(self) -> None:
        self.port = free_port()
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = b""
            while piece := await reader.read(1000):
                self.heard += piece
                line += piece
                if line.endswith(b"\n"):
                    writer.write(b"done " + line)
                    await writer.drain()
                    line = b""
        except OSError:
            pass
        finally:
            writer.close()


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", echo.port)
    yield echo
    server.close()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[Proxy]:
    with Proxy(upstream_port=echo.port) as proxy:
        yield proxy


class Line:
    """A client's connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, proxy: Proxy) -> "Line":
        return cls(*await asyncio.open_connection(proxy.host, proxy.port))

    async def ask(self, text: bytes) -> bytes:
        """All that comes within the patience: a line, or what was said before the end."""
        self.writer.write(text)
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readline()


async def test_it_forwards(proxy: Proxy) -> None:
    lines = [await Line.to(proxy) for _ in range(3)]
    for line in lines:
        assert await line.ask(b"hello\n") == b"done hello\n"
        line.writer.close()


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_ends_what_is_open_and_lets_in_what_comes(proxy: Proxy, reset: bool) -> None:
    line = await Line.to(proxy)
    await line.ask(b"hello\n")
    assert proxy.cut(reset=reset) == 1
    if reset:
        with pytest.raises(ConnectionResetError):
            await line.reader.readline()
    else:
        assert await line.reader.readline() == b""
    line.writer.close()
    again = await Line.to(proxy)
    assert await again.ask(b"again\n") == b"done again\n"
    again.writer.close()


@pytest.mark.parametrize(
    ("moment", "heard", "answered"),
    [
        (Moment.BEFORE, b"", None),
        (Moment.HALFWAY, b"COM", b""),
        (Moment.UNANSWERED, b"COMMIT\n", None),
        (Moment.HALF_ANSWERED, b"COMMIT\n", b"done C"),
    ],
)
async def test_a_trapped_request_is_cut_at_its_moment_and_the_next_is_not(
    proxy: Proxy, echo: Echo, moment: Moment, heard: bytes, answered: bytes | None
) -> None:
    proxy.trap(b"COMMIT", moment)
    line = await Line.to(proxy)
    await line.ask(b"hello\n")
    echo.heard = b""
    if answered is None:
        with pytest.raises(ConnectionResetError):
            await line.ask(b"COMMIT\n")
    else:
        assert await line.ask(b"COMMIT\n") == answered
    line.writer.close()
    async with asyncio.timeout(PATIENCE):
        while echo.heard != heard:  # noqa: ASYNC110 - what it must not hear would come a moment later
            await asyncio.sleep(0.01)
    again = await Line.to(proxy)
    assert await again.ask(b"COMMIT\n") == b"done COMMIT\n"
    again.writer.close()


async def test_a_proxy_that_is_away_refuses_and_comes_back(proxy: Proxy) -> None:
    line = await Line.to(proxy)
    await line.ask(b"hello\n")
    with proxy.away():
        with pytest.raises(ConnectionResetError):
            await line.reader.readline()
        with pytest.raises(ConnectionRefusedError):
            await Line.to(proxy)
    again = await Line.to(proxy)
    assert await again.ask(b"hello\n") == b"done hello\n"
    for each in (line, again):
        each.writer.close()


async def test_a_blackhole_says_nothing_and_what_was_in_it_is_cut(proxy: Proxy, echo: Echo) -> None:
    line = await Line.to(proxy)
    with proxy.blackhole():
        line.writer.write(b"lost\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(QUIET):
                await line.reader.readline()
    with pytest.raises(ConnectionResetError):
        await line.reader.readline()
    assert echo.heard == b""
    line.writer.close()


async def test_a_slow_line_takes_its_time_and_loses_nothing(proxy: Proxy) -> None:
    line = await Line.to(proxy)
    with proxy.slow(delay=0.05, bytes_per_second=50_000):
        begin = time.monotonic()
        assert await line.ask(b"x" * 900 + b"\n") == b"done " + b"x" * 900 + b"\n"
        assert time.monotonic() - begin >= 0.1, "a delay each way; being slower still is no fault"
    line.writer.close()
