"""Columns whose values name a row, as far as a sample shows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.domain.reconciliation.confidence import Confidence
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.names import words_of
from app.domain.reconciliation.samples import Kind, SampledColumn

MOST_CANDIDATES = 5
_MOST_COLUMNS_IN_PAIRS = 12  # 66 pairs of them, each a look at every sampled row
_MANY_ROWS = 100  # in fewer, much is unique by chance
_LONGEST_MEAN = 40  # characters of a text that names something, and is no remark
_KEY_WORDS = frozenset({"id", "key", "code", "uuid", "guid", "number", "no", "nr", "num", "pk", "sku", "isin", "iban"})
_TIME_WORDS = frozenset({"date", "day", "week", "month", "year", "hour", "time", "timestamp"})
_OF_KIND = {
    Kind.WHOLE_NUMBER: 2.0,
    Kind.TEXT: 2.0,
    Kind.MOMENT: 1.5,
    Kind.BOOLEAN: 0.0,
    Kind.NUMBER: -1.0,  # a measure, that happens to be there once
    Kind.UNKNOWN: -1.0,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyCandidate:
    """One pair of columns, or two whose values are unique together."""

    columns: tuple[ColumnMapping, ...]
    confidence: Confidence
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MappedColumn:
    left: SampledColumn
    right: SampledColumn

    @property
    def sides(self) -> tuple[SampledColumn, SampledColumn]:
        return self.left, self.right

    @property
    def unique(self) -> bool:
        return self.left.unique and self.right.unique

    @property
    def fitness(self) -> float:
        """How much the column looks like one that names something, apart from its being unique."""
        words = {*words_of(self.left.name), *words_of(self.right.name)}
        named = 3.0 if words & _KEY_WORDS else 1.0 if words & _TIME_WORDS else 0.0
        kind = min(_OF_KIND[side.kind] for side in self.sides)
        return named + kind - (3.0 if self._wordy else 0.0) - self.left.place / 1000

    @property
    def _wordy(self) -> bool:
        texts = [value for side in self.sides if side.kind is Kind.TEXT for value in side.values]
        return sum(map(len, texts)) > _LONGEST_MEAN * len(texts)


def find_keys(columns: Sequence[MappedColumn], *, whole: bool) -> tuple[KeyCandidate, ...]:
    """The best first; pairs only where no single column will do. Nothing is told by samples of one row or none."""
    rows = min((len(side.cells) for each in columns for side in each.sides), default=0)
    if rows < 2:  # noqa: PLR2004 - so that something could stand twice
        return ()
    best_first = sorted(columns, key=lambda each: -each.fitness)
    singles = [_candidate([each], whole=whole) for each in best_first if each.unique]
    if any(each.confidence is not Confidence.LOW for each in singles):
        return tuple(singles[:MOST_CANDIDATES])
    pairs = [_candidate(each, whole=whole) for each in _unique_pairs(best_first)]
    found = sorted([*singles, *pairs], key=lambda each: list(Confidence).index(each.confidence))
    return tuple(found[:MOST_CANDIDATES])


def _unique_pairs(best_first: Sequence[MappedColumn]) -> Iterator[tuple[MappedColumn, MappedColumn]]:
    parts = [
        each
        for each in best_first
        if not each.unique
        and all(side.complete and len(side.values) > 1 and side.kind is not Kind.NUMBER for side in each.sides)
    ]
    for first, second in combinations(parts[:_MOST_COLUMNS_IN_PAIRS], 2):
        if all(_unique_together(*both) for both in zip(first.sides, second.sides, strict=True)):
            yield (first, second)


def _unique_together(first: SampledColumn, second: SampledColumn) -> bool:
    rows = len(first.cells)
    if len(first.values) * len(second.values) < rows:
        return False
    return len(set(zip(first.cells, second.cells, strict=True))) == rows


def _candidate(columns: Sequence[MappedColumn], *, whole: bool) -> KeyCandidate:
    left, right = (len(side.cells) for side in columns[0].sides)
    fitness = min(each.fitness for each in columns)
    named = any({*words_of(each.left.name), *words_of(each.right.name)} & _KEY_WORDS for each in columns)
    many = whole or min(left, right) >= _MANY_ROWS
    if fitness < 1 or not (many or named):
        confidence = Confidence.LOW
    else:
        confidence = Confidence.HIGH if many and named and len(columns) == 1 else Confidence.MEDIUM
    subject = "No value is" if len(columns) == 1 else "Neither column is empty, and no two of their values together are"
    what = f"{subject} {'empty or ' if len(columns) == 1 else ''}there twice"
    where = f"in the {left:,} rows of the left side and the {right:,} of the right"
    seen = f"{what} {where}." if whole else f"{what} {where} that were looked at; others may repeat them."
    return KeyCandidate(
        columns=tuple(ColumnMapping(left=each.left.name, right=each.right.name, key=True) for each in columns),
        confidence=confidence,
        reason=seen,
    )
