"""Comparing where rows are gathered by others: what becomes of a group's rows, and one result of it all.

A cluster makes a row of each record (`rows`), counts equal rows, brings those of one group together, and adds up what
was found. This says what it does with a group and with the sums, with the core's own equality, pairing and texts, so
the answer is the one of the exact method. Nothing here needs more than the standard library.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from app.domain.reconciliation.cells import Numbers, order_of
from app.domain.reconciliation.differences import DifferencesTable
from app.domain.reconciliation.exact import Duplicates
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.options import ReconciliationMethod, ReconciliationOptions
from app.domain.reconciliation.pairing import Pairing, Surplus
from app.domain.reconciliation.result import ColumnDifference, DifferenceKind, ReconciliationResult
from app.domain.reconciliation.rows import unpack
from app.domain.reconciliation.tally import Occurrence, Tally
from app.domain.reconciliation.tolerance import Tolerance, distance
from app.domain.reconciliation.verdict import result_of

Cells = Sequence[str | None]

_EXPONENT_OFFSET = 1 << 31  # exponents are less than five digits, and numbers less than 16 MiB long


@dataclass(frozen=True, kw_only=True, slots=True)
class DistinctRow:
    """Equal rows of both sides, with the first one of each."""

    left_rows: int
    right_rows: int
    left: Occurrence | None
    right: Occurrence | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What has become of `rows` equal rows or pairs; `apart` has the distance of the numbers at the changed places."""

    kind: DifferenceKind
    rows: int
    left: Occurrence | None
    right: Occurrence | None
    left_count: int
    right_count: int
    places: tuple[int, ...] = ()
    apart: tuple[float | None, ...] = ()


class Settlement:
    """Settles the rows of one group that are left over when equal rows have paired."""

    def __init__(self, *, mapping: Sequence[ColumnMapping], options: ReconciliationOptions) -> None:
        self._keyed = any(pair.key for pair in mapping)
        tolerance = Tolerance(absolute=options.absolute_tolerance, relative=options.relative_tolerance)
        self._pairing = Pairing(tolerance=tolerance, keyed=self._keyed, check=lambda: None)
        self._numbers = Numbers()

    def outcomes(self, rows: Iterable[DistinctRow], *, left_count: int, right_count: int) -> Iterator[Outcome]:
        """`left_count` and `right_count` are of the rows that have the key; without keys each row counts for itself."""
        lefts: list[Surplus] = []
        rights: list[Surplus] = []
        stand: dict[bytes, tuple[int, int]] = {}
        for row in rows:
            surplus = row.left_rows - row.right_rows
            occurrence = row.left if surplus > 0 else row.right
            if occurrence is not None and surplus:
                (lefts if surplus > 0 else rights).append(Surplus(occurrence, abs(surplus)))
                stand[occurrence.canonical] = (row.left_rows, row.right_rows)

        def counts(left: Occurrence, right: Occurrence) -> tuple[int, int]:
            return (left_count, right_count) if self._keyed else (stand[left.canonical][0], stand[right.canonical][1])

        if lefts and rights:
            for pair in self._pairing.pairs(lefts, rights):
                kind = DifferenceKind.CHANGED if pair.changed else DifferenceKind.COMMON
                yield self._outcome(kind, pair.rows, pair.left, pair.right, counts(pair.left, pair.right), pair.changed)
        for kind, alone in ((DifferenceKind.LEFT_ONLY, lefts), (DifferenceKind.RIGHT_ONLY, rights)):
            for each in alone:
                if each.rows:
                    left, right = (each.occurrence, None) if alone is lefts else (None, each.occurrence)
                    yield self._outcome(kind, each.rows, left, right, counts(each.occurrence, each.occurrence))

    def _outcome(
        self,
        kind: DifferenceKind,
        rows: int,
        left: Occurrence | None,
        right: Occurrence | None,
        counts: tuple[int, int],
        places: tuple[int, ...] = (),
    ) -> Outcome:
        apart: tuple[float | None, ...] = ()
        if left is not None and right is not None and places:
            one, other = unpack(left.canonical), unpack(right.canonical)
            apart = tuple(self._apart(one[place], other[place]) for place in places)
        return Outcome(
            kind=kind,
            rows=rows,
            left=left,
            right=right,
            left_count=counts[0],
            right_count=counts[1],
            places=places,
            apart=apart,
        )

    def _apart(self, one: str | None, other: str | None) -> float | None:
        left, right = self._numbers[one], self._numbers[other]
        return None if left is None or right is None else min(float(distance(left, right)), sys.float_info.max)


