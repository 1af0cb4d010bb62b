"""How much a client may ask of a socket, and how slowly it may read."""

import asyncio
import json

from websockets.exceptions import ConnectionClosed

from app.graphql.transport.websocket import SocketLimits
from tests.graphql.transport.toy_schema import Tick
from tests.graphql.transport.toy_site import Talk, until


async def test_a_message_over_the_size_limit_closes_the_socket(site):
    async with site.connect() as socket:
        await Talk(socket).begin()
        await socket.send("x" * 300_000)
        assert (await Talk(socket).closing())[0] == 1009


async def test_operations_over_the_limit_are_refused_one_by_one(start_site):
    site = await start_site(socket_limits=SocketLimits(max_operations=2))
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        for number in range(3):
            await talk.subscribe(str(number), "subscription{ticks{number}}")
        refused = await talk.hear()
        assert (refused["id"], refused["type"]) == ("2", "error")
        assert refused["payload"][0]["extensions"]["code"] == "TOO_MANY_OPERATIONS"
        await talk.say(type="complete", id="0")
        await until(lambda: site.world.closed_streams == 1)
        await talk.subscribe("2", "{hello}")
        assert (await talk.hear())["type"] == "next"


async def test_sockets_over_the_limit_of_a_user_are_4429_and_do_not_count_against_others(start_site):
    site = await start_site(socket_limits=SocketLimits(max_sockets_per_viewer=2))
    async with site.connect() as first, site.connect() as second, site.connect() as third, site.connect() as other:
        await Talk(first).begin(authorization="Bearer ann")
        await Talk(second).begin(authorization="Bearer ann")
        await Talk(third).say(type="connection_init", payload={"authorization": "Bearer ann"})
        code, reason = await Talk(third).closing()
        assert (code, reason) == (4429, "Too many connections: close one of your 2 first")
        await Talk(other).begin(authorization="Bearer bob")
        await first.close()
        await until(lambda: site.sockets.open_sockets == 2)
        async with site.connect() as fourth:
            await Talk(fourth).begin(authorization="Bearer ann")
    await until(lambda: site.sockets.open_sockets == 0)
    assert not site.sockets._sockets_of


async def test_a_client_that_stops_reading_is_dropped_and_delays_nobody(start_site):
    site = await start_site(socket_limits=SocketLimits(stall_seconds=0.5))
    async with site.connect() as stuck, site.connect() as other:
        await Talk(stuck).begin()
        await Talk(stuck).subscribe("1", "subscription{flood}")
        stuck.transport.pause_reading()
        talk = Talk(other)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{number}}")
        await until(lambda: site.world.listeners("t") == 1)
        slowest = 0.0
        started = asyncio.get_running_loop().time()
        while site.world.closed_streams == 0:
            before = asyncio.get_running_loop().time()
            assert before - started < 10
            site.world.publish("t", Tick(number=1))
            await talk.hear()
            slowest = max(slowest, asyncio.get_running_loop().time() - before)
        assert slowest < 0.4
        # Its transport goes as well, though the peer never takes what was written.
        await until(lambda: len(site.server._server.server_state.connections) == 1, 15)
        await until(lambda: site.sockets.open_sockets == 1)
        stuck.transport.resume_reading()
        code, reason = await Talk(stuck).closing()
        assert (code, "Too slow" in reason) in {(1013, True), (1006, False)}


async def test_a_client_that_reads_slowly_gets_everything(start_site):
    site = await start_site(socket_limits=SocketLimits(stall_seconds=2))
    async with site.connect(max_queue=1) as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{flood(size:100000)}")
        for _ in range(40):
            assert len((await talk.hear())["payload"]["data"]["flood"]) == 100_000
            await asyncio.sleep(0.01)
        socket.transport.abort()


async def test_a_client_that_pings_without_reading_the_pongs_is_not_heard_any_more(start_site):
    site = await start_site(socket_limits=SocketLimits(stall_seconds=0.3))
    async with site.connect() as socket:
        await Talk(socket).begin()
        socket.transport.pause_reading()
        ping = json.dumps({"type": "ping", "payload": {"a": "x" * 200_000}})
        try:
            async with asyncio.timeout(15):
                for _ in range(500):
                    await socket.send(ping)
        except (TimeoutError, ConnectionClosed):
            pass
        socket.transport.abort()
    await until(lambda: site.sockets.open_sockets == 0, 15)
