"""Ours, as the worker's process does it: `tell` has counts, columns and samples, `file` all differing rows too."""

import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from question import File, Question, answer

from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import Side


def counted(question: Question) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        result = compare(
            _side(question.left),
            _side(question.right),
            _mapping(question),
            ReconciliationOptions(),
            thresholds=Thresholds(),
            spill_dir=Path(folder),
        )
    return _counts(result.to_document())


def filed(question: Question) -> dict[str, Any]:
    from app.services.comparison_process import run  # noqa: PLC0415 - only this way has a use for it
    from app.services.comparison_request import ComparisonRequest, SideFile  # noqa: PLC0415 - likewise

    def file(of: File) -> SideFile:
        return SideFile(name=of.path, path=of.path, delimiter=of.delimiter)

    with tempfile.TemporaryDirectory() as folder:
        request = ComparisonRequest(
            left=file(question.left),
            right=file(question.right),
            mapping=_mapping(question),
            options=ReconciliationOptions(),
            thresholds=Thresholds(),
            spill_dir=folder,
            differences_path=f"{folder}/differences.csv",
        )
        return _counts(run(request, cancelled=threading.Event())["result"])


def _side(file: File) -> Side:
    path = Path(file.path)
    return Side(open=lambda: path.open("rb"), size_bytes=path.stat().st_size, delimiter=file.delimiter, name=path.name)


def _mapping(question: Question) -> tuple[ColumnMapping, ...]:
    return tuple(ColumnMapping(left=name, right=name, key=name == question.key) for name in question.kinds)


def _counts(result: dict[str, Any]) -> dict[str, Any]:
    counts = {name: result[f"{name}_row_count"] for name in ("common", "changed", "left_only", "right_only")}
    if any(pair["key"] for pair in result["mapping"]):
        counts["columns"] = {column["left"]: column["differing_row_count"] for column in result["columns"]}
    return counts


if __name__ == "__main__":
    answer({"tell": counted, "file": filed}[sys.argv.pop(1)])
