"""scripts/bench NAME [--json] [options of its own]: prints a table, or one JSON object.

A benchmark is a module with `main`, which gives the unit, the rows and perhaps a note; where it gives `violations`, the
exit status is 1. Where it has options of its own, `arguments` adds them to a parser, and `main` is given what was read.
"""

import argparse
import json
import sys
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.table import Column, Table

WIDE = 200  # columns, where no terminal says its own
NAMES = ("api", "chaos", "disagree", "engine", "export", "live", "reconcile", "schedule", "spark")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the platform on this machine.")
    names = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    modules = {name: import_module(f"tests.benchmarks.{name}") for name in NAMES}
    for name, module in modules.items():
        own = names.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        own.add_argument("--json", action="store_true", help="print one JSON object")
        if hasattr(module, "arguments"):
            module.arguments(own)
    options = parser.parse_args()
    module = modules[options.name]
    outcome = module.main(options) if hasattr(module, "arguments") else module.main()
    if options.json:
        sys.stdout.write(json.dumps({"benchmark": options.name, **outcome}) + "\n")
    else:
        show(options.name, outcome)
    if outcome.get("violations"):
        sys.exit(1)


def show(name: str, outcome: dict[str, Any]) -> None:
    columns = list(dict.fromkeys(column for row in outcome["rows"].values() for column in row))
    table = Table(Column("", no_wrap=True), *columns, title=f"{name} ({outcome['unit']})")
    for label, row in outcome["rows"].items():
        table.add_row(label, *(cell(row.get(column, "")) for column in columns))
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(table)
    if outcome.get("note"):
        console.print(outcome["note"])


def cell(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


if __name__ == "__main__":
    main()
