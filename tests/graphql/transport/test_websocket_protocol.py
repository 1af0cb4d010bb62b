"""graphql-transport-ws message by message: how a socket begins, who is on it, and with which code it is closed."""

import asyncio
import json

import pytest

from app.graphql.transport.websocket import SocketLimits
from tests.graphql.transport.toy_site import Talk, until


async def test_a_socket_begins_with_an_acknowledgement(site):
    async with site.connect() as socket:
        assert socket.subprotocol == "graphql-transport-ws"
        await Talk(socket).begin()


async def test_ping_is_answered_with_its_payload_before_and_after_the_beginning(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.say(type="ping", payload={"a": 1})
        assert await talk.hear() == {"type": "pong", "payload": {"a": 1}}
        await talk.begin()
        await talk.say(type="ping")
        assert await talk.hear() == {"type": "pong"}
        await talk.say(type="pong", payload={"b": 2})
        await talk.say(type="ping", payload=None)
        assert await talk.hear() == {"type": "pong"}


async def test_the_server_pings_so_that_browsers_notice_a_dead_connection(start_site):
    site = await start_site(socket_limits=SocketLimits(ping_seconds=0.05))
    async with site.connect() as socket:
        await Talk(socket).begin()
        for _ in range(3):
            assert json.loads(await asyncio.wait_for(socket.recv(), 5)) == {"type": "ping"}


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "JSON object"),
        ("7", "JSON object"),
        ('"connection_init"', "JSON object"),
        ("null", "JSON object"),
        (b"\x00\x01", "Binary frames"),
        (b'{"type":"ping"}', "Binary frames"),
        ("{}", "'type'"),
        ('{"type":7}', "'type'"),
        ('{"type":"start","id":"1","payload":{}}', "Unknown message type 'start'"),
        (json.dumps({"type": "ö" * 500}), "Unknown message type"),
        ('{"type":"ping","payload":"text"}', "payload of 'ping'"),
        ('{"type":"pong","payload":[1]}', "payload of 'pong'"),
        ('{"type":"connection_init","payload":"text"}', "payload of 'connection_init'"),
        ('{"type":"connection_init","payload":[]}', "payload of 'connection_init'"),
        ('{"type":"subscribe","payload":{"query":"{hello}"}}', "'id'"),
        ('{"type":"subscribe","id":1,"payload":{"query":"{hello}"}}', "'id'"),
        ('{"type":"subscribe","id":"","payload":{"query":"{hello}"}}', "'id'"),
        ('{"type":"subscribe","id":{"a":1},"payload":{"query":"{hello}"}}', "'id'"),
        (json.dumps({"type": "subscribe", "id": "x" * 300, "payload": {"query": "{hello}"}}), "'id'"),
        ('{"type":"subscribe","id":"1"}', "payload of 'subscribe'"),
        ('{"type":"subscribe","id":"1","payload":"{hello}"}', "payload of 'subscribe'"),
        ('{"type":"subscribe","id":"1","payload":[]}', "Batches"),
        ('{"type":"subscribe","id":"1","payload":{}}', "'query'"),
        ('{"type":"subscribe","id":"1","payload":{"query":1}}', "'query'"),
        ('{"type":"subscribe","id":"1","payload":{"query":"{hello}","variables":"x"}}', "'variables'"),
        ('{"type":"subscribe","id":"1","payload":{"query":"{hello}","operationName":1}}', "'operationName'"),
        ('{"type":"complete"}', "'id'"),
        ('{"type":"complete","id":7}', "'id'"),
    ],
)
@pytest.mark.parametrize("has_begun", [False, True], ids=["at first", "later"])
async def test_a_wrong_message_closes_the_socket_with_4400_and_a_reason(site, frame, words, has_begun):
    async with site.connect() as socket:
        talk = Talk(socket)
        if has_begun:
            await talk.begin()
        await socket.send(frame)
        code, reason = await talk.closing()
    assert code == 4400
    assert words in reason
    assert site.log.events == []


async def test_text_that_is_not_utf_8_closes_the_socket_without_a_traceback(site, caplog):
    async with site.connect() as socket:
        await socket.send(b"\xff\xfe", text=True)
        assert (await Talk(socket).closing())[0] == 1007
    assert "Traceback" not in caplog.text


