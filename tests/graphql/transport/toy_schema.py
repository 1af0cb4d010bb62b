"""A small schema with everything that a transport can stumble over, and a source that many subscribe to."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import strawberry
from graphql import GraphQLError
from strawberry.dataloader import DataLoader
from strawberry.file_uploads import Upload
from strawberry.types import Info

from app.domain.errors import ConflictError, ForbiddenError, UnauthenticatedError, UnavailableError
from app.graphql.transport.streams import Live
from app.services.following import Batch
from tests.services.test_live import Source


@dataclass
class World:
    """What the resolvers see and count."""

    renderings: int = 0
    loads: list[list[int]] = field(default_factory=list)
    contexts: int = 0
    closed_streams: int = 0
    open_streams: int = 0
    writes: list[str] = field(default_factory=list)
    topics: "dict[str, set[asyncio.Queue[Tick | None]]]" = field(default_factory=dict)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    source: Source = field(default_factory=Source)

    def publish(self, topic: str, tick: "Tick | None") -> None:
        for queue in self.topics.get(topic, set()):
            queue.put_nowait(tick)

    def listeners(self, topic: str) -> int:
        return len(self.topics.get(topic, set()))


class Context:
    def __init__(self, world: World, viewer: str | None) -> None:
        world.contexts += 1
        self.world = world
        self.viewer = viewer
        self.squares: DataLoader[int, int] = DataLoader(self._load)

    async def _load(self, keys: list[int]) -> list[int]:
        self.world.loads.append(keys)
        return [key * key for key in keys]


ToyInfo = Info[Context, None]


@strawberry.type
class Tick:
    number: int
    text: str = ""
    encoded: strawberry.Private[dict[Any, Any]] = field(default_factory=dict)

    @strawberry.field
    def seen(self, info: ToyInfo) -> int:
        info.context.world.renderings += 1
        return self.number

    @strawberry.field
    async def square(self, info: ToyInfo) -> int:
        info.context.world.renderings += 1
        return await info.context.squares.load(self.number)

    @strawberry.field
    def echo(self, text: str = "none") -> str:
        return text

    @strawberry.field
    def viewer(self, info: ToyInfo) -> str | None:
        return info.context.viewer

    @strawberry.field
    async def away(self) -> str | None:
        if self.number == 1:
            raise UnavailableError("The database does not answer; try again in a moment.")
        return "back"

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("password=hunter2")


@strawberry.type
class Rows:
    """What a live feed tells."""

    cursor: str
    numbers: list[int]
    encoded: strawberry.Private[dict[Any, Any]]

    @strawberry.field
    def padding(self, info: ToyInfo, size: int = 0) -> str:
        info.context.world.renderings += 1
        return "x" * size

    @strawberry.field
    async def late(self, info: ToyInfo) -> int:
        info.context.world.renderings += 1
        await asyncio.sleep(0.001)
        return self.numbers[0]

    @classmethod
    def of(cls, batch: Batch[int]) -> "Rows":
        return cls(cursor=str(batch.cursor), numbers=list(batch.rows), encoded=batch.encoded)


@strawberry.type
class Edge:
    node: "Node"


@strawberry.type
class NodeConnection:
    edges: list[Edge]


@strawberry.type
class Node:
    name: str = "node"

    @strawberry.field
    def children(self, first: int = 20) -> NodeConnection:  # noqa: ARG002  # a page size to be estimated
        return NodeConnection(edges=[])

    @strawberry.field
    def friends(self) -> list["Node"]:
        return [Node(), Node()]

    @strawberry.field
    def friend(self) -> "Node":
        return Node()


@strawberry.type
class Query:
    @strawberry.field
    def hello(self, name: str = "world") -> str:
        return f"Hello, {name}!"

    @strawberry.field
    def viewer(self, info: ToyInfo) -> str | None:
        return info.context.viewer

    @strawberry.field
    def node(self) -> Node:
        return Node()

    @strawberry.field
    def children(self, first: int = 20) -> NodeConnection:  # noqa: ARG002  # a page size to be estimated
        return NodeConnection(edges=[])

    @strawberry.field
    def broken(self) -> str | None:
        raise RuntimeError("password=hunter2")

    @strawberry.field
    def missing(self) -> str:
        return None  # type: ignore[return-value]

    @strawberry.field
    def huge(self) -> int:
        return 5_000_000_000

    @strawberry.field
    def refused(self) -> str | None:
        raise ConflictError("Run 7 is on.", path=("input", "name"))

    @strawberry.field
    def unauthenticated(self) -> str | None:
        raise UnauthenticatedError

    @strawberry.field
    def forbidden(self) -> str | None:
        raise ForbiddenError

    @strawberry.field
    def deliberate(self) -> str | None:
        raise GraphQLError("Slow down.", extensions={"code": "RATE_LIMITED"})

    @strawberry.field
    async def slow(self, info: ToyInfo) -> str:
        await info.context.world.gate.wait()
        return "slept"

    @strawberry.field
    def big(self, size: int = 1_000_000) -> str:
        return "x" * size


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def write(self, info: ToyInfo, text: str) -> str:
        await asyncio.sleep(0.05)
        info.context.world.writes.append(text)
        return text

    @strawberry.mutation
    async def read_file(self, file: Upload) -> str:
        content: bytes = await file.read()  # type: ignore[attr-defined]
        return content.decode()

    @strawberry.mutation
    async def read_files(self, files: list[Upload]) -> list[int]:
        return [len(await file.read()) for file in files]  # type: ignore[attr-defined]


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, info: ToyInfo, to: int = 3, pause: float = 0) -> AsyncGenerator[int, None]:
        world = info.context.world
        world.open_streams += 1
        try:
            for number in range(to):
                await asyncio.sleep(pause)
                yield number
        finally:
            world.open_streams -= 1
            world.closed_streams += 1

    @strawberry.subscription
    async def ticks(self, info: ToyInfo, topic: str = "t", after: str | None = None) -> AsyncGenerator[Tick, None]:
        world = info.context.world
        queue: asyncio.Queue[Tick | None] = asyncio.Queue()
        if after is not None:
            yield Tick(number=-1, text=f"after {after}")
        world.topics.setdefault(topic, set()).add(queue)
        world.open_streams += 1
        try:
            while (tick := await queue.get()) is not None:
                yield tick
        finally:
            world.topics[topic].discard(queue)
            world.open_streams -= 1
            world.closed_streams += 1

    @strawberry.subscription
    def rows(self, info: ToyInfo, after: str | None = None) -> AsyncIterator[Rows]:
        return Live(source=info.context.world.source.place(int(after or 0)), event_of=Rows.of)

    @strawberry.subscription
    async def flood(self, info: ToyInfo, size: int = 10_000) -> AsyncGenerator[str, None]:
        world = info.context.world
        world.open_streams += 1
        try:
            while True:
                yield "x" * size
                await asyncio.sleep(0)
        finally:
            world.open_streams -= 1
            world.closed_streams += 1

    @strawberry.subscription
    async def failing(self) -> AsyncGenerator[int, None]:
        yield 1
        raise RuntimeError("password=hunter2")

    @strawberry.subscription
    async def refusing(self) -> AsyncGenerator[int, None]:
        raise ConflictError("There is no such run.")
        yield 1


def toy_schema() -> strawberry.Schema:
    return strawberry.Schema(query=Query, mutation=Mutation, subscription=Subscription)
