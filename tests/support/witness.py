"""A subscriber who comes back at its cursor whenever it is cut off, and writes down everything that it was told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.exceptions import WebSocketException

from app.graphql.ids import parse_global, to_cursor
from tests.support.client import Api, RefusedError, Socket, positions

PLAYGROUND_EVENTS = """subscription($id: ID!, $after: String) { playgroundEvents(playgroundId: $id, after: $after) {
  cursor events { cursor status message taskRun { id } run { id } } } }"""
REST = 0.05  # seconds between two tries to come back
COME_BACK = (OSError, WebSocketException, RefusedError, TimeoutError)  # a ConnectionError is an OSError


class Witness:
    """Follows one playground from its first event; runs as a task until it is cancelled."""

    def __init__(self, api: Api, playground: str) -> None:
        self.playground = playground
        self.events: list[dict[str, Any]] = []
        self.reconnects = 0
        self.trouble: Counter[str] = Counter()
        self.cut = asyncio.Event()  # set: drop the connection, and come back
        self._api = api
        self._cursor = to_cursor(0)  # its cursors are opaque to a client; nothing else stands for «from the start»

    async def follow(self) -> None:
        while True:
            try:
                async with self._api.socket() as socket:
                    await self._listen_until_cut(socket)
            except COME_BACK as error:
                self.trouble[str(error)] += 1
            self.reconnects += 1
            await asyncio.sleep(REST)

    async def _listen_until_cut(self, socket: Socket) -> None:
        self.cut.clear()
        listening, cutting = asyncio.create_task(self._listen(socket)), asyncio.create_task(self.cut.wait())
        try:
            await asyncio.wait({listening, cutting}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
        finally:
            for task in (listening, cutting):
                task.cancel()
            await asyncio.gather(listening, cutting, return_exceptions=True)

    async def _listen(self, socket: Socket) -> None:
        async for payload in socket.subscribe(PLAYGROUND_EVENTS, id=self.playground, after=self._cursor):
            if payload.get("errors"):  # a hole in what it was told: it asks again, from before
                raise RefusedError(payload["errors"])
            batch = payload["data"]["playgroundEvents"]
            self.events += batch["events"]
            self._cursor = batch["cursor"]

    @property
    def last(self) -> int:
        return positions(self.events[-1:])[0] if self.events else 0

    def faults(self, recorded: Sequence[Any]) -> list[str]:
        """How what it saw differs from the log in the database: it must be all, once, in order."""
        seen = [
            (position, event["status"], event["message"], _key(event["run"]), _key(event["taskRun"]))
            for position, event in zip(positions(self.events), self.events, strict=True)
        ]
        log = [(row.sequence, row.status, row.message, row.run_id, row.task_run_id) for row in recorded]
        if seen == log:
            return []
        at = next((n for n, pair in enumerate(zip(seen, log, strict=False)) if pair[0] != pair[1]), None)
        if at is None:
            trouble = "; ".join(f"{count} times {text}" for text, count in self.trouble.most_common(3))
            return [f"a witness saw {len(seen)} events of {len(log)}, and was in trouble: {trouble}"]
        return [f"a witness saw {seen[at]} in the place of {log[at]}, the {at + 1}th"]


def _key(node: dict[str, str] | None) -> Any:
    return None if node is None else parse_global(node["id"])[1]


@asynccontextmanager
async def witnessing(api: Api, playgrounds: Sequence[str]) -> AsyncIterator[list[Witness]]:
    """A witness to each playground."""
    witnesses = [Witness(api, playground) for playground in playgrounds]
    async with background(*(witness.follow() for witness in witnesses)):
        yield witnesses


@asynccontextmanager
async def background(*works: Coroutine[Any, Any, None]) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Tasks that are cancelled at the end of the block; one that has failed by then fails it."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield tasks
    finally:
        failed = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for error in failed:
        if error is not None:
            raise error


async def all_told(witnesses: Sequence[Witness], lengths: Sequence[int], *, seconds: float) -> None:
    """Wait until each has seen as many events as its playground's log has. Raises: TimeoutError."""
    async with asyncio.timeout(seconds):
        while any(witness.last < length for witness, length in zip(witnesses, lengths, strict=True)):  # noqa: ASYNC110 - a test looks
            await asyncio.sleep(0.05)
