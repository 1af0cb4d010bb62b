"""The doorbell: rings are heard by whoever listens, also after Redis was away, and nobody is remembered who left."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.exceptions import RedisError

from app.messaging import bell as bell_module
from app.messaging.bell import Bell
from tests.support.processes import Reaper, free_port
from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def server(reaper: Reaper) -> Iterator[RedisServer]:
    """A Redis that these tests stop and start."""
    server = RedisServer(reaper=reaper)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def bells(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Bell, Bell]]:
    """Two processes' bells."""
    monkeypatch.setattr(bell_module, "RECONNECT_DELAY", 0.02)
    pair = Bell(url=server.url), Bell(url=server.url)
    for each in pair:
        await each.start()
    yield pair
    for each in pair:
        await each.close()


class Ear:
    def __init__(self) -> None:
        self.rings = 0
        self.event = asyncio.Event()

    def __call__(self) -> None:
        self.rings += 1
        self.event.set()

    async def hear(self) -> None:
        await asyncio.wait_for(self.event.wait(), 10)
        self.event.clear()


async def test_a_ring_is_heard_in_every_process_by_those_who_listen_to_its_topic(bells: tuple[Bell, Bell]) -> None:
    here, there = bells
    ears = [Ear(), Ear(), Ear()]
    other = Ear()
    async with (
        here.listening("a", ears[0]),
        here.listening("a", ears[1]),
        there.listening("a", ears[2]),
        there.listening("b", other),
    ):
        for ear in (*ears, other):
            ear.rings = 0
            ear.event.clear()
        await here.ring(["a"])
        for ear in ears:
            await ear.hear()
        assert other.rings == 0
        await there.ring(["b", "nobody listens to this"])
        await other.hear()
    assert not here._listeners
    assert not there._listeners


async def test_a_ring_sent_after_the_block_was_entered_is_heard_however_listeners_come_and_go(
    bells: tuple[Bell, Bell],
) -> None:
    here, there = bells

    async def once(number: int) -> None:
        ear = Ear()
        async with here.listening("topic", ear):
            ear.event.clear()
            await there.ring(["topic"])
            await ear.hear()
            await asyncio.sleep(0.001 * (number % 3))

    for _ in range(10):
        await asyncio.gather(*(once(number) for number in range(8)))
        await once(0)
    assert not here._listeners
    assert not here._confirmed


async def test_after_a_restart_of_redis_every_topic_rings(bells: tuple[Bell, Bell], server: RedisServer) -> None:
    here, there = bells
    ears = [Ear(), Ear()]
    async with here.listening("a", ears[0]), here.listening("b", ears[1]):
        with server.down():
            for ear in ears:
                ear.event.clear()
            with pytest.raises((RedisError, OSError)):
                await there.ring(["a"])  # what is said now is lost
        for ear in ears:
            await ear.hear()  # so both look for themselves
        await _until_connected(here, there)
        for ear in ears:
            ear.event.clear()
        await there.ring(["b"])
        await ears[1].hear()


async def test_while_redis_is_away_listeners_are_rung_at_a_steady_pace(
    bells: tuple[Bell, Bell], server: RedisServer
) -> None:
    here, _ = bells
    ear = Ear()
    async with here.listening("a", ear):
        with server.down():
            for _ in range(3):
                ear.event.clear()
                await ear.hear()
    await _until_connected(here)


async def test_whoever_gives_up_while_redis_is_away_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bell_module, "PATIENCE", 30.0)
    bell = Bell(url=f"redis://127.0.0.1:{free_port()}/0")
    await bell.start()

    async def listen() -> None:
        async with bell.listening("a", Ear()):
            await asyncio.Event().wait()

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.01)
    assert bell._listeners
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    assert not bell._listeners
    assert not bell._confirmed
    await bell.close()


async def _until_connected(*bells: Bell) -> None:
    for bell in bells:
        await asyncio.wait_for(bell._connected.wait(), 10)