async def test_subscribing_before_the_beginning_is_4401(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.subscribe("1", "{hello}")
        assert await talk.closing() == (4401, "Unauthorized: send connection_init first")


async def test_a_second_beginning_is_4429(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.say(type="connection_init")
        assert await talk.closing() == (4429, "Too many initialisation requests")


async def test_a_client_that_does_not_begin_is_closed_with_4408(start_site):
    site = await start_site(socket_limits=SocketLimits(initialisation_seconds=0.1))
    async with site.connect() as socket:
        assert await Talk(socket).closing() == (4408, "Connection initialisation timeout")


async def test_a_client_that_has_begun_is_not_closed_by_that_timeout(start_site):
    site = await start_site(socket_limits=SocketLimits(initialisation_seconds=0.1))
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await asyncio.sleep(0.3)
        await talk.subscribe("1", "{hello}")
        assert (await talk.hear())["type"] == "next"


@pytest.mark.parametrize("subprotocols", [None, ["graphql-ws"]])
async def test_another_subprotocol_is_4406(site, subprotocols):
    async with site.connect(subprotocols=subprotocols) as socket:
        code, reason = await Talk(socket).closing()
    assert code == 4406
    assert "graphql-transport-ws" in reason


async def test_an_id_in_use_is_4409(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{number}}")
        await talk.subscribe("1", "{hello}")
        assert await talk.closing() == (4409, "Subscriber for 1 already exists")
    await until(lambda: site.world.open_streams == 0)


@pytest.mark.parametrize(
    "payload",
    [
        {"Authorization": "Bearer ann"},
        {"authorization": "bearer ann"},
        {"AUTHORIZATION": "BEARER  ann "},
        {"headers": {"Authorization": "Bearer ann"}},
    ],
)
async def test_the_token_is_taken_from_the_first_message(site, payload):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin(**payload)
        await talk.subscribe("1", "{viewer}")
        assert (await talk.hear())["payload"] == {"data": {"viewer": "ann"}}


async def test_the_token_is_taken_from_the_header_where_a_client_can_send_one(site):
    async with site.connect(additional_headers={"authorization": "Bearer ann"}) as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "{viewer}")
        assert (await talk.hear())["payload"] == {"data": {"viewer": "ann"}}


async def test_a_wrong_token_is_4401_with_the_reason(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.say(type="connection_init", payload={"authorization": "Bearer bad"})
        assert await talk.closing() == (4401, "The token is not valid.")


async def test_the_socket_is_closed_when_the_token_expires(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin(authorization="Bearer ann:0.5")
        await talk.subscribe("1", "subscription{ticks{number}}")
        assert await asyncio.wait_for(talk.closing(), 5) == (4403, "Token expired")
    await until(lambda: site.world.open_streams == 0)


async def test_a_token_that_has_expired_already_closes_at_once(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.say(type="connection_init", payload={"authorization": "Bearer ann:-5"})
        assert await asyncio.wait_for(talk.closing(), 5) == (4403, "Token expired")


async def test_stopping_the_server_tells_clients_to_come_back(start_site):
    site = await start_site()
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{number}}")
        await until(lambda: site.world.open_streams == 1)
        started = asyncio.get_running_loop().time()
        await site.server.stop()
        assert asyncio.get_running_loop().time() - started < 3
        assert (await talk.closing())[0] == 1012
    assert site.world.open_streams == 0


async def test_the_endpoint_can_say_goodbye_before_the_server_stops(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        site.sockets.close()
        assert await talk.closing() == (1001, "The server is stopping")


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x02ab",  # not masked
        b"\x83\x80\x00\x00\x00\x00",  # a reserved opcode
        b"\xf1\x80\x00\x00\x00\x00",  # reserved bits
        b"\x89\xfe\x01\x00\x00\x00\x00\x00" + b"\x00" * 256,  # a ping longer than a control frame may be
        b"\x88\x81\x00\x00\x00\x00\x01",  # a close frame with half a code
        b"\x80\x80\x00\x00\x00\x00",  # a continuation of nothing
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00",  # 2^64 bytes announced
    ],
)
async def test_frames_that_break_the_websocket_protocol_end_the_socket_without_a_traceback(site, frame, caplog):
    async with site.connect() as socket:
        await Talk(socket).begin()
        socket.transport.write(frame)
        assert (await Talk(socket).closing())[0] in {1002, 1006, 1007, 1009}
    await until(lambda: site.sockets.open_sockets == 0)
    assert "Traceback" not in caplog.text
