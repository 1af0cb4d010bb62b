"""Two tables as files, compared on this machine and as a job of Spark's."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import Side
from app.domain.reconciliation.result import ReconciliationResult
from app.engines.comparing import job
from app.engines.comparing.question import ComparedOutput, Question


@dataclass(frozen=True, kw_only=True)
class Case:
    """Names are `k` for keys and others for all else, the same on both sides."""

    left: bytes
    right: bytes
    names: Sequence[str] = ("k", "a", "b")
    delimiters: tuple[str, str] = (",", ",")
    options: ReconciliationOptions = field(default_factory=ReconciliationOptions)
    sample_limit: int = 100

    @property
    def mapping(self) -> tuple[ColumnMapping, ...]:
        return tuple(ColumnMapping(left=name, right=name, key=name.startswith("k")) for name in self.names)


Answer = tuple[ReconciliationResult, list[bytes]]


def here(case: Case, folder: Path) -> Answer:
    """By the exact method of this machine; the table's lines without the header, in their order."""
    pieces: list[bytes] = []
    table = DifferencesTable(mapping=case.mapping, write=pieces.append)
    sides = [
        Side(open=_path(folder, side, text).open_rb, size_bytes=len(text), delimiter=delimiter, name=f"The {side} side")
        for side, text, delimiter in zip(("left", "right"), (case.left, case.right), case.delimiters, strict=True)
    ]
    result = compare(
        sides[0],
        sides[1],
        case.mapping,
        replace(case.options, method=ReconciliationMethod.EXACT),
        thresholds=Thresholds(),
        spill_dir=folder,
        differences=table,
        sample_limit=case.sample_limit,
    )
    table.finish()
    return result, sorted(b"".join(pieces).split(b"\n"))


def there(case: Case, folder: Path, spark: Any) -> Answer:
    """By the job."""
    compared = job.compare(spark, question(case, folder))
    try:
        lines = [compared.header, *(bytes(row[0]) for row in compared.lines.collect())]
    finally:
        compared.release()
    return compared.result, sorted(b"\n".join([*lines, b""]).split(b"\n"))


def question(case: Case, folder: Path) -> Question:
    left, right = (
        ComparedOutput(
            uri=_path(folder, side, text).path.as_uri(),
            size_bytes=len(text),
            delimiter=delimiter,
            name=f"The {side} side",
        )
        for side, text, delimiter in zip(("left", "right"), (case.left, case.right), case.delimiters, strict=True)
    )
    return Question(left=left, right=right, mapping=case.mapping, options=case.options, sample_limit=case.sample_limit)


@dataclass(frozen=True)
class _File:
    path: Path

    def open_rb(self) -> Any:
        return self.path.open("rb")


def _path(folder: Path, side: str, text: bytes) -> _File:
    path = folder / f"{side}.csv"
    path.write_bytes(text)
    return _File(path)
