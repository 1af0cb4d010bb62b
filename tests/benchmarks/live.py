"""How long a committed event takes to its subscribers, and what a delivery and a subscriber cost the server.

A latency runs from the return of the database's commit in the publishing process to the frame's arrival in a client's
process, so it holds the ring, the server's read, the execution, the encoding, and the client's own queue. A delivery
is one event at one subscriber, whether it came in a frame of its own or with others.
"""

import argparse
import asyncio
import os
import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from app.graphql.ids import from_global, to_global
from tests.benchmarks.deployment import installed
from tests.benchmarks.publisher import Pair, publish
from tests.benchmarks.subscribers import Plan, Tally, subscribe
from tests.support.client import Api
from tests.support.platform import Platform

SUBSCRIBERS = (1, 100, 1_000, 5_000, 10_000)
RATE = 50.0  # events a second in all, where all follow one run; one a second for each, where each has a run of its own
SECONDS = 10.0
WARM_UP_SECONDS = 2.0  # before what is counted: the first of everything compiles statements and fills caches
PATIENCE = 60.0
PROCESSES = get_context("spawn")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--subscribers", type=int, nargs="+", default=SUBSCRIBERS, help="how many, one row for each")
    parser.add_argument("--shape", choices=("one", "own"), nargs="+", default=("one", "own"), help="whose run")
    parser.add_argument("--rate", type=float, default=RATE, help="events a second on the one run")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each row is measured")


@dataclass(kw_only=True, slots=True)
class Received:
    """The sum of several tallies."""

    events: int = 0
    frames: int = 0
    arrivals: list[tuple[str, float]] = field(default_factory=list)
    cpu_seconds: float = 0.0

    def add(self, tally: Tally) -> None:
        self.events += tally.events
        self.frames += tally.frames
        self.arrivals += tally.arrivals
        self.cpu_seconds = tally.cpu_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What takes part in one row; the connections lead to processes of their own."""

    server: int
    subscribers: Connection
    publisher: Connection

    async def published(self, pairs: Sequence[Pair], rate: float, seconds: float) -> dict[str, float]:
        self.publisher.send((pairs, rate, seconds))
        return await asyncio.to_thread(self.publisher.recv)

    async def received(self, count: int) -> Received:
        """Everything that came since the last time, once it is all there."""
        got, begin = Received(), perf_counter()
        while got.events < count:
            if perf_counter() - begin > PATIENCE:
                break
            await asyncio.sleep(0.3)
            self.subscribers.send(None)
            got.add(await asyncio.to_thread(self.subscribers.recv))
        if got.events != count:
            raise AssertionError(f"{got.events} deliveries in place of {count}")
        return got


async def measure(
    parts: Parts, pairs: Sequence[Pair], subscribers: int, *, rate: float, seconds: float
) -> dict[str, float]:
    each = subscribers // len(pairs)  # of one run's subscribers
    await parts.published(pairs, rate, WARM_UP_SECONDS)
    clients = (await parts.received(round(rate * WARM_UP_SECONDS) * each)).cpu_seconds
    before, begin = cpu_seconds(parts.server), perf_counter()
    committed = await parts.published(pairs, rate, seconds)
    took = perf_counter() - begin
    got = await parts.received(round(rate * seconds) * each)
    lasted, cpu = perf_counter() - begin, cpu_seconds(parts.server) - before
    latencies = sorted(at - committed[message] for message, at in got.arrivals)
    return {
        "p50 ms": latencies[len(latencies) // 2] * 1000,
        "p99 ms": latencies[len(latencies) * 99 // 100] * 1000,
        "deliveries/s": got.events / took,
        "events/frame": got.events / got.frames,
        "us/delivery": cpu / got.events * 1e6,
        "us/frame": cpu / got.frames * 1e6,
        "server cores": cpu / lasted,
        "client cores": (got.cpu_seconds - clients) / lasted,
    }


async def row(
    platform: Platform, api: Api, shape: str, subscribers: int, options: argparse.Namespace
) -> dict[str, float]:
    """One server process for each row, so that none measures what another has left."""
    server = platform.serve()
    await until_serving(api)
    playground = await api.playground(f"live {shape} {subscribers} {server.pid}")
    await api.task(playground, "never taken up")
    run = await api.start(playground)
    pair = Pair(playground_id=from_global("Playground", playground), run_id=from_global("Run", run))
    environment = platform.environment
    addresses = environment["DATA_PHANTOM__META_STORE__URL"], environment["DATA_PHANTOM__REDIS__URL"]
    with process(publish, *addresses) as publisher:
        pairs, rate = [pair], options.rate
        if shape == "own":
            publisher.send((pair, subscribers))
            pairs, rate = await asyncio.to_thread(publisher.recv), float(subscribers)
        runs = [to_global("Run", each.run_id) for each in pairs] if shape == "own" else [run] * subscribers
        await warm(platform, api, run)
        empty = resident_kb(server.pid)
        with process(subscribe, Plan(port=platform.port, token=api.token or "", runs=runs)) as crowd:
            await asyncio.to_thread(crowd.recv)
            parts = Parts(server=server.pid, subscribers=crowd, publisher=publisher)
            load = os.getloadavg()[0]
            figures = await measure(parts, pairs, subscribers, rate=rate, seconds=options.seconds)
            figures |= {"kB/subscriber": (resident_kb(server.pid) - empty) / subscribers, "load": load}
    platform.stop()
    platform.processes.clear()
    return figures


async def warm(platform: Platform, api: Api, run: str) -> None:
    """What the first subscriber costs is not counted as every subscriber's."""
    with process(subscribe, Plan(port=platform.port, token=api.token or "", runs=[run] * 20)) as crowd:
        await asyncio.to_thread(crowd.recv)


async def until_serving(api: Api) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await api.post("{ __typename }")
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return


@contextmanager
def process(work: Any, *values: Any) -> Iterator[Connection]:
    """A process that hears and answers over a connection, and ends when that is closed."""
    ours, theirs = PROCESSES.Pipe()
    started = PROCESSES.Process(target=work, args=(*values, theirs), daemon=True)
    started.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        started.join(10)
        started.kill()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, from Linux's /proc."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return float(status.partition("VmRSS:")[2].split()[0])


async def everything(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    async with installed() as platform:
        server = platform.serve()
        api = Api(platform.base)
        await until_serving(api)
        await api.sign_up("bench")
        server.terminate()
        server.wait()
        platform.processes.clear()
        for shape in options.shape:
            for subscribers in options.subscribers:
                name = f"{subscribers:,} on " + ("one run" if shape == "one" else "runs of their own")
                rows[name] = await row(platform, api, shape, subscribers, options)
                figures = ", ".join(f"{column} {value:.4g}" for column, value in rows[name].items())
                sys.stderr.write(f"{name}: {figures}\n")  # the largest takes minutes to connect
        await api.close()
    return rows


def main(options: argparse.Namespace) -> dict[str, Any]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return {"unit": "commit to client", "rows": asyncio.run(everything(options))}
