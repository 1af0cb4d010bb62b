"""The Spark Connect server of a connection: somebody else's by its address, or one that this process starts."""

from typing import Protocol

from app.engines.spark.address import SparkAddress
from app.engines.spark.client import SparkClient

_PATIENCE_SECONDS = 5.0


class SparkServer(Protocol):
    """`outlives_this_process`: what it runs goes on when this process dies."""

    outlives_this_process: bool

    async def client(self) -> SparkClient:
        """A client, shared by all. Raises: EngineError where the server cannot be started."""

    async def check(self) -> None:
        """Raises: EngineError where work could not be submitted now."""

    async def close(self) -> None:
        """Let go of the server, and end it where it is this process's own."""


class RemoteServer:
    """A server at an address."""

    outlives_this_process = True

    def __init__(self, address: SparkAddress) -> None:
        self._client = SparkClient(address)

    async def client(self) -> SparkClient:
        return self._client

    async def check(self) -> None:
        await self._client.version(seconds=_PATIENCE_SECONDS)

    async def close(self) -> None:
        await self._client.close()
