"""Events that a live feed pushes into the sockets: once, in order, and past whoever does not read."""

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from app.graphql.transport.websocket import SocketLimits
from tests.graphql.transport.toy_site import Site, Talk, until

QUERY = "subscription($a:String){rows(after:$a){cursor numbers padding(size:20000)}}"


def tell(site: Site, count: int = 1) -> None:
    site.world.source.add(count)
    site.world.source.bell.ring()


def followers(site: Site) -> list[set[Any]]:
    return [group for used in site.world.source.feeds._feeds.values() for group in used.feed._followers.values()]


async def numbers(talk: Talk, until_number: int) -> list[int]:
    """What is heard up to this number."""
    heard: list[int] = []
    while not heard or heard[-1] < until_number:
        message: dict[str, Any] = await talk.hear()
        heard += message["payload"]["data"]["rows"]["numbers"]
    return heard


@pytest.mark.parametrize("field", ["padding", "late"])
async def test_an_event_is_rendered_once_for_all_sockets_whatever_ids_they_use(site: Site, field: str) -> None:
    async with site.connect() as first, site.connect() as second, site.connect() as third:
        talks = [Talk(first), Talk(second), Talk(third)]
        for number, talk in enumerate(talks):
            await talk.begin(authorization="Bearer ann")
            await talk.subscribe("1", f"subscription{{rows{{numbers {field}}}}}")
            await talk.subscribe(f"own {number}", f"subscription{{rows{{numbers {field}}}}}")
        await until(lambda: sum(map(len, followers(site))) == 6)
        for number in range(1, 4):
            site.world.renderings = 0
            tell(site)
            for own, talk in enumerate(talks):
                heard = [await talk.hear(), await talk.hear()]
                assert {message["id"] for message in heard} == {"1", f"own {own}"}
                assert [message["payload"]["data"]["rows"]["numbers"] for message in heard] == [[number]] * 2
            assert site.world.renderings == 1


async def test_who_does_not_read_is_dropped_with_1013_delays_nobody_and_resumes_by_its_cursor(start_site: Any) -> None:
    site = await start_site(socket_limits=SocketLimits(stall_seconds=0.5))
    async with site.connect(max_queue=1) as stuck, site.connect() as other:
        talk, quick = Talk(stuck), Talk(other)
        for each in (talk, quick):
            await each.begin(authorization="Bearer ann")
            await each.subscribe("1", QUERY)
        tell(site)
        before = await numbers(talk, 1)
        await numbers(quick, 1)
        stuck.transport.pause_reading()
        for number in range(2, 1200):
            tell(site)
            await numbers(quick, number)
            if site.sockets.open_sockets == 1:
                break
        assert site.sockets.open_sockets == 1, "the one that does not read is still there"
        stuck.transport.resume_reading()
        heard = list(before)
        code, reason = await closing(stuck, heard)
        assert (code, "Too slow" in reason) in {(1013, True), (1006, False)}
        last = len(site.world.source.rows)
    async with site.connect() as again:
        talk = Talk(again)
        await talk.begin(authorization="Bearer ann")
        await talk.subscribe("1", QUERY, variables={"a": str(heard[-1])})
        heard += await numbers(talk, last)
    assert heard == site.world.source.rows


async def closing(socket: Any, heard: list[int]) -> tuple[int, str]:
    """Adds what is still heard, and gives the code and the reason of the end."""
    try:
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), 20))
            if message["type"] == "next":
                heard += message["payload"]["data"]["rows"]["numbers"]
    except ConnectionClosed:
        return socket.close_code or 0, socket.close_reason or ""


async def test_who_reads_slowly_gets_everything_once_and_in_order_and_little_waits_for_it(start_site: Any) -> None:
    site = await start_site(socket_limits=SocketLimits(stall_seconds=5))
    async with site.connect(max_queue=1) as socket:
        talk = Talk(socket)
        await talk.begin(authorization="Bearer ann")
        await talk.subscribe("1", QUERY)
        await until(lambda: bool(followers(site)))
        for _ in range(400):  # 8 MB, where a socket holds three
            tell(site)
            await asyncio.sleep(0.001)
        (protocol,) = site.server._server.server_state.connections
        assert protocol.backlog_bytes < 200_000
        assert await numbers(talk, 400) == list(range(1, 401))


async def test_a_stream_is_left_when_its_client_completes_it_or_goes_away(site: Site) -> None:
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", QUERY)
        await until(lambda: bool(followers(site)))
        await talk.say(type="complete", id="1")
        await until(lambda: not site.world.source.feeds._feeds)
        await talk.subscribe("1", QUERY)
        await until(lambda: bool(followers(site)))
        socket.transport.abort()
    await until(lambda: not site.world.source.feeds._feeds)
    assert not site.world.source.bell.listeners
