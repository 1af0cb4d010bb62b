"""What a reconciliation means, by brute force over values that are listed by hand: the test of every real method."""

import io
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random

from app.domain.reconciliation.compare import compare
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds
from app.domain.reconciliation.records import Side
from app.domain.reconciliation.result import DifferenceKind, ReconciliationResult, RowDifference
from app.engines.comparing.question import ComparedOutput, Question
from tests.support import comparing_job

# A cell's value: a rank (NULL, number, all else) and what tells it apart within the rank, in ascending order.
NULL = (0,)
NUMBERS = {
    "0": Fraction(0), "-0": Fraction(0), "0.0": Fraction(0), "-0.00": Fraction(0), "0e7": Fraction(0),
    "1": Fraction(1), "1.0": Fraction(1), "1e0": Fraction(1), "0.1e1": Fraction(1), "10e-1": Fraction(1),
    "0.1": Fraction(1, 10), ".1": Fraction(1, 10), "1e-1": Fraction(1, 10), "0.10": Fraction(1, 10),
    "0.15": Fraction(3, 20), "0.2": Fraction(1, 5), "0.25": Fraction(1, 4), "0.3": Fraction(3, 10),
    "1.1": Fraction(11, 10), "-1": Fraction(-1), "-1.1": Fraction(-11, 10), "7": Fraction(7),
    "1000": Fraction(1000), "1e3": Fraction(1000), "1010": Fraction(1010),
    "9223372036854775808": Fraction(2**63), "9223372036854775809": Fraction(2**63 + 1),
    "9.223372036854775808e18": Fraction(2**63), "1e400": Fraction(10**400), "10e399": Fraction(10**400),
}  # fmt: skip
OTHERS = {
    "2026-01-05": "2026-01-05", "2026-01-05 00:00:00": "2026-01-05", "2026-01-05T00:00:00Z": "2026-01-05",
    "2026-01-05 00:00": "2026-01-05", "2026-01-05 00:00:00.000 UTC": "2026-01-05",
    "2026-01-05T01:30:00+01:30": "2026-01-05", "2026-01-04 19:00:00-0500": "2026-01-05",
    "2026-01-05 00:00:00.1": "2026-01-05T00:00:00.1", "2026-01-05T00:00:00.100": "2026-01-05T00:00:00.1",
    "true": "true", "TRUE": "true", "True": "true", "false": "false",
    "NaN": "nan", "nan": "nan", "Infinity": "inf", "inf": "inf", "-inf": "-inf",
}  # fmt: skip
TEXTS = [
    "", "a", "A", "a ", " a", "b", "B", "007", "7th", "+7", "1,000", "x|y", "x", "y", ",", "\t", "|", '"', '""', 'a"b',
    "line\nbreak", "cr\r\nlf", "\n", "\r", "é", "É", "\u00a0", "1 ", " 1", "2026-02-30", "2026-01-05 24:00:00", "-",
    ".", "🐘", "NULL", "\\N", "1.", "0x10",
]  # fmt: skip

Value = tuple[object, ...]
Row = tuple[str | None, ...]


def value_of(cell: str | None, options: ReconciliationOptions) -> Value:
    if cell is not None and options.trim:
        cell = cell.strip()
    if cell is None or (options.empty_is_null and cell == ""):
        return NULL
    if cell in NUMBERS:
        return (1, NUMBERS[cell])
    if cell in OTHERS:
        return (2, OTHERS[cell])
    return (2, cell.casefold() if options.ignore_case else cell)


@dataclass
class Expected:
    counts: dict[DifferenceKind, int]
    differing: Counter[tuple[object, ...]]
    columns: dict[int, tuple[int, float | None]]  # those that differ, by place


class Collected(list[RowDifference]):
    """A sink that takes back what it was told."""

    def __call__(self, difference: RowDifference) -> None:
        self.append(difference)

    def can_rewind(self) -> bool:
        return True

    def rewind(self) -> None:
        self.clear()


