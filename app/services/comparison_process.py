"""A process that compares two files and nothing else, so that neither the event loop nor other jobs feel it.

Standard input brings one line, the request; its end means that nobody waits any more. Standard output gives a line
for each piece of news: progress, and at the end the result or the error.
"""

import os
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from app.domain.errors import DomainError
from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.progress import ComparisonCancelledError
from app.domain.reconciliation.records import Side
from app.services.comparison_request import OUT_OF_MEMORY, TOO_LITTLE_MEMORY, ComparisonRequest, SideFile
from app.services.process_limits import die_with_parent, let_others_go_first, limit_memory

SAMPLES_BYTES = 4 * 2**20  # of all kinds together


def run(request: ComparisonRequest, *, cancelled: threading.Event) -> dict[str, Any]:
    """The last line of news."""
    limit = request.memory_limit_bytes
    thresholds = request.thresholds if limit is None else request.thresholds.within(limit)
    try:
        with Path(request.differences_path).open("wb") as file:
            table = DifferencesTable(mapping=request.mapping, write=file.write, rewind=lambda: _empty(file))
            result = compare(
                _side(request.left),
                _side(request.right),
                request.mapping,
                request.options,
                thresholds=thresholds,
                spill_dir=Path(request.spill_dir),
                differences=table,
                sample_limit=request.sample_limit,
                progress=lambda share: tell({"progress": share}),
                cancelled=cancelled.is_set,
                compiling=lambda share: tell({"compiling": share}),
            )
            table.finish()
    except ComparisonCancelledError:
        return {"cancelled": True}
    except DomainError as error:
        return _error(str(error.code), error.message)
    except MemoryError:
        return _error(OUT_OF_MEMORY, TOO_LITTLE_MEMORY)
    except OSError as error:
        where = error.filename or Path(request.differences_path).parent
        return _error("STORAGE", f"{error.strerror} ({where}): free space there, then run the reconciliation again.")
    document = result.to_document()
    document["samples"] = samples_within(document["samples"], SAMPLES_BYTES)
    return {"result": document}


def samples_within(samples: dict[str, list[dict[str, Any]]], size_bytes: int) -> dict[str, list[dict[str, Any]]]:
    """As many rows of each kind as may be kept with the run, in a database that takes no row of any size.

    Every differing row is in the file of differences.
    """
    kept: dict[str, list[dict[str, Any]]] = {kind: [] for kind in samples}
    for kind, rows in samples.items():
        room = size_bytes // len(samples)
        for row in rows:
            room -= len(orjson.dumps(row))
            if room < 0:
                break
            kept[kind].append(row)
    return kept


def tell(news: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(news) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    die_with_parent()
    let_others_go_first()
    request = ComparisonRequest.from_line(sys.stdin.buffer.readline())
    if request.memory_limit_bytes is not None:
        limit_memory(request.memory_limit_bytes)
    cancelled = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        cancelled.set()

    threading.Thread(target=watch, daemon=True).start()
    tell(run(request, cancelled=cancelled))
    os._exit(0)  # the watching thread sits in a read that nothing interrupts


def _empty(file: BinaryIO) -> None:
    file.seek(0)
    file.truncate()


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _side(file: SideFile) -> Side:
    path = Path(file.path)
    return Side(open=lambda: path.open("rb"), size_bytes=path.stat().st_size, delimiter=file.delimiter, name=file.name)


if __name__ == "__main__":
    main()
