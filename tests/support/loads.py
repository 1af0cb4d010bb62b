"""What runs while the soak does its worst: playgrounds of many shapes, each with a client who does not give up."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import Any, Protocol
from uuid import UUID

import httpx

from app.graphql.ids import parse_global
from tests.support.client import Api, RefusedError

LOOK = 0.1  # seconds between two looks of a client
TRIES = (httpx.HTTPError, RefusedError, OSError, TimeoutError, ValueError)  # a ValueError: an answer cut in two
CANCEL = "mutation($i: CancelRunInput!) { cancelRun(input: $i) { run { id } errors { code message } } }"
STATUS = "query($id: ID!) { run(id: $id) { status } }"
ENDED = frozenset({"SUCCESS", "PARTIAL_SUCCESS", "FAILED", "CANCELLED"})


class Shape(Protocol):
    """Makes the tasks of a playground."""

    __name__: str

    async def __call__(self, api: Api, playground: str) -> None: ...


def key_of(playground: str) -> UUID:
    """Its key in the database."""
    _, key = parse_global(playground)
    assert key is not None
    return key


def nap(seconds: float) -> str:
    return f"SELECT sleep({seconds:.3f}) AS slept"


@dataclass(kw_only=True)
class Load:
    """One playground that is run again and again by a client who does not give up."""

    name: str
    api: Api
    playground: str
    random: Random
    cancels: bool = False
    started: int = 0
    open_since: float | None = None  # of the run that is on
    slowest: float = 0.0
    stopping: bool = False
    refused: Counter[str] = field(default_factory=Counter)

    async def go_on(self) -> None:
        while not self.stopping:
            await self.run_once()

    async def run_once(self) -> str:
        """The run's status at its end; the same key, however often the client has to ask."""
        self.started += 1
        begin = self.open_since = monotonic()
        run = await self._until_answered(lambda: self.api.start(self.playground, idempotencyKey=str(self.started)))
        if self.cancels:
            await asyncio.sleep(self.random.uniform(0, 1))
            with suppress(*TRIES):  # it may have ended already; what is not cancelled ends by its timeout
                await self.api.call(CANCEL, i={"runId": run})
        status = "RUNNING"
        while status not in ENDED:
            await asyncio.sleep(LOOK)
            status = (await self._until_answered(lambda: self.api.call(STATUS, id=run)))["status"]
        self.slowest = max(self.slowest, monotonic() - begin)
        self.open_since = None
        return status

    async def _until_answered(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await ask()
            except RefusedError as error:
                self.refused.update(each.get("code") or each["extensions"]["code"] for each in error.errors)
            except TRIES:
                self.refused["no answer"] += 1
            await asyncio.sleep(LOOK)


async def chain(api: Api, playground: str) -> None:
    parents: tuple[str, ...] = ()
    for number in range(6):
        parents = (await api.task(playground, f"link {number}", nap(0.02), parents),)


async def fan(api: Api, playground: str) -> None:
    root = await api.task(playground, "root", nap(0))
    branches = [await api.task(playground, f"branch {number}", nap(0.03 * number), (root,)) for number in range(8)]
    await api.task(playground, "join", parents=tuple(branches))


async def retries(api: Api, playground: str) -> None:
    """Queries long enough to lose their connection to the source, and patient tasks."""
    for number in range(4):
        task = await api.task(playground, f"patient {number}", nap(0.5), maxRetries=20, retryDelayMs=50)
        await api.task(playground, f"after {number}", parents=(task,), maxRetries=20, retryDelayMs=50)


async def timeouts(api: Api, playground: str) -> None:
    endless = await api.task(playground, "endless", nap(300), timeoutMs=400)
    await api.task(playground, "never", parents=(endless,))
    await api.task(playground, "beside", nap(0.1))


async def cancelled(api: Api, playground: str) -> None:
    first = await api.task(playground, "first", nap(0.1))
    endless = await api.task(playground, "endless", nap(300), (first,), timeoutMs=3000)
    await api.task(playground, "never", parents=(endless,))


async def failing(api: Api, playground: str) -> None:
    wrong = await api.task(playground, "wrong", "SELECT * FROM nowhere")
    await api.task(playground, "below", parents=(await api.task(playground, "beneath", parents=(wrong,)),))
    await api.task(playground, "beside")


async def embedded(api: Api, playground: str) -> None:
    """Tasks that run in the worker itself, and die with it."""
    parents: tuple[str, ...] = ()
    for number in range(4):
        query = f"SELECT count(*) AS n FROM UNNEST(sequence(1, {number + 1} * 1000)) AS t(i)"
        parents = (await api.task(playground, f"step {number}", query, parents, type="PRESTO"),)


SHAPES = (chain, fan, retries, timeouts, cancelled, failing, embedded)
