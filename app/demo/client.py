"""A small GraphQL client over HTTP and websocket, as any outside program would write it."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol


class GraphQLFailedError(Exception):
    """The server refused an operation; the message is its own."""


class Client:
    def __init__(self, *, base: str, token: str) -> None:
        self._url = f"{base}/graphql"
        self._token = token
        self._http = httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=60)

    async def call(self, document: str, **variables: Any) -> dict[str, Any]:
        """The `data` of an operation. Raises: GraphQLFailedError."""
        response = await self._http.post(self._url, json={"query": document, "variables": variables})
        answer = response.json()
        if answer.get("errors"):
            raise GraphQLFailedError("; ".join(error["message"] for error in answer["errors"]))
        for payload in answer["data"].values():
            if isinstance(payload, dict) and payload.get("errors"):
                raise GraphQLFailedError("; ".join(error["message"] for error in payload["errors"]))
        data: dict[str, Any] = answer["data"]
        return data

    async def follow(self, document: str, **variables: Any) -> AsyncIterator[dict[str, Any]]:
        """The `data` of each push, until the server completes. Raises: GraphQLFailedError."""
        url = self._url.replace("http", "ws", 1)
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], max_size=None) as socket:
            await socket.send(_frame(type="connection_init", payload={"Authorization": f"Bearer {self._token}"}))
            orjson.loads(await socket.recv())
            payload = {"query": document, "variables": variables}
            await socket.send(_frame(type="subscribe", id="1", payload=payload))
            async for text in socket:
                message = orjson.loads(text)
                match message["type"]:
                    case "next":
                        yield message["payload"]["data"]
                    case "ping":
                        await socket.send(_frame(type="pong"))
                    case "error":
                        raise GraphQLFailedError("; ".join(error["message"] for error in message["payload"]))
                    case "complete":
                        return

    async def close(self) -> None:
        await self._http.aclose()


def _frame(**message: Any) -> str:
    return orjson.dumps(message).decode()
