"""graphql-transport-ws on a raw socket, message by message."""

import asyncio
import json

import pytest
from websockets.exceptions import ConnectionClosed

from app.graphql.transport.websocket import SocketLimits
from tests.graphql.transport.toy_schema import Tick
from tests.graphql.transport.toy_site import Talk, until


async def test_a_socket_begins_with_an_acknowledgement(site):
    async with site.connect() as socket:
        assert socket.subprotocol == "graphql-transport-ws"
        await Talk(socket).begin()


async def test_a_subscription_sends_its_events_and_completes(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription($n:Int!){count(to:$n)}", variables={"n": 2})
        assert [await talk.hear() for _ in range(3)] == [
            {"id": "1", "type": "next", "payload": {"data": {"count": 0}}},
            {"id": "1", "type": "next", "payload": {"data": {"count": 1}}},
            {"id": "1", "type": "complete"},
        ]
    await until(lambda: site.world.closed_streams == 1)


@pytest.mark.parametrize("query", ["{hello}", "query A{viewer} query B{hello}"])
async def test_queries_work_over_the_socket(site, query):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("q", query, operationName="B" if " B" in query else None)
        assert await talk.hear() == {"id": "q", "type": "next", "payload": {"data": {"hello": "Hello, world!"}}}
        assert await talk.hear() == {"id": "q", "type": "complete"}


async def test_mutations_work_over_the_socket(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("m", 'mutation{write(text:"a")}')
        assert (await talk.hear())["payload"] == {"data": {"write": "a"}}
        assert (await talk.hear())["type"] == "complete"
    assert site.world.writes == ["a"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{hello", "GRAPHQL_PARSE_FAILED"),
        ("{nope}", "GRAPHQL_VALIDATION_FAILED"),
        ("query A{hello} query B{hello}", "GRAPHQL_VALIDATION_FAILED"),
        ("query($n:Int!){children(first:$n){edges{node{name}}}}", "BAD_USER_INPUT"),
        ("subscription($n:Int!){count(to:$n)}", "BAD_USER_INPUT"),
        ("subscription{}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription{count @skip(if:true)}", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription{refusing}", "CONFLICT"),
        ("{node" + "{friend" * 20 + "{name}" + "}" * 21, "TOO_COSTLY"),
    ],
)
async def test_an_operation_that_cannot_run_is_answered_by_an_error_and_the_socket_lives(site, query, code):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", query)
        message = await talk.hear()
        assert (message["id"], message["type"]) == ("1", "error")
        assert message["payload"][0]["extensions"]["code"] == code
        await talk.subscribe("1", "{hello}")
        assert (await talk.hear())["payload"]["data"] == {"hello": "Hello, world!"}
    assert site.log.events == []


async def test_a_source_that_breaks_off_ends_its_operation_alone_and_masked(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{failing}")
        assert (await talk.hear())["payload"] == {"data": {"failing": 1}}
        failed = await talk.hear()
        assert failed["type"] == "error"
        assert "hunter2" not in str(failed)
        assert failed["payload"][0]["extensions"]["code"] == "INTERNAL"
        await talk.subscribe("2", "{hello}")
        assert (await talk.hear())["type"] == "next"
    assert len(site.log.events) == 1


async def test_an_error_of_one_event_does_not_end_the_subscription(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{number broken}}")
        await until(lambda: site.world.listeners("t") == 1)
        for number in (1, 2):
            site.world.publish("t", Tick(number=number))
            payload = (await talk.hear())["payload"]
            assert payload["data"] == {"ticks": {"number": number, "broken": None}}
            assert payload["errors"][0]["path"] == ["ticks", "broken"]


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


async def test_a_message_over_the_size_limit_closes_the_socket(site):
    async with site.connect() as socket:
        await Talk(socket).begin()
        await socket.send("x" * 300_000)
        assert (await Talk(socket).closing())[0] == 1009


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


async def test_an_id_can_be_used_again_after_the_client_completed_it(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        for number in range(20):
            await talk.subscribe("1", "subscription{ticks{number}}")
            await talk.say(type="complete", id="1")
            await talk.subscribe("1", f'{{hello(name:"{number}")}}')
            assert (await talk.hear())["payload"]["data"]["hello"] == f"Hello, {number}!"
            assert await talk.hear() == {"id": "1", "type": "complete"}
        await talk.say(type="complete", id="unknown")
        await talk.say(type="ping")
        assert await talk.hear() == {"type": "pong"}
    await until(lambda: site.world.open_streams == 0)


async def test_completing_stops_the_source_and_nothing_more_is_sent(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{number}}")
        await until(lambda: site.world.listeners("t") == 1)
        await talk.say(type="complete", id="1")
        await until(lambda: site.world.closed_streams == 1)
        site.world.publish("t", Tick(number=1))
        await talk.say(type="ping")
        assert await talk.hear() == {"type": "pong"}


async def test_a_completed_mutation_runs_to_its_end_and_its_answer_is_dropped(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", 'mutation{write(text:"a")}')
        await asyncio.sleep(0.02)
        await talk.say(type="complete", id="1")
        await until(lambda: site.world.writes == ["a"])
        await talk.say(type="ping")
        assert await talk.hear() == {"type": "pong"}


async def test_a_mutation_outlives_its_socket_and_a_query_does_not(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("m", 'mutation{write(text:"a")}')
        await talk.subscribe("q", "{slow}")
        await asyncio.sleep(0.02)
    await until(lambda: site.sockets.open_sockets == 0)
    assert site.world.writes == ["a"]


@pytest.mark.parametrize("is_polite", [True, False])
async def test_leaving_closes_every_source(site, is_polite):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        for number in range(10):
            await talk.subscribe(str(number), "subscription{ticks{number}}")
        await until(lambda: site.world.open_streams == 10)
        if not is_polite:
            socket.transport.abort()
    await until(lambda: site.world.open_streams == 0)
    await until(lambda: site.sockets.open_sockets == 0)
    assert site.world.closed_streams == 10


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


async def test_each_event_has_a_context_of_its_own_so_that_no_loader_is_stale(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{square}}")
        await until(lambda: site.world.listeners("t") == 1)
        for _ in range(3):
            site.world.publish("t", Tick(number=4))
            assert (await talk.hear())["payload"]["data"]["ticks"] == {"square": 16}
    assert site.world.loads == [[4], [4], [4]]


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


async def test_messages_of_every_length_arrive_whole(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        overhead = len('{"id":"1","type":"next","payload":{"data":{"big":""}}}')
        for total in (overhead, 125, 126, 127, 65_535, 65_536, 65_537, 3_000_000):
            await talk.subscribe("1", "query($n:Int!){big(size:$n)}", variables={"n": total - overhead})
            text = await asyncio.wait_for(socket.recv(), 10)
            assert len(text) == total
            assert json.loads(text)["payload"]["data"]["big"] == "x" * (total - overhead)
            assert (await talk.hear())["type"] == "complete"


async def test_an_id_with_quotes_and_emoji_comes_back_as_it_was(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe('"}\\😀', "{hello}")
        assert (await talk.hear())["id"] == '"}\\😀'


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


async def test_it_works_on_another_server_that_offers_plain_asgi(site):
    incoming, sent = asyncio.Queue(), []

    async def send(message):
        sent.append(message)

    def say(message):
        incoming.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    incoming.put_nowait({"type": "websocket.connect"})
    say({"type": "connection_init"})
    say({"type": "subscribe", "id": "1", "payload": {"query": "subscription{count(to:100)}"}})
    scope = {
        "type": "websocket",
        "path": "/",
        "headers": [],
        "query_string": b"",
        "subprotocols": ["graphql-transport-ws"],
    }
    running = asyncio.create_task(site.sockets(scope, incoming.get, send))
    await until(lambda: len(sent) == 103)
    assert sent[0]["type"] == "websocket.accept"
    assert [json.loads(message["text"])["type"] for message in sent[1:]] == [
        "connection_ack",
        *["next"] * 100,
        "complete",
    ]
    incoming.put_nowait({"type": "websocket.receive", "text": "nonsense"})
    await until(lambda: sent[-1]["type"] == "websocket.close")
    assert (sent[-1]["code"], sent[-1]["reason"]) == (4400, "The message is not valid JSON")
    incoming.put_nowait({"type": "websocket.disconnect", "code": 4400})
    await asyncio.wait_for(running, 5)
    await until(lambda: not any("AsgiChannel" in repr(task) for task in asyncio.all_tasks()))
