"""scripts/bench NAME [--json]: prints a table, or one JSON object."""

import argparse
import json
import sys
from importlib import import_module

from rich.console import Console
from rich.table import Table

NAMES = ("engine", "live")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure the platform on this machine.")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    module = import_module(f"tests.benchmarks.{arguments.name}")
    outcome = module.main()
    if arguments.json:
        sys.stdout.write(json.dumps({"benchmark": arguments.name, **outcome}) + "\n")
        return
    columns = list(dict.fromkeys(column for row in outcome["rows"].values() for column in row))
    table = Table("", *columns, title=f"{arguments.name} ({outcome['unit']})")
    for name, row in outcome["rows"].items():
        table.add_row(name, *(f"{row[column]:.4g}" if column in row else "" for column in columns))
    Console().print(table)


if __name__ == "__main__":
    main()
