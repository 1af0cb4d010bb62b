"""A server over the toy schema, and a raw socket to it."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, Response
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.domain.errors import UnauthenticatedError
from app.graphql.transport.admission import Admission, bearer_token
from app.graphql.transport.execution import GraphQLExecutor
from app.graphql.transport.http_view import GraphQLHTTP
from app.graphql.transport.websocket import GraphQLWebSocket
from app.web.server import WebServer
from tests.graphql.transport.toy_schema import World


class Log:
    """Keeps what the mask logs."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def error(self, event: str, /, **fields: Any) -> None:
        self.events.append({"event": event, **fields})


@dataclass
class Site:
    """One running server and how to reach it."""

    world: World
    log: Log
    executor: GraphQLExecutor
    server: WebServer
    http: httpx.AsyncClient
    sockets: GraphQLWebSocket
    view: GraphQLHTTP

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/graphql"

    @property
    def ws_url(self) -> str:
        return self.url.replace("http", "ws", 1)

    async def post(self, query: str, accept: str = "application/graphql-response+json", **parameters: Any) -> Any:
        body = {"query": query, **parameters}
        return await self.http.post(self.url, json=body, headers={"accept": accept})

    def connect(self, **options: Any) -> connect:
        options.setdefault("subprotocols", ["graphql-transport-ws"])
        options.setdefault("max_size", None)
        return connect(self.ws_url, **options)


async def authenticate(connection: HTTPConnection, payload: Mapping[str, Any] | None) -> Admission:
    """Token `alice` is Alice, `alice:2` is Alice for two seconds, `bad` is refused."""
    token = bearer_token(connection, payload)
    if token is None:
        return Admission()
    name, _, seconds = token.partition(":")
    if name == "bad":
        raise UnauthenticatedError("The token is not valid.")
    expires_at = datetime.now(UTC) + timedelta(seconds=float(seconds)) if seconds else None
    return Admission(viewer=name, viewer_key=name, expires_at=expires_at)


async def graphiql(_request: Request) -> Response:
    return HTMLResponse("<title>GraphiQL</title>")


class Talk:
    """A raw socket that speaks in dictionaries."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        """Gives the next message, pings left out."""
        while True:
            message = json.loads(await asyncio.wait_for(self.socket.recv(), 20))
            if message["type"] != "ping":
                return message

    async def begin(self, **payload: Any) -> None:
        await self.say(type="connection_init", payload=payload)
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, id_: str, query: str, **parameters: Any) -> None:
        await self.say(type="subscribe", id=id_, payload={"query": query, **parameters})

    async def closing(self) -> tuple[int, str]:
        """Reads to the end and gives the server's code and reason."""
        try:
            while True:
                await asyncio.wait_for(self.socket.recv(), 20)
        except ConnectionClosed:
            return self.socket.close_code or 0, self.socket.close_reason or ""


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    """Waits for something to become true; fails when it does not."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # the conditions are the server's own figures, not events
            await asyncio.sleep(0.01)
