"""The transport as a GraphQL client that is not ours sees it."""

import asyncio
import io

import pytest
from gql import Client, FileVar, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.websockets import WebsocketsTransport
from graphql import print_schema

from tests.graphql.transport.toy_schema import Tick, toy_schema
from tests.graphql.transport.toy_site import until


@pytest.fixture
async def http_session(site):
    transport = AIOHTTPTransport(
        url=site.url, headers={"Authorization": "Bearer ann", "GraphQL-Require-Preflight": "1"}
    )
    async with Client(transport=transport, fetch_schema_from_transport=True) as session:
        yield session


@pytest.fixture
async def socket_session(site):
    transport = WebsocketsTransport(url=site.ws_url, init_payload={"Authorization": "Bearer ann"}, pong_timeout=5)
    async with Client(transport=transport) as session:
        yield session


async def test_it_reads_the_schema_and_queries(http_session):
    assert print_schema(http_session.client.schema) == print_schema(toy_schema()._schema).replace("\r", "")
    assert await http_session.execute(gql("{viewer hello}")) == {"viewer": "ann", "hello": "Hello, world!"}


async def test_it_uploads(http_session):
    mutation = gql("mutation($file:Upload!){readFile(file:$file)}")
    mutation.variable_values = {"file": FileVar(io.BytesIO(b"content"), filename="a.txt")}
    assert await http_session.execute(mutation, upload_files=True) == {"readFile": "content"}


async def test_it_understands_our_errors(http_session):
    with pytest.raises(TransportQueryError) as failure:
        await http_session.execute(gql("{refused}"))
    assert failure.value.errors[0]["extensions"]["code"] == "CONFLICT"


async def test_it_subscribes_queries_and_mutates_on_one_socket(site, socket_session):
    async def follow():
        return [event["ticks"] async for event in socket_session.subscribe(gql("subscription{ticks{number viewer}}"))]

    following = asyncio.create_task(follow())
    await until(lambda: site.world.listeners("t") == 1)
    assert await socket_session.execute(gql("{viewer}")) == {"viewer": "ann"}
    assert await socket_session.execute(gql('mutation{write(text:"a")}')) == {"write": "a"}
    for number in range(3):
        site.world.publish("t", Tick(number=number))
    site.world.publish("t", None)
    assert await asyncio.wait_for(following, 10) == [{"number": number, "viewer": "ann"} for number in range(3)]


async def test_it_is_told_of_a_subscription_that_fails(socket_session):
    with pytest.raises(TransportQueryError, match="Internal error"):
        async for _ in socket_session.subscribe(gql("subscription{failing}")):
            pass
    assert await socket_session.execute(gql("{viewer}")) == {"viewer": "ann"}
