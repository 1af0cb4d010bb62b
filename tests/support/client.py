"""A GraphQL client of the tests' own: HTTP by httpx, subscriptions over one raw websocket."""

import asyncio
import itertools
import ssl
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

REGISTER = """mutation($i: RegisterInput!) { register(input: $i) {
  session { accessToken refreshToken expiresAt user { id username } } errors { code message path } } }"""
CREATE_PLAYGROUND = """mutation($i: CreatePlaygroundInput!) {
  createPlayground(input: $i) { playground { id name } errors { code message path } } }"""
CREATE_TASK = """mutation($i: CreateTaskInput!) {
  createTask(input: $i) { task { id name } errors { code message path } } }"""
RUN_PLAYGROUND = """mutation($i: RunPlaygroundInput!) {
  runPlayground(input: $i) { run { id number status } errors { code message path } } }"""
RUN_EVENTS = """subscription($id: ID!, $after: String) { runEvents(runId: $id, after: $after) {
  cursor events { cursor at status message taskRun { id name attempt } run { id status } } } }"""
RUN = """query($id: ID!) { run(id: $id) { id number status cancelRequested
  counts { total success failed upstreamFailed skipped cancelled }
  taskRuns { id name status attempt error { code message retriable } output { rowCount location } } } }"""


def positions(events: Sequence[dict[str, Any]]) -> list[int]:
    """Where events stand in their log; to a client a cursor is opaque, and a test looks for gaps in it."""
    return [int(urlsafe_b64decode(f"{event['cursor']}==").decode().partition(":")[2]) for event in events]


class RefusedError(Exception):
    """The server answered with errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        super().__init__(str(errors))
        self.errors = errors


class Api:
    """One caller of a running server; `trust` is whose certificates are believed, where the address is an https one."""

    def __init__(self, base: str, *, trust: ssl.SSLContext | None = None) -> None:
        self.base = base
        self.token: str | None = None
        self.http = httpx.AsyncClient(base_url=base, timeout=60, verify=trust or True)
        self._trust = trust

    async def post(self, query: str, **variables: Any) -> dict[str, Any]:
        """The whole answer."""
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        response = await self.http.post("/graphql", json={"query": query, "variables": variables}, headers=headers)
        return orjson.loads(response.content)

    async def call(self, query: str, **variables: Any) -> Any:
        """The one root field's value. Raises: RefusedError, also for a payload's own errors."""
        answer = await self.post(query, **variables)
        if answer.get("errors"):
            raise RefusedError(answer["errors"])
        (value,) = answer["data"].values()
        if isinstance(value, dict) and value.get("errors"):
            raise RefusedError(value["errors"])
        return value

    async def sign_up(self, name: str) -> dict[str, Any]:
        payload = await self.call(
            REGISTER, i={"email": f"{name}@example.com", "username": name, "password": "correct horse"}
        )
        self.token = payload["session"]["accessToken"]
        return payload["session"]

    async def playground(self, name: str) -> str:
        return (await self.call(CREATE_PLAYGROUND, i={"name": name}))["playground"]["id"]

    async def task(
        self, playground: str, name: str, query: str = "SELECT 1 AS one", parents: tuple[str, ...] = (), **extra: Any
    ) -> str:
        values = {"playgroundId": playground, "name": name, "type": "MYSQL", "query": query, "parentIds": list(parents)}
        return (await self.call(CREATE_TASK, i={**values, **extra}))["task"]["id"]

    async def start(self, playground: str, **extra: Any) -> str:
        return (await self.call(RUN_PLAYGROUND, i={"playgroundId": playground, **extra}))["run"]["id"]

    async def events(self, run: str, after: str | None = None) -> list[dict[str, Any]]:
        """All events of a run from its subscription, which completes at the run's end."""
        found: list[dict[str, Any]] = []
        async with self.socket() as socket:
            async for payload in socket.subscribe(RUN_EVENTS, id=run, after=after):
                found += payload["data"]["runEvents"]["events"]
        return found

    async def run_to_end(self, playground: str, **extra: Any) -> dict[str, Any]:
        run = await self.start(playground, **extra)
        await self.events(run)
        return await self.call(RUN, id=run)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator["Socket"]:
        url = self.base.replace("http", "ws", 1) + "/graphql"
        protocols = ["graphql-transport-ws"]
        async with connect(url, subprotocols=protocols, max_size=None, ping_interval=None, ssl=self._trust) as raw:
            socket = Socket(raw)
            await socket.init(self.token)
            reader = asyncio.create_task(socket.read())
            try:
                yield socket
            finally:
                reader.cancel()

    async def close(self) -> None:
        await self.http.aclose()


class Socket:
    """A graphql-transport-ws connection with any number of subscriptions."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw
        self._ids = itertools.count(1)
        self._queues: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    async def init(self, token: str | None) -> None:
        payload = {} if token is None else {"Authorization": f"Bearer {token}"}
        await self.raw.send(orjson.dumps({"type": "connection_init", "payload": payload}).decode())
        answer = orjson.loads(await self.raw.recv())
        assert answer["type"] == "connection_ack", answer

    async def read(self) -> None:
        with suppress(ConnectionClosed):  # a server that is killed says no goodbye
            async for text in self.raw:
                message = orjson.loads(text)
                if message["type"] == "ping":
                    await self.raw.send('{"type":"pong"}')
                elif queue := self._queues.get(message.get("id", "")):
                    queue.put_nowait(message)
        for queue in self._queues.values():
            queue.put_nowait({"type": "closed"})

    async def subscribe(self, query: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        id_ = str(next(self._ids))
        queue = self._queues[id_] = asyncio.Queue()
        payload = {"query": query, "variables": variables}
        await self.raw.send(orjson.dumps({"id": id_, "type": "subscribe", "payload": payload}).decode())
        while True:
            message = await queue.get()
            match message["type"]:
                case "next":
                    yield message["payload"]
                case "error":
                    raise RefusedError(message["payload"])
                case "complete":
                    return
                case "closed":
                    raise ConnectionError(f"the server closed the socket: {self.raw.close_code}")
