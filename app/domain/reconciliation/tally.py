"""Where every path leaves what it found: counts, per-column statistics, samples, and the sink of all differences."""

import sys
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.domain.reconciliation.cells import Numbers, order_of
from app.domain.reconciliation.mapping import ColumnMapping
from app.domain.reconciliation.result import ColumnDifference, DifferenceKind, RowDifference
from app.domain.reconciliation.rows import unpack
from app.domain.reconciliation.tolerance import distance

DifferenceSink = Callable[[RowDifference], None]
Order = tuple[tuple[int, Decimal, str], ...]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A row of one side as it stands first in its file."""

    number: int
    canonical: bytes
    written: bytes | None

    def cells(self) -> tuple[str | None, ...]:
        return unpack(self.written or self.canonical)


@dataclass(order=True, frozen=True, slots=True)
class _Sample:
    order: tuple[object, ...]
    difference: RowDifference


class _Samples:
    """The lowest few by an order that no two entries share."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lowest: list[_Sample] = []

    def wants(self, first: object) -> bool:
        """Whether an order that begins with `first` can still be among the lowest."""
        if len(self._lowest) < self._limit:
            return True
        return bool(self._lowest) and first <= self._lowest[-1].order[0]  # type: ignore[operator] # orders of one kind

    def add(self, order: tuple[object, ...], difference: RowDifference) -> None:
        insort(self._lowest, _Sample(order, difference))
        del self._lowest[self._limit :]

    def differences(self) -> tuple[RowDifference, ...]:
        return tuple(sample.difference for sample in self._lowest)


class Tally:
    """Collects the outcome; which path feeds it, and in which order, does not show in it."""

    def __init__(self, *, mapping: Sequence[ColumnMapping], sample_limit: int, sink: DifferenceSink) -> None:
        self.left_rows = 0
        self.right_rows = 0
        self.counts = dict.fromkeys(DifferenceKind, 0)
        self.warnings: list[str] = []
        self._mapping = tuple(mapping)
        self._keys = [place for place, pair in enumerate(mapping) if pair.key]
        # Samples are ordered by the key first: so a reader finds one key's rows together.
        self._order = [*self._keys, *(place for place, pair in enumerate(mapping) if not pair.key)]
        self._sink = sink
        self._samples = {kind: _Samples(sample_limit) for kind in DifferenceKind}
        self._changed = [0] * len(mapping)
        self._greatest: list[Decimal | None] = [None] * len(mapping)
        self._numbers = Numbers()

    def common(self, rows: int, left: Occurrence, right: Occurrence, counts: tuple[int, int]) -> None:
        """Pairs of equal rows, or of rows within the tolerance."""
        self.counts[DifferenceKind.COMMON] += rows
        samples = self._samples[DifferenceKind.COMMON]
        if samples.wants(left.number):
            difference = self._difference(DifferenceKind.COMMON, rows, left=left, right=right, counts=counts)
            samples.add((left.number, right.number), difference)

    def add_common(self, rows: int) -> None:
        """Pairs of equal rows that are no samples."""
        self.counts[DifferenceKind.COMMON] += rows

    def left_only(self, rows: int, left: Occurrence, counts: tuple[int, int]) -> None:
        difference = self._difference(DifferenceKind.LEFT_ONLY, rows, left=left, right=None, counts=counts)
        self._differ(difference, left, None)

    def right_only(self, rows: int, right: Occurrence, counts: tuple[int, int]) -> None:
        difference = self._difference(DifferenceKind.RIGHT_ONLY, rows, left=None, right=right, counts=counts)
        self._differ(difference, None, right)

    def changed(
        self, rows: int, left: Occurrence, right: Occurrence, counts: tuple[int, int], places: Sequence[int]
    ) -> None:
        """Pairs of one key that differ at these places of the mapping."""
        left_cells, right_cells = unpack(left.canonical), unpack(right.canonical)
        for place in places:
            self._changed[place] += rows
            one, other = self._numbers[left_cells[place]], self._numbers[right_cells[place]]
            if one is not None and other is not None:
                apart = distance(one, other)
                greatest = self._greatest[place]
                self._greatest[place] = apart if greatest is None else max(greatest, apart)
        difference = self._difference(
            DifferenceKind.CHANGED, rows, left=left, right=right, counts=counts, places=places
        )
        self._differ(difference, left, right)

    def columns(self) -> tuple[ColumnDifference, ...]:
        if not self._keys:
            return ()
        return tuple(
            ColumnDifference(
                left=pair.left,
                right=pair.right,
                differing_row_count=changed,
                max_absolute_difference=None if greatest is None else min(float(greatest), sys.float_info.max),
            )
            for pair, changed, greatest in zip(self._mapping, self._changed, self._greatest, strict=True)
            if not pair.key
        )

    def samples(self) -> dict[DifferenceKind, tuple[RowDifference, ...]]:
        return {kind: samples.differences() for kind, samples in self._samples.items()}

    def key_text(self, canonical_key: bytes) -> str:
        """A key in words, for warnings."""
        cells = zip(self._keys, unpack(canonical_key), strict=True)
        return ", ".join(f"{self._mapping[place].left} = {'NULL' if cell is None else cell}" for place, cell in cells)

    def _differ(self, difference: RowDifference, left: Occurrence | None, right: Occurrence | None) -> None:
        self.counts[difference.kind] += difference.rows
        self._sink(difference)
        samples = self._samples[difference.kind]
        cells = [unpack(side.canonical) for side in (left, right) if side is not None]
        if samples.wants(order_of(cells[0][self._order[0]])):
            samples.add(tuple(order_of(row[place]) for row in cells for place in self._order), difference)

    def _difference(
        self,
        kind: DifferenceKind,
        rows: int,
        *,
        left: Occurrence | None,
        right: Occurrence | None,
        counts: tuple[int, int],
        places: Sequence[int] = (),
    ) -> RowDifference:
        left_cells = None if left is None else left.cells()
        right_cells = None if right is None else right.cells()
        row = left_cells or right_cells or ()
        return RowDifference(
            kind=kind,
            rows=rows,
            key=tuple(row[place] for place in self._keys) if self._keys else None,
            left=left_cells,
            right=right_cells,
            changed_columns=tuple(self._mapping[place].left for place in places),
            left_count=counts[0],
            right_count=counts[1],
        )
