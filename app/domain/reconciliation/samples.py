"""Some rows of a table, and what can be seen of its columns in them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from app.domain.reconciliation.cells import CanonicalCells, number_of, order_of

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?)?")
_WHOLE = re.compile(r"-?\d+")


@dataclass(frozen=True, kw_only=True, slots=True)
class TableSample:
    """Rows as wide as the header; `whole` where they are all that there are."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[str | None]]
    whole: bool


class Kind(StrEnum):
    """What all values of a column are, in words."""

    UNKNOWN = "no values"
    WHOLE_NUMBER = "whole numbers"
    NUMBER = "numbers"
    MOMENT = "dates or times"
    BOOLEAN = "true and false"
    TEXT = "text"

    def fits(self, other: "Kind") -> bool:
        """Whether values of both can be equal."""
        numbers = {Kind.WHOLE_NUMBER, Kind.NUMBER}
        return self is other or Kind.UNKNOWN in {self, other} or {self, other} == numbers


class SampledColumn:
    """A column's cells as the comparison sees them: equal texts are equal values."""

    def __init__(self, *, name: str, place: int, cells: Sequence[str | None]) -> None:
        self.name = name
        self.place = place
        self.cells = cells

    @cached_property
    def values(self) -> frozenset[str]:
        return frozenset(cell for cell in self.cells if cell is not None)

    @cached_property
    def complete(self) -> bool:
        """Whether no cell is NULL or empty."""
        return all(self.cells)

    @cached_property
    def unique(self) -> bool:
        return self.complete and len(self.values) == len(self.cells)

    @cached_property
    def kind(self) -> Kind:
        kinds = set(map(_kind, self.values))
        if kinds == {Kind.WHOLE_NUMBER, Kind.NUMBER}:
            return Kind.NUMBER
        if not kinds:
            return Kind.UNKNOWN
        return kinds.pop() if len(kinds) == 1 else Kind.TEXT

    @cached_property
    def span(self) -> tuple[str, str] | None:
        """The least and the greatest value of numbers and moments."""
        if self.kind not in {Kind.WHOLE_NUMBER, Kind.NUMBER, Kind.MOMENT}:
            return None
        return min(self.values, key=order_of), max(self.values, key=order_of)

    def shared_with(self, other: "SampledColumn") -> float:
        """Of the values of the column that has fewer: the share that the other one has as well."""
        fewest = min(len(self.values), len(other.values))
        return len(self.values & other.values) / fewest if fewest else 0.0

    def overlaps(self, other: "SampledColumn") -> bool:
        """Whether the values' ranges meet, where they have any."""
        if self.span is None or other.span is None:
            return False
        return order_of(self.span[0]) <= order_of(other.span[1]) and order_of(other.span[0]) <= order_of(self.span[1])


def sampled_columns(sample: TableSample) -> Iterator[SampledColumn]:
    canonical = CanonicalCells()
    for place, name in enumerate(sample.columns):
        yield SampledColumn(name=name, place=place, cells=[canonical[row[place]] for row in sample.rows])


def _kind(value: str) -> Kind:
    if value in {"true", "false"}:
        return Kind.BOOLEAN
    if _MOMENT.fullmatch(value):
        return Kind.MOMENT
    if number_of(value) is None:
        return Kind.NUMBER if value in {"nan", "inf", "-inf"} else Kind.TEXT
    return Kind.WHOLE_NUMBER if _WHOLE.fullmatch(value) else Kind.NUMBER
