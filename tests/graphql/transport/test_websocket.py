"""Operations over graphql-transport-ws on a raw socket: what they are answered, and what is left when they end."""

import asyncio
import json

import pytest

from tests.graphql.transport.toy_schema import Tick
from tests.graphql.transport.toy_site import Talk, until


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


async def test_an_event_that_could_not_be_read_whole_ends_the_subscription_instead_of_being_told_in_part(site):
    async with site.connect() as socket:
        talk = Talk(socket)
        await talk.begin()
        await talk.subscribe("1", "subscription{ticks{number away}}")
        await until(lambda: site.world.listeners("t") == 1)
        site.world.publish("t", Tick(number=1))
        message = await talk.hear()
        assert (message["type"], message["payload"][0]["extensions"]["code"]) == ("error", "UNAVAILABLE")
        await talk.subscribe("1", "subscription{ticks{number away}}")  # the client comes back with its cursor
        await until(lambda: site.world.listeners("t") == 1)
        site.world.publish("t", Tick(number=2))
        assert (await talk.hear())["payload"] == {"data": {"ticks": {"number": 2, "away": "back"}}}


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
