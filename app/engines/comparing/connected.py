"""The comparison as a script on a Spark Connect server: its process reads the question from the script's own folder."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.domain.errors import DomainError
from app.engines.comparing.job import Compared, compare
from app.engines.comparing.question import Question

SCRIPT = "from app.engines.comparing.connected import main\n\nmain(spark)\n"
QUESTION = "question"  # in what the runner has to know
RESULT, DIFFERENCES = "result.json", "differences.csv"
PROGRESS = "\x1fprogress "  # begins a line of output that tells a share

_JOB = "job.json"


def main(spark: Any) -> None:
    """Runs in the folder's `work`; leaves a result or an error, and the table of all differences, beside it."""
    folder = Path.cwd().parent
    question = Question.from_document(json.loads((folder / _JOB).read_text(encoding="utf-8"))[QUESTION])
    try:
        compared = compare(spark, question, progress=_tell)
    except DomainError as error:
        outcome = {"error": {"code": str(error.code), "message": error.message}}
    else:
        _write_lines(compared, folder / DIFFERENCES)
        compared.release()
        outcome = {"result": compared.result.to_document()}
    (folder / RESULT).write_text(json.dumps(outcome), encoding="utf-8")


def _write_lines(compared: Compared, path: Path) -> None:
    with path.open("wb") as file:
        file.write(compared.header + b"\n")
        for line in _lines(compared):
            file.write(line + b"\n")


def _lines(compared: Compared) -> Iterator[bytes]:
    for row in compared.lines.toLocalIterator():
        yield bytes(row[0])


def _tell(share: float) -> None:
    with suppress(OSError):  # who listened has gone, and will end this process
        print(f"{PROGRESS}{share}", flush=True)  # noqa: T201 - the way out of a script
