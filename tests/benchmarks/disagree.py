"""Awkward tables compared by every method, until the time is up: prints on which seeds the answers differ, and why.

Trials run in processes of their own, a batch in each: a crash below Python ends the process and is a finding too. What
is found is made as small as it can be, and written below the temporary folder.
"""

import argparse
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from random import randrange
from time import monotonic
from typing import Any

from tests.support.agreement import disagreement, smallest
from tests.support.awkward import Trial, trial

BATCH = 100
STALLED_SECONDS = 300  # one batch
ROOT = Path(__file__).parents[2]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=60, help="how long trials are begun")
    parser.add_argument("--seed", type=int, default=randrange(10**9), help="of the first trial; the next has the next")  # noqa: S311 - no secret
    parser.add_argument("--processes", type=int, default=1, help="at a time")
    parser.add_argument("--shrink", type=int, default=3, help="how many findings are made small")


def main(options: argparse.Namespace) -> dict[str, Any]:
    deadline = monotonic() + options.seconds
    done, found = 0, dict[int, str]()
    starts = itertools.count(options.seed, BATCH)
    with tempfile.TemporaryDirectory() as folder:
        while monotonic() < deadline:
            batches = [Batch(next(starts), Path(folder)) for _ in range(options.processes)]
            for batch in batches:
                findings = batch.result()
                done += BATCH
                found |= findings
                for seed, what in findings.items():
                    sys.stderr.write(f"{seed}: {what}\n")
    kept = [str(keep(seed)) for seed in list(found)[: options.shrink] if not found[seed].startswith("died")]
    return {
        "unit": "count",
        "seed": options.seed,
        "rows": {"trials": {"count": float(done)}, "disagreements": {"count": float(len(found))}},
        "violations": [f"{seed}: {what}" for seed, what in found.items()],
        "note": "\n".join([f"first seed {options.seed}", *kept]),
    }


class Batch:
    """Some trials in a process, which writes what it begins and what it finds."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._journal = folder / f"{seed}.jsonl"
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(seed), str(BATCH), str(self._journal)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self) -> dict[int, str]:
        try:
            _, errors = self._process.communicate(timeout=STALLED_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _, errors = self._process.communicate()
        lines = [json.loads(line) for line in self._journal.read_text().splitlines()]
        found = {line["seed"]: line["found"] for line in lines if "found" in line}
        if self._process.returncode:
            found[lines[-1]["seed"]] = f"died with {self._process.returncode}: {errors[-500:]}"
        return found


def batch(seed: int, count: int, journal: Path) -> None:
    with journal.open("w", buffering=1) as file:
        for each in range(seed, seed + count):
            file.write(json.dumps({"seed": each}) + "\n")
            what = disagreement(trial(each))
            if what:
                file.write(json.dumps({"seed": each, "found": what}) + "\n")


def keep(seed: int) -> Path:
    """Files and a description of the smallest trial that fails as this one does."""

    def fails(candidate: Trial) -> bool:
        return kind_of(disagreement(candidate)) == wanted

    whole = trial(seed)
    wanted = kind_of(disagreement(whole))
    least = smallest(whole, fails=fails) if wanted else whole
    folder = Path(tempfile.mkdtemp(prefix=f"data-phantom-disagree-{seed}-"))
    (folder / "left.csv").write_bytes(least.left.content)
    (folder / "right.csv").write_bytes(least.right.content)
    (folder / "trial.pickle").write_bytes(pickle.dumps(least))
    described = replace(least, left=replace(least.left, content=b""), right=replace(least.right, content=b""))
    (folder / "about.txt").write_text(f"{disagreement(least)}\n\n{least.left}\n{least.right}\n{described}\n")
    return folder


def kind_of(what: str | None) -> str | None:
    """What is not agreed on, without the sayings."""
    return what and what.split(":")[0]


if __name__ == "__main__":
    batch(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
