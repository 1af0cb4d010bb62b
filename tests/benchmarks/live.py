"""How long a committed event takes to its subscribers: events written at a steady rate, past the engine.

A latency runs from the return of the database's commit in the publishing process to the frame's arrival in the
client's event loop, so it holds the ring, the server's read, the execution, the encoding, and the client's own queue.
"""

import asyncio
import os
import resource
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from time import perf_counter
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.engine import make_url
from websockets.asyncio.client import connect

from app.domain.events import Outbox
from app.domain.identity import utc_now
from app.graphql.ids import parse_global
from app.messaging.bell import Bell
from app.messaging.delivery import Delivery
from app.messaging.queue import JobQueue
from app.store.database import Database
from app.store.unit_of_work import UnitOfWork
from tests.benchmarks.deployment import caller, production
from tests.support.client import Api
from tests.support.platform import Platform

RATE = 50  # events a second
EVENTS = 500
WARM_UP = 50  # before what is counted: the first of everything compiles statements and fills caches
SUBSCRIBERS = (1, 100)
QUERY = "subscription($id: ID!) { playgroundEvents(playgroundId: $id) { cursor events { cursor at status message } } }"
Deployment = Callable[[], AbstractAsyncContextManager[Platform]]


class Publisher:
    """Writes events into a playground's log, in the way of every change of status."""

    def __init__(self, *, database_url: str, redis_url: str) -> None:
        self.bell, self.queue = Bell(url=redis_url), JobQueue(url=redis_url)
        self._delivery = Delivery(queue=self.queue, bell=self.bell)
        self.database = Database(url=make_url(database_url), deliver=self._deliver)
        self.committed: dict[str, float] = {}
        self._number = 0

    async def _deliver(self, outbox: Outbox) -> None:
        self.committed[str(self._number)] = perf_counter()
        await self._delivery(outbox)

    async def publish(self, playground_id: UUID, run_id: UUID, count: int) -> None:
        begin = perf_counter()
        for index in range(count):
            self._number += 1

            async def work(unit: UnitOfWork) -> None:
                ledger = await unit.open_ledger(playground_id)
                assert ledger is not None
                ledger.record(run_id=run_id, status="RUNNING", at=utc_now(), message=str(self._number))

            await self.database.write(work)
            await asyncio.sleep(max(0.0, begin + (index + 1) / RATE - perf_counter()))

    async def close(self) -> None:
        await self.bell.close()
        await self.queue.close()
        await self.database.close()


async def listen(api: Api, playground: str, got: list[tuple[str, float]], ready: asyncio.Event) -> None:
    """Note the arrival of every event; `ready` is set once the subscription is known to be on."""
    url = api.base.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=["graphql-transport-ws"], compression=None, ping_interval=None) as socket:
        await socket.send(
            orjson.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {api.token}"}}).decode()
        )
        await socket.recv()
        payload = {"query": QUERY, "variables": {"id": playground}}
        await socket.send(orjson.dumps({"id": "1", "type": "subscribe", "payload": payload}).decode())
        async for text in socket:
            at = perf_counter()
            message = orjson.loads(text)
            if message["type"] == "next":
                ready.set()
                got += [(e["message"], at) for e in message["payload"]["data"]["playgroundEvents"]["events"]]


async def measure(platform: Platform, api: Api, publisher: Publisher, subscribers: int) -> dict[str, float]:
    playground = await api.playground(f"live {subscribers}")
    await api.task(playground, "only")
    run = (await api.run_to_end(playground))["id"]
    ids = [parse_global(value)[1] for value in (playground, run)]
    assert ids[0] is not None
    assert ids[1] is not None
    arrivals: list[list[tuple[str, float]]] = [[] for _ in range(subscribers)]
    readies = [asyncio.Event() for _ in range(subscribers)]
    tasks = [
        asyncio.create_task(listen(api, playground, got, ready)) for got, ready in zip(arrivals, readies, strict=True)
    ]
    while not all(ready.is_set() for ready in readies):
        await publisher.publish(ids[0], ids[1], 1)
    await publisher.publish(ids[0], ids[1], WARM_UP)
    server = platform.processes[0].pid
    cpu_before = cpu_seconds(server)
    publisher.committed.clear()
    begin = perf_counter()
    await publisher.publish(ids[0], ids[1], EVENTS)
    took = perf_counter() - begin
    last = str(publisher._number)
    async with asyncio.timeout(30):
        while not all(got and got[-1][0] == last for got in arrivals):  # noqa: ASYNC110 - nothing is timed by it
            await asyncio.sleep(0.01)
    cpu = cpu_seconds(server) - cpu_before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    latencies = sorted(
        at - publisher.committed[name] for got in arrivals for name, at in got if name in publisher.committed
    )
    if len(latencies) != EVENTS * subscribers:
        raise AssertionError(f"{len(latencies)} deliveries in place of {EVENTS * subscribers}")
    return {
        "p50 ms": latencies[len(latencies) // 2] * 1000,
        "p99 ms": latencies[len(latencies) * 99 // 100] * 1000,
        "events/s": EVENTS / took,
        "server cores": cpu / took,
    }


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, from Linux's /proc."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123 - a file of the kernel
        fields = file.read().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def everything() -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    async with production(workers=1) as platform, AsyncExitStack() as stack:
        api = await caller(platform, "bench")
        stack.push_async_callback(api.close)
        publisher = Publisher(
            database_url=platform.environment["DATA_PHANTOM__META_STORE__URL"],
            redis_url=platform.environment["DATA_PHANTOM__REDIS__URL"],
        )
        stack.push_async_callback(publisher.close)
        for subscribers in SUBSCRIBERS:
            rows[f"{subscribers} subscribers"] = await measure(platform, api, publisher, subscribers)
    return rows


def main() -> dict[str, Any]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard) if hard > soft else (soft, hard))
    return {"unit": "commit to client", "rows": asyncio.run(everything())}
