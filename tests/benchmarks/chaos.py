"""A soak in random faults: playgrounds run while processes, connections and servers die; prints the tally.

A seed gives the same faults in the same order; what they meet is the machine's affair.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from pathlib import Path
from random import Random, randrange
from time import monotonic
from typing import Any

from tests.support.client import Api
from tests.support.faults import FAULTS
from tests.support.fragile import Fragile, open_fragile
from tests.support.loads import SHAPES
from tests.support.mariadb import prepared_data
from tests.support.processes import Reaper
from tests.support.soak import SETTINGS, Soak

CALM = (0.5, 3.0)  # seconds between two faults, at least and at most
AT_ONCE = 0.25  # of the faults come two at a time


async def inject(soak: Soak, fragile: Fragile, random: Random, seconds: float) -> None:
    """Fault after fault, now and then two at a time."""
    deadline = monotonic() + seconds
    while monotonic() < deadline:
        names = random.sample(sorted(FAULTS), 2 if random.random() < AT_ONCE else 1)
        log(", ".join(names))
        await soak.do(*names)
        await asyncio.sleep(random.uniform(*CALM))
        await fragile.until_somebody_works()  # where all are always dead, one would measure how long a process starts


def outcome(soak: Soak, fragile: Fragile, seed: int) -> dict[str, Any]:
    assert soak.records is not None
    counts = {
        **soak.records.tally,
        "reconnects of subscribers": sum(witness.reconnects for witness in soak.witnesses),
        "connections cut": sum(line.cuts for line in fragile.lines),
        "parts brought back": fragile.restarts,
        "requests tried again": sum(load.refused.total() for load in soak.loads),
        "seconds of the slowest run": round(max(load.slowest for load in soak.loads)),
        "violations": len(soak.violations),
    }
    return {
        "unit": "count, and the seconds from the end of a fault to the end of the runs that were on",
        "seed": seed,
        "rows": {
            **{name: {"count": value} for name, value in counts.items()},
            **{
                name: {"count": times, "slowest recovery": soak.recoveries.get(name, 0.0)}
                for name, times in sorted(soak.faults.items())
            },
        },
        "violations": soak.violations,
        "note": "\n".join([f"seed {seed}", *soak.violations]),
    }


def log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


async def chaos(seconds: float, seed: int) -> dict[str, Any]:
    cache = Path(tempfile.gettempdir()) / "data-phantom-bench"
    cache.mkdir(exist_ok=True)
    reaper, random = Reaper(), Random(seed)  # noqa: S311 - it must be repeatable
    try:
        template = prepared_data(cache)
        async with open_fragile(template=template, reaper=reaper, schedulers=2, settings=SETTINGS) as fragile:
            api = Api(fragile.base)
            await api.sign_up("chaos")
            soak = Soak(fragile, api, random, shapes=SHAPES)
            try:
                async with soak.under_load():
                    await inject(soak, fragile, random, seconds)
                soak.violations += await fragile.stop()
                await soak.judge()
                left = fragile.facts("SELECT kind, pid FROM worker")
                soak.violations += [f"a {kind} is still registered: {pid}" for kind, pid in left]
            finally:
                await api.close()
                if soak.violations or soak.records is None:
                    _keep_logs(fragile.platform.folder)
            return outcome(soak, fragile, seed)
    finally:
        reaper.close()


def _keep_logs(folder: Path) -> None:
    kept = tempfile.mkdtemp(prefix="data-phantom-chaos-")
    for path in folder.glob("*.log"):
        shutil.move(path, kept)
    log(f"the logs are kept in {kept}")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are injected")
    parser.add_argument("--seed", type=int, default=randrange(10**6), help="of the faults' order; printed at the end")  # noqa: S311 - no secret


def main(options: argparse.Namespace) -> dict[str, Any]:
    return asyncio.run(chaos(options.seconds, options.seed))
