"""The answer of a comparison, and its form as a JSON document."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod


class DifferenceKind(StrEnum):
    LEFT_ONLY = "LEFT_ONLY"
    RIGHT_ONLY = "RIGHT_ONLY"
    CHANGED = "CHANGED"
    COMMON = "COMMON"


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnDifference:
    """How often a column differs within changed rows; the distance is the greatest where both cells are numbers."""

    left: str
    right: str
    differing_row_count: int
    max_absolute_difference: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDifference:
    """`rows` equal rows (or pairs of rows) of one kind, with the cells as they are written, in the mapping's order.

    `left_count` and `right_count` say how often the key stands on each side; without keys, how often the row does.
    `changed_columns` are names of the left side.
    """

    kind: DifferenceKind
    rows: int
    key: tuple[str | None, ...] | None
    left: tuple[str | None, ...] | None
    right: tuple[str | None, ...] | None
    changed_columns: tuple[str, ...]
    left_count: int
    right_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ReconciliationResult:
    """Always: common + changed + left-only = left rows, and common + changed + right-only = right rows.

    `columns` are the mapped columns that are no key; it is empty without keys, where rows have no counterpart, and
    where nothing was verified. Samples: COMMON ones are the first of the left side; the others are the lowest by key
    and cells, whatever the order of the files.
    """

    matched: bool
    left_row_count: int
    right_row_count: int
    common_row_count: int
    changed_row_count: int
    left_only_row_count: int
    right_only_row_count: int
    exact: bool
    false_positive_rate: float | None
    method: ReconciliationMethod
    mapping: tuple[ColumnMapping, ...]
    columns: tuple[ColumnDifference, ...]
    samples: Mapping[DifferenceKind, tuple[RowDifference, ...]]
    warnings: tuple[str, ...]

    @property
    def differing_row_count(self) -> int:
        return self.changed_row_count + self.left_only_row_count + self.right_only_row_count

    def to_document(self) -> dict[str, Any]:
        """Plain JSON values, from which `from_document` makes an equal result."""
        document = asdict(self) | {"method": self.method.value}
        document["samples"] = {
            kind.value: [asdict(row) | {"kind": kind.value} for row in rows] for kind, rows in self.samples.items()
        }
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        samples = {DifferenceKind(kind): tuple(_row(row) for row in rows) for kind, rows in document["samples"].items()}
        return cls(
            **{
                **document,
                "method": ReconciliationMethod(document["method"]),
                "mapping": tuple(ColumnMapping(**pair) for pair in document["mapping"]),
                "columns": tuple(ColumnDifference(**column) for column in document["columns"]),
                "samples": samples,
                "warnings": tuple(document["warnings"]),
            }
        )


def _row(document: Mapping[str, Any]) -> RowDifference:
    lists = {
        name: None if document[name] is None else tuple(document[name])
        for name in ("key", "left", "right", "changed_columns")
    }
    return RowDifference(**{**document, "kind": DifferenceKind(document["kind"]), **lists})
