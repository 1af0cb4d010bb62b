"""Comparing two large CSV files: ours beside DuckDB, Polars, DataComPy, csvdiff, and beside reading the files at all.

Each candidate is a process of its own for each run, from its start to its end, imports included; «warm s» is without
them. Ours runs before every other candidate anew, files are in the page cache, and all answers are checked against what
the generator knows. Ours tells counts, columns and samples, as the others tell counts; «to file» writes all differing
rows too, as the platform does. `÷ cat` and `÷ wc -l` say how many times as long ours takes as reading both files; a
peer's name how many times as long it takes as ours, and with «MB» how many times as much memory.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks import environments
from tests.benchmarks.contenders import FLOORS, OURS, OURS_TO_FILE, Contender, contenders
from tests.benchmarks.contenders.question import File, Question
from tests.benchmarks.contenders.running import TOO_LARGE, Limits, Run, run
from tests.benchmarks.tables import CELLS, KEY, Counts, Form, Order, Pair, Table, Tables, tables

CASES = {
    **{f"{order.name.lower()}-{share:g}": Pair(rows=0, share=share / 100, order=order)
       for order in Order for share in (0.2, 50, 100)},
    "identical": Pair(rows=0, form=Form.COPY),
    "duplicates": Pair(rows=0, share=0.002, order=Order.SHUFFLED, duplicates=True),
    "dialects": Pair(rows=0, share=0.002, order=Order.SHUFFLED, form=Form.OTHER),
}  # fmt: skip
KINDS = {**dict.fromkeys(CELLS, "text"), KEY: "integer", "amount": "number", "quantity": "integer", "ratio": "number",
         "sold_on": "date"}  # fmt: skip
SUFFIXES = {"k": 1_000, "M": 1_000_000}
WARM_UP_ROWS = 20_000  # ours compiles its kernels where they are not yet in its cache


@dataclass(slots=True)
class Measured:
    """What one candidate took in one case, run by run; `beside` are our runs, each right before one of its own."""

    runs: list[Run] = field(default_factory=list)
    beside: list[Run] = field(default_factory=list)
    warm: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def cut(self) -> str | None:
        return self.runs[-1].cut if self.runs else None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rows", default="1M", help="how many, for example 100k,1M,10M")
    parser.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}")
    parser.add_argument("--by", default="key,row", help="by the key, or without one by whole rows")
    parser.add_argument("--peers", default=None, help="the names of those to run, as the columns have them; or none")
    parser.add_argument("--repeats", type=int, default=3, help="how often each runs, in turns")
    parser.add_argument("--take", choices=("min", "median"), default="min", help="of the repeats")
    parser.add_argument("--timeout", type=float, default=600, help="seconds; then ours is ended")
    parser.add_argument("--peer-timeout", type=float, default=120, help="seconds; then a peer is ended")
    parser.add_argument("--peer-memory", type=float, default=8000, help="MB; then a peer is ended")
    parser.add_argument("--install-peers", action="store_true", help="install Polars and DataComPy aside, once")
    parser.add_argument("--seed", type=int, default=1, help="of the tables")


def main(options: argparse.Namespace) -> dict[str, Any]:
    everyone = contenders(install=options.install_peers)
    wanted = chosen(everyone, options.peers)
    missing = {each.name: each.missing for each in wanted if each.missing}
    wanted = [each for each in wanted if not each.missing]
    cache = environments.cache()
    warm_up(wanted[0], cache)
    rows: dict[str, dict[str, float | str]] = {}
    details: dict[str, Any] = {}
    violations: list[str] = []
    for count in map(number, options.rows.split(",")):
        for case in options.cases.split(","):
            made = tables(replace(CASES[case], rows=count, seed=options.seed), cache)
            for by in options.by.split(","):
                truth = made.by_key if by == "key" else made.by_row
                if truth is None:
                    continue
                label = f"{spelt(count)} {case}, by {by}"
                asked = question(made, keyed=by == "key", form=CASES[case].form)
                found = measure(label, asked, truth, [each for each in wanted if each.takes(asked)], options)
                rows[label] = row(found, options.take)
                details[label] = {name: asdict(each) for name, each in found.items()}
                violations += [f"{label}: {name}: {wrong}" for name, each in found.items() for wrong in each.wrong]
    return {
        "unit": f"{options.take} of {options.repeats}; s, MB, and ratios",
        "machine": machine(),
        "rows": rows,
        "runs": details,
        "missing": missing,
        "violations": violations,
        "note": "\n".join([machine(), *(f"{name} is not here: {how}" for name, how in missing.items()), *violations]),
    }


def chosen(everyone: Sequence[Contender], names: str | None) -> list[Contender]:
    if names is None:
        return list(everyone)
    wanted = {OURS, OURS_TO_FILE, *FLOORS, *names.split(",")}
    return [each for each in everyone if each.name in wanted]


def number(text: str) -> int:
    return int(text[:-1]) * SUFFIXES[text[-1]] if text[-1] in SUFFIXES else int(text)


def spelt(count: int) -> str:
    for suffix, factor in reversed(SUFFIXES.items()):
        if count % factor == 0:
            return f"{count // factor}{suffix}"
    return str(count)


def question(made: Tables, *, keyed: bool, form: Form = Form.SAME) -> Question:
    def file(table: Table) -> File:
        return File(path=str(table.path), delimiter=table.delimiter, columns=list(table.columns))

    kinds = KINDS | ({"quantity": "number"} if form is Form.OTHER else {})
    return Question(left=file(made.left), right=file(made.right), key=KEY if keyed else None, kinds=kinds)


def warm_up(ours: Contender, cache: Path) -> None:
    for form in Form:
        made = tables(Pair(rows=WARM_UP_ROWS, share=0.5, form=form), cache)
        for keyed in (True, False):
            run(ours.command(question(made, keyed=keyed, form=form)), Limits(seconds=600))


def measure(
    label: str, asked: Question, truth: Counts, candidates: Sequence[Contender], options: argparse.Namespace
) -> dict[str, Measured]:
    """By name, ours first."""
    ours, *others = candidates
    found = {each.name: Measured() for each in candidates}
    for path in (asked.left.path, asked.right.path):
        read(Path(path))
    for _ in range(options.repeats):
        for other in others:
            if found[other.name].cut:  # once is enough
                continue
            for each in (ours, other):
                if each.name in {OURS, OURS_TO_FILE}:
                    limits = Limits(seconds=options.timeout)
                else:
                    limits = Limits(seconds=options.peer_timeout, memory_mb=options.peer_memory)
                once(each, asked, truth, limits, found[each.name])
                last = found[each.name].runs[-1]
                told = f"{last.seconds:8.2f} s {last.cpu_seconds:8.2f} CPU s {last.memory_mb:8.0f} MB {last.cut or ''}"
                sys.stderr.write(f"{label}: {each.name:14} {told}\n")
            found[other.name].beside.append(found[OURS].runs[-1])
            if found[OURS].cut:
                return found
    return found


def once(each: Contender, asked: Question, truth: Counts, limits: Limits, measured: Measured) -> None:
    done = run(each.command(asked), limits)
    measured.runs.append(replace(done, output="", errors=""))
    if done.cut:
        return
    said = each.reads(done.output, done.errors)
    if "seconds" in said:
        measured.warm.append(said["seconds"])
    known = asdict(truth)
    for name, value in said.get("counts", {}).items():
        if value != known[name]:
            measured.wrong.append(f"{name} is {value}, and should be {known[name]}")


def row(found: dict[str, Measured], take: str) -> dict[str, float | str]:
    choose = min if take == "min" else median

    def of(runs: Sequence[Run]) -> tuple[float, float]:
        return choose([each.seconds for each in runs]), choose([each.memory_mb for each in runs])

    ours, to_file = found[OURS], found.get(OURS_TO_FILE)
    if ours.cut:
        return {"s": ours.cut}
    seconds, memory = of(ours.runs)
    cpu = choose([each.cpu_seconds for each in ours.runs])
    cells: dict[str, float | str] = {"s": seconds, "warm s": choose(ours.warm), "CPU s": cpu, "MB": memory}
    if to_file and not to_file.cut:
        cells["to file s"], cells["to file MB"] = of(to_file.runs)
    for name, measured in found.items():
        if name in {OURS, OURS_TO_FILE}:
            continue
        seconds, memory = of(measured.runs)
        our_seconds, our_memory = of(measured.beside)
        if name in FLOORS:
            cells[f"÷ {name}"] = our_seconds / seconds
        elif measured.cut == TOO_LARGE:
            cells[name] = TOO_LARGE
        elif measured.cut:
            cells[name] = f"> {seconds / our_seconds:.3g}"
        else:
            cells[name], cells[f"{name} MB"] = seconds / our_seconds, memory / our_memory
    return cells


def read(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def machine() -> str:
    facts = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    memory = int(facts["MemTotal"].split()[0]) / 1e6
    names = {line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")}  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores ({', '.join(sorted(names))}), {memory:.0f} GB, load {os.getloadavg()[0]:.1f} at the end"