class Oracle:
    """Rows as they are mapped: the same columns on both sides, in the same order; `keys` are their places."""

    def __init__(self, lefts: list[Row], rights: list[Row], keys: list[int], options: ReconciliationOptions) -> None:
        self.keys = keys
        self.options = options
        self.lefts = [tuple(value_of(cell, options) for cell in row) for row in lefts]
        self.rights = [tuple(value_of(cell, options) for cell in row) for row in rights]
        self.absolute = Fraction(str(options.absolute_tolerance))
        self.relative = Fraction(str(options.relative_tolerance))

    def answer(self) -> Expected:
        lefts, rights = sorted(self.lefts), sorted(self.rights)
        common = self.take_pairs(lefts, rights, lambda row, other: row == other)
        common += self.take_pairs(lefts, rights, self.near)
        expected = Expected({DifferenceKind.COMMON: common}, Counter(), {})
        pairs = sorted(
            (len(self.changed(row, other)), row, other)
            for row in set(lefts)
            for other in set(rights)
            if self.keys and self.key(row) == self.key(other)
        )
        for _, row, other in pairs:
            while row in lefts and other in rights:
                lefts.remove(row)
                rights.remove(other)
                expected.differing[(DifferenceKind.CHANGED, row, other, *self.stand(row, other))] += 1
                for place in self.changed(row, other):
                    count, furthest = expected.columns.get(place, (0, None))
                    if row[place][0] == other[place][0] == 1:
                        furthest = max(furthest or 0.0, as_float(abs(row[place][1] - other[place][1])))
                    expected.columns[place] = (count + 1, furthest)
        expected.counts[DifferenceKind.CHANGED] = sum(expected.differing.values())
        expected.counts[DifferenceKind.LEFT_ONLY] = len(lefts)
        expected.counts[DifferenceKind.RIGHT_ONLY] = len(rights)
        for row in lefts:
            expected.differing[(DifferenceKind.LEFT_ONLY, row, None, *self.stand(row, row))] += 1
        for row in rights:
            expected.differing[(DifferenceKind.RIGHT_ONLY, None, row, *self.stand(row, row))] += 1
        return expected

    def take_pairs(self, lefts, rights, belong) -> int:
        """Takes each left row, in ascending order, with the lowest right row that belongs to it; counts them."""
        taken = 0
        for row in list(lefts):
            partner = next((other for other in rights if belong(row, other)), None)
            if partner is not None:
                lefts.remove(row)
                rights.remove(partner)
                taken += 1
        return taken

    def key(self, row: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple(row[place] for place in self.keys)

    def stand(self, left: tuple[Value, ...], right: tuple[Value, ...]) -> tuple[int, int]:
        if self.keys:
            return (
                sum(self.key(row) == self.key(left) for row in self.lefts),
                sum(self.key(row) == self.key(right) for row in self.rights),
            )
        return self.lefts.count(left), self.rights.count(right)

    def near(self, left: tuple[Value, ...], right: tuple[Value, ...]) -> bool:
        return self.key(left) == self.key(right) and not self.changed(left, right)

    def changed(self, left: tuple[Value, ...], right: tuple[Value, ...]) -> list[int]:
        return [place for place in range(len(left)) if not self.alike(left[place], right[place])]

    def alike(self, one: Value, other: Value) -> bool:
        if one == other:
            return True
        if one[0] != 1 or other[0] != 1:
            return False
        a, b = one[1], other[1]
        return abs(a - b) <= max(self.absolute, self.relative * max(abs(a), abs(b)))


def as_float(number: Fraction) -> float:
    return float(number) if number < 10**308 else 1.7976931348623157e308


def seen_as_values(differences: list[RowDifference], options: ReconciliationOptions) -> Counter[tuple[object, ...]]:
    def values(row: Row | None) -> tuple[Value, ...] | None:
        return None if row is None else tuple(value_of(cell, options) for cell in row)

    seen: Counter[tuple[object, ...]] = Counter()
    for difference in differences:
        entry = (
            difference.kind,
            values(difference.left),
            values(difference.right),
            difference.left_count,
            difference.right_count,
        )
        seen[entry] += difference.rows
    return seen


def side_of(data: bytes | str, *, delimiter: str = ",", name: str = "Left") -> Side:
    content = data.encode() if isinstance(data, str) else data
    return Side(open=lambda: io.BytesIO(content), size_bytes=len(content), delimiter=delimiter, name=name)


def pairs_of(*names: str, keys: tuple[str, ...] = ()) -> tuple[ColumnMapping, ...]:
    return tuple(ColumnMapping(left=name, right=name, key=name in keys) for name in names)


# Tables of the tests are small: the large method has all of them in memory, unless it is told not to.
# That the first rows are in order tells little: where they go on otherwise, all that was told has to be taken back.
HELD = Thresholds(partition_bytes=64, false_positive_rate=0.2, ordered_rows=0, residue_rows=2, block_bytes=16)
IN_STEP = replace(HELD, ordered_rows=2, block_rows=2)
READ_AGAIN = replace(HELD, held_bytes=0)
GATHERED = replace(READ_AGAIN, gathered_share=0.0, sample_bytes=1)


def run_as_job(
    left: Side,
    right: Side,
    mapping: tuple[ColumnMapping, ...],
    options: ReconciliationOptions,
    *,
    sample_limit: int = 100,
) -> tuple[ReconciliationResult, list[RowDifference]]:
    """As many machines compare: by the functions that they are sent."""
    outputs = [
        ComparedOutput(uri="", size_bytes=side.size_bytes, delimiter=side.delimiter, name=side.name)
        for side in (left, right)
    ]
    question = Question(left=outputs[0], right=outputs[1], mapping=mapping, options=options, sample_limit=sample_limit)
    contents = [side.open().read() for side in (left, right)]
    compared = comparing_job.compare(contents[0], contents[1], question, chance=Random(sum(map(len, contents))))  # noqa: S311 - it must be repeatable
    return compared.result, compared.rows


def run(
    left: Side,
    right: Side,
    mapping: tuple[ColumnMapping, ...],
    options: ReconciliationOptions,
    *,
    spill_dir: Path,
    thresholds: Thresholds | None = None,
    sample_limit: int = 100,
) -> tuple[ReconciliationResult, list[RowDifference]]:
    found = Collected()
    result = compare(
        left,
        right,
        mapping,
        options,
        thresholds=thresholds or HELD,
        spill_dir=spill_dir,
        differences=found,
        sample_limit=sample_limit,
    )
    return result, found
