"""Subscriptions as server-sent events."""

import asyncio
import json

import pytest

from app.graphql.transport.sse import EventResponses
from tests.graphql.transport.toy_schema import Tick
from tests.graphql.transport.toy_site import until

EVENTS = {"accept": "text/event-stream"}


async def read(site, query, **headers):
    async with site.http.stream("POST", site.url, json={"query": query}, headers=EVENTS | headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        text = (await response.aread()).decode()
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            events.append((fields["event"], json.loads(fields["data"]) if fields["data"] else None))
    return events


async def test_a_subscription_is_sent_as_events(site):
    assert await read(site, "subscription{count(to:2)}") == [
        ("next", {"data": {"count": 0}}),
        ("next", {"data": {"count": 1}}),
        ("complete", None),
    ]


async def test_a_query_is_one_event(site):
    assert await read(site, "{hello}") == [("next", {"data": {"hello": "Hello, world!"}}), ("complete", None)]


@pytest.mark.parametrize("query", ["{nope}", "subscription{refusing}"])
async def test_a_refusal_is_an_event(site, query):
    (kind, payload), complete = await read(site, query)
    assert kind == "next"
    assert payload["errors"][0]["extensions"]["code"] in {"GRAPHQL_VALIDATION_FAILED", "CONFLICT"}
    assert complete == ("complete", None)


async def test_a_subscription_of_a_client_that_takes_json_and_events_is_sent_as_events(site):
    accept = "application/graphql-response+json, application/json, text/event-stream"
    assert (await read(site, "subscription{count(to:1)}", accept=accept))[-1] == ("complete", None)
    response = await site.post("{hello}", accept=accept)
    assert response.json() == {"data": {"hello": "Hello, world!"}}


async def test_a_client_that_leaves_closes_the_source(site):
    body = {"query": "subscription{ticks{number}}"}
    async with site.http.stream("POST", site.url, json=body, headers=EVENTS) as response:
        await until(lambda: site.world.listeners("t") == 1)
        site.world.publish("t", Tick(number=1))
        async for line in response.aiter_lines():
            if line.startswith("data"):
                break
    await until(lambda: site.world.closed_streams == 1)


async def test_an_idle_stream_is_kept_alive(start_site):
    site = await start_site(events=EventResponses(keep_alive_seconds=0.05))
    body = {"query": "subscription{ticks{number}}"}
    async with site.http.stream("POST", site.url, json=body, headers=EVENTS) as response:
        lines = []
        async for line in response.aiter_lines():
            lines.append(line)
            if lines.count(":") == 3:
                break


async def test_a_client_that_stops_reading_is_dropped(start_site):
    site = await start_site(events=EventResponses(stall_seconds=0.3))
    _reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port, limit=1_000)
    body = b'{"query":"subscription{flood}"}'
    head = "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await until(lambda: site.world.closed_streams == 1)
    await until(lambda: not site.server._server.server_state.connections, 15)
    writer.transport.abort()


async def test_stopping_does_not_wait_for_open_streams_once_they_are_closed(start_site):
    site = await start_site()
    body = {"query": "subscription{ticks{number}}"}
    async with site.http.stream("POST", site.url, json=body, headers=EVENTS) as response:
        await until(lambda: site.world.open_streams == 1)
        started = asyncio.get_running_loop().time()
        await site.view.close()
        await response.aclose()
        await site.server.stop()
        assert asyncio.get_running_loop().time() - started < 3
    assert site.world.open_streams == 0


async def test_a_stream_that_nobody_closed_is_cut_when_the_grace_is_over(start_site):
    site = await start_site(graceful_seconds=1)
    body = {"query": "subscription{ticks{number}}"}
    async with site.http.stream("POST", site.url, json=body, headers=EVENTS):
        await until(lambda: site.world.open_streams == 1)
        started = asyncio.get_running_loop().time()
        await site.server.stop()
        assert asyncio.get_running_loop().time() - started < 4
    assert site.world.open_streams == 0
