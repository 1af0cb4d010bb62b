"""Events that are rendered once for all who may see the same, and that leave nothing behind."""

import asyncio
import gc
import json
import tracemalloc

import pytest

from app.graphql.transport.documents import PreparedOperation
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.streams import EventStream, StreamFailedError
from tests.graphql.transport.toy_schema import Context, Tick, World, toy_schema
from tests.graphql.transport.toy_site import until

QUERY = "subscription($t:String!,$a:String){ticks(topic:$t,after:$a){number seen viewer}}"


class Theatre:
    """An executor without a server around it."""

    def __init__(self):
        self.world = World()
        self.executor = GraphQLExecutor(schema=toy_schema())

    async def subscribe(self, query=QUERY, viewer="ann", **variables):
        prepared = self.executor.prepare(query)
        assert isinstance(prepared, PreparedOperation), prepared
        stream = await self.executor.open_stream(
            prepared,
            variables=variables,
            context_factory=lambda: Context(self.world, viewer),
            viewer_key=viewer,
        )
        assert isinstance(stream, EventStream)
        return stream

    async def deliver(self, streams, tick, topic="t"):
        """Publishes and gives what every stream got."""
        waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
        await until(lambda: self.world.listeners(topic) == len(streams))
        self.world.publish(topic, tick)
        return await asyncio.gather(*waiting)


@pytest.fixture
def theatre():
    return Theatre()


async def test_an_event_is_rendered_once_for_all_subscribers_that_may_see_the_same(theatre):
    streams = [await theatre.subscribe(t="t") for _ in range(50)]
    payloads = await theatre.deliver(streams, Tick(number=7))
    assert theatre.world.renderings == 1
    assert len({id(payload) for payload in payloads}) == 1
    assert json.loads(payloads[0]) == {"data": {"ticks": {"number": 7, "seen": 7, "viewer": "ann"}}}


async def test_an_event_with_awaiting_resolvers_is_rendered_once_as_well(theatre):
    streams = [await theatre.subscribe("subscription{ticks{square}}") for _ in range(50)]
    payloads = await theatre.deliver(streams, Tick(number=7))
    assert (theatre.world.renderings, theatre.world.loads) == (1, [[7]])
    assert set(payloads) == {b'{"data":{"ticks":{"square":49}}}'}


async def test_viewers_do_not_share(theatre):
    streams = [await theatre.subscribe(t="t", viewer=name) for name in ("ann", "bob")]
    payloads = await theatre.deliver(streams, Tick(number=7))
    assert theatre.world.renderings == 2
    assert [json.loads(payload)["data"]["ticks"]["viewer"] for payload in payloads] == ["ann", "bob"]


async def test_who_has_no_viewer_key_shares_with_nobody(theatre):
    streams = [await theatre.subscribe(t="t", viewer=None) for _ in range(2)]
    await theatre.deliver(streams, Tick(number=7))
    assert theatre.world.renderings == 2


async def test_the_cursor_does_not_keep_subscribers_from_sharing(theatre):
    streams = [await theatre.subscribe(t="t", a=cursor) for cursor in ("1", "2")]
    caught_up = [json.loads(await anext(stream)) for stream in streams]
    assert [payload["data"]["ticks"]["number"] for payload in caught_up] == [-1, -1]
    theatre.world.renderings = 0
    await theatre.deliver(streams, Tick(number=7))
    assert theatre.world.renderings == 1


async def test_what_each_missed_is_its_own(theatre):
    query = "subscription($a:String){ticks(after:$a){text}}"
    streams = [await theatre.subscribe(query, a=cursor) for cursor in ("1", "2")]
    assert [json.loads(await anext(stream))["data"]["ticks"]["text"] for stream in streams] == ["after 1", "after 2"]


async def test_a_cursor_that_is_used_for_something_else_too_keeps_them_apart(theatre):
    query = "subscription($a:String!){ticks(after:$a){number echo(text:$a)}}"
    streams = [await theatre.subscribe(query, a=cursor) for cursor in ("1", "2")]
    for stream in streams:
        await anext(stream)
    payloads = await theatre.deliver(streams, Tick(number=7))
    assert [json.loads(payload)["data"]["ticks"]["echo"] for payload in payloads] == ["1", "2"]


async def test_other_variables_keep_them_apart(theatre):
    query = "subscription($x:String!){ticks{number seen echo(text:$x)}}"
    streams = [await theatre.subscribe(query, x=text) for text in ("1", "2")]
    payloads = await theatre.deliver(streams, Tick(number=7))
    assert [json.loads(payload)["data"]["ticks"]["echo"] for payload in payloads] == ["1", "2"]


async def test_other_documents_and_other_operations_keep_them_apart(theatre):
    two = "subscription A{ticks{number}} subscription B{ticks{seen}}"
    streams = []
    for name in ("A", "B"):
        prepared = theatre.executor.prepare(two, name)
        streams.append(
            await theatre.executor.open_stream(
                prepared, variables={}, context_factory=lambda: Context(theatre.world, "ann"), viewer_key="ann"
            )
        )
    streams.append(await theatre.subscribe("subscription{ticks{text}}"))
    payloads = await theatre.deliver(streams, Tick(number=7))
    assert [list(json.loads(payload)["data"]["ticks"]) for payload in payloads] == [["number"], ["seen"], ["text"]]


async def test_the_one_who_came_first_may_leave_while_the_others_wait(theatre):
    streams = [await theatre.subscribe("subscription{ticks{square}}") for _ in range(3)]
    waiting = [asyncio.ensure_future(anext(stream)) for stream in streams]
    await until(lambda: theatre.world.listeners("t") == 3)
    theatre.world.publish("t", Tick(number=7))
    while not theatre.executor._rendering:  # noqa: ASYNC110  # the very moment between two steps of the loop
        await asyncio.sleep(0)
    waiting[0].cancel()
    assert await asyncio.gather(*waiting[1:]) == [b'{"data":{"ticks":{"square":49}}}'] * 2
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    await until(lambda: not theatre.executor._rendering)


async def test_a_failing_source_says_so_and_closing_twice_is_harmless(theatre):
    stream = await theatre.subscribe("subscription{failing}")
    assert json.loads(await anext(stream)) == {"data": {"failing": 1}}
    with pytest.raises(StreamFailedError) as failure:
        await anext(stream)
    assert failure.value.error["extensions"]["code"] == "INTERNAL"
    await stream.aclose()
    await stream.aclose()


async def test_closing_a_stream_closes_its_source(theatre):
    stream = await theatre.subscribe(t="t")
    await theatre.deliver([stream], Tick(number=1))
    await stream.aclose()
    assert theatre.world.closed_streams == 1


@pytest.mark.parametrize("viewer", ["ann", None], ids=["shared", "alone"])
async def test_twenty_thousand_events_leave_no_memory_behind(theatre, viewer):
    stream = await theatre.subscribe("subscription{ticks{number seen echo}}", viewer=viewer)
    await theatre.deliver([stream], Tick(number=0))
    (queue,) = theatre.world.topics["t"]

    async def take(count):
        for number in range(count):
            queue.put_nowait(Tick(number=number))
            await anext(stream)

    await take(500)
    gc.collect()
    tracemalloc.start()
    try:
        await take(100)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        await take(20_000)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 200_000  # graphql-core's own way leaves some 20 MB here
    await stream.aclose()
