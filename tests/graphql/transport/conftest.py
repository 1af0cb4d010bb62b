"""A server on a free port over the toy schema."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Route, WebSocketRoute

from app.graphql.transport.admission import Admission
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.http_view import GraphQLHTTP
from app.graphql.transport.limits import Limits
from app.graphql.transport.masking import ErrorMask
from app.graphql.transport.multipart import UploadLimits
from app.graphql.transport.sse import EventResponses
from app.graphql.transport.websocket import GraphQLWebSocket, SocketLimits
from app.web.server import WebServer
from tests.graphql.transport.toy_schema import Context, World, toy_schema
from tests.graphql.transport.toy_site import Log, Site, authenticate, graphiql

StartSite = Callable[..., Awaitable[Site]]


@pytest.fixture
async def start_site() -> AsyncIterator[StartSite]:
    async with AsyncExitStack() as stack:

        async def start(
            *,
            limits: Limits | None = None,
            socket_limits: SocketLimits | None = None,
            upload_limits: UploadLimits | None = None,
            events: EventResponses | None = None,
            max_body_bytes: int = 2**20,
            graceful_seconds: int = 10,
        ) -> Site:
            world, log = World(), Log()
            executor = GraphQLExecutor(schema=toy_schema(), limits=limits, mask=ErrorMask(logger=log))

            def make_context(_connection: HTTPConnection, admission: Admission) -> Context:
                return Context(world, admission.viewer)

            view = GraphQLHTTP(
                executor=executor,
                authenticate=authenticate,
                make_context=make_context,
                graphiql=graphiql,
                max_body_bytes=max_body_bytes,
                upload_limits=upload_limits,
                events=events,
            )
            sockets = GraphQLWebSocket(
                executor=executor, authenticate=authenticate, make_context=make_context, limits=socket_limits
            )
            app = Starlette(routes=[Route("/graphql", view), WebSocketRoute("/graphql", sockets)])
            server = WebServer(app, port=0, graceful_seconds=graceful_seconds)
            await server.start()
            stack.push_async_callback(server.stop)
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=20))
            return Site(world, log, executor, server, http, sockets, view)

        yield start


@pytest.fixture
async def site(start_site: StartSite) -> Site:
    return await start_site()
