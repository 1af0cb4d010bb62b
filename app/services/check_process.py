"""A process that looks at an output for checks with queries: DuckDB's limit bounds tables, and no single huge value.

Standard input brings the request, standard output takes the measures. The worker kills it when nobody wants to know.
"""

import asyncio
import shutil
import sys
from asyncio import create_subprocess_exec as create_process
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from app.domain.checks.checks import DataCheck, checks_of
from app.domain.checks.results import Measure
from app.domain.checks.rules import rule_of
from app.domain.outputs import OutputColumn, OutputFormat, StoredOutput
from app.outputs.inspection import Inspection
from app.services.process_limits import die_with_parent, let_others_go_first, limit_memory

MEMORY_BYTES = 2**30


async def inspected_apart(
    checks: Sequence[DataCheck], *, path: Path, output: StoredOutput, spill_dir: Path
) -> list[Measure] | None:
    """The measures in the order of the checks; None where the process has died of them. Being cancelled ends it."""
    spill = spill_dir / uuid4().hex  # what a killed process has spilled goes as well
    request = {
        "checks": [check.to_document() for check in checks],
        "path": str(path),
        "output": asdict(output),
        "spill_dir": str(spill),
        "memory_bytes": MEMORY_BYTES,
    }
    process = await create_process(
        sys.executable,
        "-m",
        "app.services.check_process",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the worker, which ends this process with it
    )
    try:
        answer, _ = await process.communicate(orjson.dumps(request))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        shutil.rmtree(spill, ignore_errors=True)
    return [_measure(each) for each in orjson.loads(answer)] if process.returncode == 0 else None


def answered(request: dict[str, Any]) -> list[Measure]:
    columns = tuple(OutputColumn(**column) for column in request["output"]["columns"])
    facts = {**request["output"], "columns": columns, "format": OutputFormat(request["output"]["format"])}
    inspection = Inspection(
        path=Path(request["path"]), output=StoredOutput(**facts), spill_dir=Path(request["spill_dir"])
    )
    return inspection.run([rule_of(check) for check in checks_of(request["checks"])])


def main() -> None:
    die_with_parent()
    let_others_go_first()
    request = orjson.loads(sys.stdin.buffer.read())
    Path(request["spill_dir"]).mkdir(parents=True)
    limit_memory(request["memory_bytes"])
    sys.stdout.buffer.write(orjson.dumps(answered(request)))


def _measure(document: dict[str, Any]) -> Measure:
    newest = document["newest"]
    return Measure(**{**document, "newest": None if newest is None else datetime.fromisoformat(newest)})


if __name__ == "__main__":
    main()
