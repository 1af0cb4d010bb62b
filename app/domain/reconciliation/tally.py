"""Where every path leaves what it found: counts, per-column statistics, samples, and the sink of all differences."""

import sys
from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class BlockSink(Protocol):
    """A sink that takes many differences at once, as lines of the table of differences."""

    def write_block(self, text: memoryview, rows: int) -> None: ...


@runtime_checkable
class RewindableSink(Protocol):
    """A sink that may be able to take back all that it was told."""

    def can_rewind(self) -> bool: ...

    def rewind(self) -> None: ...


@dataclass(order=True, frozen=True, slots=True)
class _Sample:
    order: tuple[object, ...]
    difference: RowDifference = field(compare=False)  # equal rows may be told one by one


class _Samples:
    """The lowest few by an order."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lowest: list[_Sample] = []

    def wants(self, first: object) -> bool:
        """Whether an order that begins with `first` can still be among the lowest."""
        if len(self._lowest) < self._limit:
            return True
        return bool(self._lowest) and first <= self._lowest[-1].order[0]  # type: ignore[operator] # orders of one kind

    def worst(self) -> _Sample | None:
        """The last one, where there are as many as there may be."""
        return self._lowest[-1] if self._lowest and len(self._lowest) == self._limit else None

    def add(self, order: tuple[object, ...], difference: RowDifference) -> None:
        insort(self._lowest, _Sample(order, difference))
        del self._lowest[self._limit :]

    def differences(self) -> tuple[RowDifference, ...]:
        return tuple(sample.difference for sample in self._lowest)


class Tally:
    """Collects the outcome; which path feeds it, and in which order, does not show in it."""

    def __init__(self, *, mapping: Sequence[ColumnMapping], sample_limit: int, sink: DifferenceSink | None) -> None:
        self._mapping = tuple(mapping)
        self._keys = [place for place, pair in enumerate(mapping) if pair.key]
        # Samples are ordered by the key first: so a reader finds one key's rows together.
        self._order = [*self._keys, *(place for place, pair in enumerate(mapping) if not pair.key)]
        self.sink = sink
        self.sample_limit = sample_limit
        self._numbers = Numbers()
        self._clear()

    def can_rewind(self) -> bool:
        return self.sink is None or (isinstance(self.sink, RewindableSink) and self.sink.can_rewind())

    def rewind(self) -> None:
        """Forgets all that it was told."""
        self._clear()
        if isinstance(self.sink, RewindableSink):
            self.sink.rewind()

    def _clear(self) -> None:
        self.left_rows = 0
        self.right_rows = 0
        self.counts = dict.fromkeys(DifferenceKind, 0)
        self.warnings: list[str] = []
        self._samples = {kind: _Samples(self.sample_limit) for kind in DifferenceKind}
        self._changed = [0] * len(self._mapping)
        self._greatest: list[Decimal | None] = [None] * len(self._mapping)
        self._greatest_float = [-1.0] * len(self._mapping)  # of what was told by arrays

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

    def add(self, kind: DifferenceKind, rows: int, *, changed: Sequence[int], greatest: Sequence[float]) -> None:
        """Counts many differences: the changed rows of each column, and how far apart (-1: no numbers)."""
        self.counts[kind] += rows
        for place, count in enumerate(changed):
            self._changed[place] += count
        for place, apart in enumerate(greatest):
            self._greatest_float[place] = max(self._greatest_float[place], apart)

    def tell(
        self,
        kind: DifferenceKind,
        rows: int,
        left: Occurrence | None,
        right: Occurrence | None,
        counts: tuple[int, int],
        places: Sequence[int],
    ) -> None:
        """Passes a difference on that is counted already."""
        if self.sink is not None:
            self.sink(self._difference(kind, rows, left=left, right=right, counts=counts, places=places))

    def sample(
        self,
        kind: DifferenceKind,
        rows: int,
        left: Occurrence | None,
        right: Occurrence | None,
        counts: tuple[int, int],
        places: Sequence[int],
    ) -> None:
        """Takes a difference that is counted already among the samples, where it belongs there."""
        self._take_sample(
            self._difference(kind, rows, left=left, right=right, counts=counts, places=places), left, right
        )

    def worst_sample(self, kind: DifferenceKind) -> RowDifference | None:
        """The last of as many samples as are wanted, or None."""
        worst = self._samples[kind].worst()
        return None if worst is None else worst.difference

    def last_common_sample(self) -> int:
        """No row of the left side behind this one can still be among the common samples."""
        worst = self._samples[DifferenceKind.COMMON].worst()
        return sys.maxsize if worst is None else int(worst.order[0])  # type: ignore[call-overload] # common rows are ordered by their numbers

    def left_names(self) -> list[str]:
        return [pair.left for pair in self._mapping]

    def columns(self) -> tuple[ColumnDifference, ...]:
        if not self._keys:
            return ()
        return tuple(
            ColumnDifference(
                left=pair.left,
                right=pair.right,
                differing_row_count=changed,
                max_absolute_difference=self._furthest(place),
            )
            for place, (pair, changed) in enumerate(zip(self._mapping, self._changed, strict=True))
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
        if self.sink is not None:
            self.sink(difference)
        self._take_sample(difference, left, right)

    def _furthest(self, place: int) -> float | None:
        """Floats that are nearest to exact values: the greatest of them is nearest to the greatest value."""
        greatest = self._greatest[place]
        furthest = max(-1.0 if greatest is None else float(greatest), self._greatest_float[place])
        return None if furthest < 0 else min(furthest, sys.float_info.max)

    def _take_sample(self, difference: RowDifference, left: Occurrence | None, right: Occurrence | None) -> None:
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
