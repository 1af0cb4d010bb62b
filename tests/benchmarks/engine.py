"""How much time the run engine adds: no-op tasks, from the mutation that starts a run to the end that a client sees.

A no-op task of ours is a real one, `SELECT 1 AS one` by the embedded engine: its text is translated and run, its output
is written to the output store, and its statuses, events, attempt and log are in the database before it counts as ended.
A peer's no-op is a Python function that returns at once; tests/benchmarks/peers says how each was set up.

Peers are measured in the same run with `--with-peers`, which installs them into virtual environments of their own
below ~/.cache/data-phantom-bench (or $DATA_PHANTOM_BENCH_CACHE). The rows `peer ÷ ours` say how many times as long, or
as much, the peer takes.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from statistics import median
from time import perf_counter
from typing import Any

from tests.benchmarks import peers
from tests.benchmarks.deployment import caller, embedded, production
from tests.benchmarks.usage import cpu_seconds, memory_mb
from tests.support.client import Api, Socket
from tests.support.platform import Platform

CHAIN = 40
WIDE = 1_000
CROWD = (20, 50)  # playgrounds that run at the same time, and independent tasks in each
SETTLE_SECONDS, IDLE_SECONDS = 5, 20
EVENTS = "subscription($id: ID!) { runEvents(runId: $id) { events { status taskRun { id } } } }"

ONE, LINE, FAN, MANY = "one task s", f"chain of {CHAIN} s", f"{CHAIN} and a join s", f"{WIDE:,} tasks s"
RATE, CPU = "tasks/s", "CPU ms/task"
FRESH, IDLE, IDLE_CPU = "fresh MB", "idle MB", "idle CPU %"
MORE_IS_BETTER = {RATE}

Deployment = Callable[[], AbstractAsyncContextManager[Platform]]
Shape = Callable[[Api], Awaitable[str]]
Row = dict[str, float]


async def one(api: Api) -> str:
    playground = await api.playground("one")
    await api.task(playground, "only")
    return playground


async def chain(api: Api) -> str:
    playground = await api.playground("chain")
    parents: tuple[str, ...] = ()
    for number in range(CHAIN):
        parents = (await api.task(playground, f"link {number}", parents=parents),)
    return playground


async def fan(api: Api) -> str:
    playground = await api.playground("fan")
    await api.task(playground, "join", parents=await branches(api, playground, CHAIN))
    return playground


async def wide(api: Api) -> str:
    """One task, then all the others but one side by side, then the last."""
    playground = await api.playground("wide")
    source = await api.task(playground, "source")
    await api.task(playground, "join", parents=await branches(api, playground, WIDE - 2, (source,)))
    return playground


async def branches(api: Api, playground: str, count: int, parents: tuple[str, ...] = ()) -> tuple[str, ...]:
    return tuple([await api.task(playground, f"branch {number}", parents=parents) for number in range(count)])


async def crowd(api: Api) -> list[str]:
    playgrounds = [await api.playground(f"crowd {number}") for number in range(CROWD[0])]
    for playground in playgrounds:
        await branches(api, playground, CROWD[1])
    return playgrounds


SHAPES: dict[str, tuple[Shape, int]] = {ONE: (one, 20), LINE: (chain, 5), FAN: (fan, 5), MANY: (wide, 3)}


async def run_once(api: Api, socket: Socket, playground: str) -> float:
    """Seconds from the mutation's sending to the last event's arrival."""
    begin = perf_counter()
    run = await api.start(playground)
    status = ""
    async for payload in socket.subscribe(EVENTS, id=run):
        for event in payload["data"]["runEvents"]["events"]:
            if event["taskRun"] is None:
                status = event["status"]
    took = perf_counter() - begin
    if status != "SUCCESS":
        raise AssertionError(f"the run ended {status}")
    return took


async def throughput(platform: Platform, api: Api, socket: Socket) -> Row:
    """Many playgrounds at once: tasks a second, and the processor time of all our processes for each."""
    playgrounds, tasks = await crowd(api), CROWD[0] * CROWD[1]
    rates, costs = [], []
    for _ in range(1 + 3):
        cpu, begin = cpu_of(platform), perf_counter()
        await asyncio.gather(*(run_once(api, socket, playground) for playground in playgrounds))
        rates.append(tasks / (perf_counter() - begin))
        costs.append((cpu_of(platform) - cpu) / tasks * 1000)
    return {RATE: median(rates[1:]), CPU: median(costs[1:])}  # the first warms up


async def idle(platform: Platform) -> Row:
    """Memory and processor time of everything while nobody asks for anything."""
    await asyncio.sleep(SETTLE_SECONDS)
    cpu, begin = cpu_of(platform), perf_counter()
    await asyncio.sleep(IDLE_SECONDS)
    used = (cpu_of(platform) - cpu) / (perf_counter() - begin)
    return {IDLE: memory_of(platform), IDLE_CPU: used * 100}


def cpu_of(platform: Platform) -> float:
    return sum(cpu_seconds(process.pid) for process in platform.processes)


def memory_of(platform: Platform) -> float:
    return sum(memory_mb(process.pid) for process in platform.processes)


async def measure(deployment: Deployment) -> Row:
    row: Row = {}
    async with deployment() as platform:
        row[FRESH] = memory_of(platform)
        api = await caller(platform, "bench")
        async with api.socket() as socket:
            for name, (build, repeats) in SHAPES.items():
                playground = await build(api)
                await run_once(api, socket, playground)
                row[name] = median([await run_once(api, socket, playground) for _ in range(repeats)])
                sys.stderr.write(f"{name}: {row[name]:.3f}\n")
            row |= await throughput(platform, api, socket)
        await api.close()
        row |= await idle(platform)
    return row


def ratios(ours: dict[str, Row], theirs: dict[str, Row]) -> dict[str, Row]:
    return {
        f"{peer} ÷ {us}": {
            name: our_row[name] / row[name] if name in MORE_IS_BETTER else row[name] / our_row[name]
            for name in row.keys() & our_row.keys()
        }
        for us, our_row in ours.items()
        for peer, row in theirs.items()
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--with-peers", action="store_true", help="measure Prefect and Dagster too; installs them once")


def main(options: argparse.Namespace) -> dict[str, Any]:
    """Medians after a warm-up."""
    ours = {
        "SQLite, one process": asyncio.run(measure(embedded)),
        "MariaDB, two workers": asyncio.run(measure(production)),
    }
    theirs = peers.measure({"chain": CHAIN, "wide": WIDE}) if options.with_peers else {}
    note = None if theirs else "Prefect and Dagster beside it: --with-peers (installs them aside, once)."
    return {"unit": "medians", "rows": ours | theirs | ratios(ours, theirs), "note": note}
