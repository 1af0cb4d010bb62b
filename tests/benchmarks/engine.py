"""How much time the run engine adds: no-op tasks, from the mutation that starts a run to the end that a client sees."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from statistics import median
from time import perf_counter
from typing import Any

from tests.benchmarks.deployment import caller, embedded, production
from tests.support.client import RUN_EVENTS, Api, Socket
from tests.support.platform import Platform

REPEATS = 5
CHAIN = 40
Deployment = Callable[[], AbstractAsyncContextManager[Platform]]


async def one(api: Api) -> str:
    playground = await api.playground("one")
    await api.task(playground, "only")
    return playground


async def chain(api: Api) -> str:
    playground, parents = await api.playground("chain"), ()
    for number in range(CHAIN):
        parents = (await api.task(playground, f"link {number}", parents=parents),)
    return playground


async def fan(api: Api) -> str:
    playground = await api.playground("fan")
    tasks = [await api.task(playground, f"branch {number}") for number in range(CHAIN)]
    await api.task(playground, "join", parents=tuple(tasks))
    return playground


async def run_once(api: Api, socket: Socket, playground: str) -> float:
    """Seconds from the mutation's sending to the last event's arrival."""
    begin = perf_counter()
    run = await api.start(playground)
    status = ""
    async for payload in socket.subscribe(RUN_EVENTS, id=run):
        for event in payload["data"]["runEvents"]["events"]:
            if event["taskRun"] is None:
                status = event["status"]
    took = perf_counter() - begin
    if status != "SUCCESS":
        raise AssertionError(f"the run ended {status}")
    return took


async def measure(deployment: Deployment) -> dict[str, float]:
    shapes = {"one task": one, f"chain of {CHAIN}": chain, f"{CHAIN} in parallel and a join": fan}
    figures: dict[str, float] = {}
    async with deployment() as platform:
        api = await caller(platform, "bench")
        async with api.socket() as socket:
            for name, build in shapes.items():
                playground = await build(api)
                await run_once(api, socket, playground)
                figures[name] = median([await run_once(api, socket, playground) for _ in range(REPEATS)])
        await api.close()
    return figures


def main() -> dict[str, Any]:
    """Seconds, medians of five runs after a warm-up."""
    return {
        "unit": "s",
        "rows": {
            "SQLite, one process": asyncio.run(measure(embedded)),
            "MariaDB, two workers": asyncio.run(measure(production)),
        },
    }