class DifferenceLines:
    """The lines that the table of all differences has for outcomes."""

    def __init__(self, *, mapping: Sequence[ColumnMapping]) -> None:
        self._pieces: list[bytes | memoryview] = []
        self._table = DifferencesTable(mapping=mapping, write=self._pieces.append)
        self._tally = Tally(mapping=mapping, sample_limit=0, sink=self._table)
        self.header = self._written()

    def line(self, outcome: Outcome) -> bytes:
        """Without the line break at its end; nothing for rows that do not differ."""
        tell(self._tally, outcome)
        return self._written()

    def _written(self) -> bytes:
        self._table.finish()
        line = b"".join(self._pieces)
        self._pieces.clear()
        return line.removesuffix(b"\n")


def tell(tally: Tally, outcome: Outcome) -> None:
    """Let a tally hear of an outcome."""
    left, right = outcome.left, outcome.right
    counts = (outcome.left_count, outcome.right_count)
    if left is not None and right is not None:
        if outcome.kind is DifferenceKind.CHANGED:
            tally.changed(outcome.rows, left, right, counts, outcome.places)
        else:
            tally.common(outcome.rows, left, right, counts)
    elif left is not None:
        tally.left_only(outcome.rows, left, counts)
    elif right is not None:
        tally.right_only(outcome.rows, right, counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Totals:
    """All that was added up; `columns` has the changed rows and the greatest distance by the place in the mapping."""

    left_rows: int
    right_rows: int
    counts: Mapping[DifferenceKind, int]
    columns: Mapping[int, tuple[int, float | None]]
    repeated: Sequence[Duplicates] = ()


def merged_result(
    totals: Totals,
    samples: Iterable[Outcome],
    *,
    mapping: Sequence[ColumnMapping],
    options: ReconciliationOptions,
    sample_limit: int,
) -> ReconciliationResult:
    """`samples` are at least the lowest of each kind."""
    tally = Tally(mapping=mapping, sample_limit=sample_limit, sink=lambda _: None)
    for outcome in samples:
        tell(tally, outcome)
    for duplicates in totals.repeated:
        duplicates.report(tally)
    tally.left_rows, tally.right_rows, tally.counts = totals.left_rows, totals.right_rows, dict(totals.counts)
    result = result_of(
        tally, mapping=mapping, options=options, method=ReconciliationMethod.EXACT, false_positive_rate=None
    )
    return replace(result, columns=_columns(mapping, totals.columns))


def _columns(
    mapping: Sequence[ColumnMapping], found: Mapping[int, tuple[int, float | None]]
) -> tuple[ColumnDifference, ...]:
    if not any(pair.key for pair in mapping):
        return ()
    return tuple(
        ColumnDifference(
            left=pair.left,
            right=pair.right,
            differing_row_count=found.get(place, (0, None))[0],
            max_absolute_difference=found.get(place, (0, None))[1],
        )
        for place, pair in enumerate(mapping)
        if not pair.key
    )


def sort_key(rows: Iterable[Cells], places: Sequence[int]) -> bytes:
    """Bytes that ascend as the cells do: for who sorts without Python."""
    return b"".join([_cell_key(row[place]) for row in rows for place in places])


def _cell_key(cell: str | None) -> bytes:
    rank, number, text = order_of(cell)
    match rank:
        case 0:
            return b"\x00"
        case 1:
            return b"\x01" + _number_key(number)
        case _:  # a zero byte ends a text, so one inside of it is marked
            return b"\x02" + text.encode(errors="surrogatepass").replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _number_key(number: Decimal) -> bytes:
    """Sign, then the exponent of the first digit, then the digits; of a negative number the complement of that."""
    if not number:
        return b"\x01"
    digits = "".join(map(str, number.as_tuple().digits)).rstrip("0")
    size = (number.adjusted() + _EXPONENT_OFFSET).to_bytes(5) + digits.encode() + b"\x00"
    return b"\x02" + size if number > 0 else b"\x00" + bytes(255 - byte for byte in size)


def order_places(mapping: Sequence[ColumnMapping]) -> tuple[int, ...]:
    """The key's places first, as samples are ordered."""
    return tuple(sorted(range(len(mapping)), key=lambda place: (not mapping[place].key, place)))
