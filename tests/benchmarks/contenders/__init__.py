"""Programs that compare two files, ours and others', each a process of its own that measures what it is asked."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import environments
from tests.benchmarks.contenders.question import Question

HERE = Path(__file__).parent
OURS, OURS_TO_FILE = "ours", "ours, to file"
FLOORS = ("cat", "wc -l")

POLARS = ("polars>=2.1,<3",)
DATACOMPY = ("datacompy>=1.1,<2",)  # it wants an older pandas and Polars than anybody else
CSVDIFF = "github.com/aswinkarthik/csvdiff@v1.4.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """`reads` gets standard output and standard error; it gives counts and seconds without start-up, where told."""

    name: str
    command: Callable[[Question], Sequence[str]]
    reads: Callable[[str, str], dict[str, Any]] = lambda output, _: dict(json.loads(output.splitlines()[-1]))
    keyed: bool = True
    unkeyed: bool = True
    one_dialect: bool = False  # it cannot read two files that are written in two ways
    missing: str | None = None  # how to install what is not here

    def takes(self, question: Question) -> bool:
        if not (self.keyed if question.key else self.unkeyed):
            return False
        return not self.one_dialect or question.left.columns == question.right.columns


def contenders(*, install: bool) -> list[Contender]:
    """All there are, ours first. Those that want packages of their own get them where `install` says so."""
    ours = (sys.executable, str(HERE / "on_data_phantom.py"))
    duckdb = (sys.executable, str(HERE / "on_duckdb.py"))
    polars, no_polars = _python("polars", POLARS, install=install)
    datacompy, no_datacompy = _python("datacompy", DATACOMPY, install=install)
    csvdiff = shutil.which("csvdiff") or shutil.which("csvdiff", path=environments.cache())
    own = [
        Contender(name=OURS, command=_program(*ours, "tell")),
        Contender(name=OURS_TO_FILE, command=_program(*ours, "file")),
        *(Contender(name=name, command=_floor(name), reads=lambda _, __: {}) for name in FLOORS),
    ]
    peers = [
        Contender(name="DuckDB", command=_program(*duckdb, "join"), unkeyed=False),
        Contender(name="DuckDB", command=_program(*duckdb, "group"), keyed=False),
        Contender(name="EXCEPT ALL", command=_program(*duckdb, "except"), keyed=False),
        Contender(name="Polars", command=_program(*polars, "join"), unkeyed=False, missing=no_polars),
        Contender(name="Polars", command=_program(*polars, "group"), keyed=False, missing=no_polars),
        Contender(name="DataComPy", command=_program(*datacompy, "polars"), unkeyed=False, missing=no_datacompy),
        Contender(name="on pandas", command=_program(*datacompy, "pandas"), unkeyed=False, missing=no_datacompy),
        Contender(
            name="csvdiff",
            command=_csvdiff(csvdiff or ""),
            reads=_read_csvdiff,
            unkeyed=False,
            one_dialect=True,
            missing=None if csvdiff else f"GOBIN={environments.cache()} go install {CSVDIFF}",
        ),
    ]
    return own + peers


def _python(name: str, requirements: tuple[str, ...], *, install: bool) -> tuple[tuple[str, ...], str | None]:
    """The command of what runs on these packages, or how to get them."""
    python = environments.ensure(name, *requirements) if install else environments.find(name, *requirements)
    missing = None if python else f"--install-peers, which makes {environments.cache() / name} of {requirements[0]}"
    return (python or "", str(HERE / f"on_{name}.py")), missing


def _program(*command: str) -> Callable[[Question], Sequence[str]]:
    return lambda question: (*command, question.to_json())


def _floor(tool: str) -> Callable[[Question], Sequence[str]]:
    """Reading alone."""
    return lambda question: ("sh", "-c", f'exec {tool} "$0" "$1" >/dev/null', question.left.path, question.right.path)


def _csvdiff(program: str) -> Callable[[Question], Sequence[str]]:
    def command(question: Question) -> Sequence[str]:
        place = question.left.columns.index(str(question.key))
        options = f"--primary-key {place} --format rowmark"
        script = f'exec "$0" "$1" "$2" {options} >/dev/null'
        return ("sh", "-c", script, program, question.left.path, question.right.path)

    return command


def _read_csvdiff(_output: str, errors: str) -> dict[str, Any]:
    found = dict(re.findall(r"(Additions|Modifications|Deletions) (\d+)", errors))
    names = {"changed": "Modifications", "left_only": "Deletions", "right_only": "Additions"}
    return {"counts": {name: int(found[word]) for name, word in names.items()}}
