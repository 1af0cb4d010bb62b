"""One side of a large comparison on its way: what was set aside of it, and what is known."""

import math
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.entry_spill import EntrySpill
from app.domain.reconciliation.kernels.hashing import Seeds
from app.domain.reconciliation.kernels.scanning import BY_KEY, BY_TEXT, INDEXED, Layout, Scanned
from app.domain.reconciliation.kernels.texts import EMPTY_IS_NULL, IGNORE_CASE, TRIM
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import Side
from app.domain.reconciliation.residue import Residue, ResidueSpill
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.scan import Extent, SideScanner

_MOST_PARTITION_BITS = 10
_USUAL_ROW_BYTES = 32
_MARKS_AT_ONCE = 1 << 17  # bytes of bits: their numbers take 64 times as much


class LargeSide:
    def __init__(
        self,
        *,
        source: RowSource,
        seeds: Seeds,
        by_line: bool = False,
        thresholds: Thresholds,
        meter: Meter,
        folder: Path,
        partition_bits: int,
        stack: ExitStack,
    ) -> None:
        self.source = source
        self.folder = folder
        self.partition_bits = partition_bits
        self.layout = layout_of(source, seeds, by_line=by_line)
        self.scanner = SideScanner(source=source, layout=self.layout, thresholds=thresholds, meter=meter)
        rows = source.side.size_bytes // _USUAL_ROW_BYTES
        self.rows = stack.enter_context(EntrySpill(folder=folder, partition_bits=partition_bits, rows=rows))
        self.keys = self.rows
        if source.keys:
            self.keys = stack.enter_context(EntrySpill(folder=folder, partition_bits=partition_bits, rows=rows))
        self.residue = stack.enter_context(
            ResidueSpill(folder=folder, partition_bits=partition_bits, by_row=source.grouped_by_text)
        )
        self.extent = Extent(rows=0, check=0, index=np.empty(0, np.int64))
        self._residue_check = 0
        self._marks: list[NDArray[np.uint8]] = []

    def scan(self) -> None:
        self.extent = self.scanner.read(self._take)

    def new_marks(self) -> NDArray[np.uint8]:
        """A bit for each row; each thread has its own, since they share bytes."""
        bits = np.zeros((self.extent.rows + 7) // 8, np.uint8)
        self._marks.append(bits)
        return bits

    def marked(self) -> int:
        """How many rows are marked."""
        return int(np.bitwise_count(self._all_marks()).sum())

    def to_pick(self) -> int:
        """How many bytes will about be read again."""
        size_bytes = self.source.side.size_bytes
        return min(size_bytes, size_bytes * self.marked() * INDEXED // max(self.extent.rows, 1))

    def pick(self, weight: float) -> None:
        """Reads the marked records again; each byte counts for so much of the progress."""
        marks = self._all_marks()
        for start in range(0, len(marks), _MARKS_AT_ONCE):
            bits = np.unpackbits(marks[start : start + _MARKS_AT_ONCE], bitorder="little")
            numbers = np.flatnonzero(bits) + 8 * start
            by_line = self.layout.by_line
            for picked, scanned in self.scanner.pick(numbers, self.extent.index, by_line=by_line, weight=weight):
                self._residue_check += int(scanned.checks.sum(dtype=np.uint64))
                self.residue.add(residue_at(picked, scanned))
        self.residue.flush()

    def common_check(self) -> int:
        """The sum of the second hashes of the rows that are common."""
        return (self.extent.check - self._residue_check) % 2**64

    def records(self, numbers: NDArray[np.int64]) -> dict[int, tuple[bytes, int]]:
        """The records of a few rows, each with the hash of its group, by their numbers."""
        found = {}
        for picked, scanned in self.scanner.pick(np.unique(numbers), self.extent.index):
            residue = residue_at(picked, scanned)
            for place, number in enumerate(picked.tolist()):
                found[number] = (residue.record(place), int(scanned.groups[place]))
        return found

    def row_hashes(self, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The hashes of the cells of a few rows, in the order of the numbers."""
        ascending = np.unique(numbers)
        found = [scanned.rows.copy() for _, scanned in self.scanner.pick(ascending, self.extent.index)]
        hashes: NDArray[np.uint64] = np.concatenate([np.empty(0, np.uint64), *found])[
            np.searchsorted(ascending, numbers)
        ]
        return hashes

    def are_marked(self, numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
        marked: NDArray[np.bool_] = (self._all_marks()[numbers >> 3] >> (numbers & 7).astype(np.uint8)) & 1 == 1
        return marked

    def _all_marks(self) -> NDArray[np.uint8]:
        if len(self._marks) > 1:
            self._marks = [np.bitwise_or.reduce(self._marks)]
        return self._marks[0] if self._marks else np.empty(0, np.uint8)

    def _take(self, scanned: Scanned) -> None:
        self.rows.add(scanned.rows)
        if self.source.keys:
            self.keys.add(scanned.groups)


def partition_bits_for(left: Side, right: Side, thresholds: Thresholds) -> int:
    """So many that a partition of the larger side is about as large as it may be."""
    partitions = max(left.size_bytes / thresholds.partition_bytes, right.size_bytes / thresholds.partition_bytes, 2)
    return min(math.ceil(math.log2(partitions)), _MOST_PARTITION_BITS)


def residue_at(numbers: NDArray[np.int64], scanned: Scanned) -> Residue:
    """What was picked, without a copy: as good as its addresses are."""
    return Residue(
        numbers=numbers,
        rows=scanned.rows,
        groups=scanned.groups,
        totals=np.zeros((len(numbers), 2), np.int64),
        starts=scanned.starts,
        ends=scanned.ends,
        text=np.empty(0, np.uint8),
    )


def layout_of(source: RowSource, seeds: Seeds, *, by_line: bool) -> Layout:
    slots = np.full(len(source.header), -1, np.int64)
    slots[list(source.places)] = np.arange(len(source.places))
    keys = np.full(len(source.places), not source.keys)
    keys[list(source.keys)] = True
    return Layout(
        delimiter=ord(source.side.delimiter),
        slots=slots,
        keys=keys,
        keyed=bool(source.keys),
        by_line=by_line,
        last_key=max((source.places[key] for key in source.keys), default=len(source.header) - 1),
        grouping=BY_TEXT if source.grouped_by_text else BY_KEY,
        options=_flags(source.options),
        seeds=seeds,
    )


def _flags(options: ReconciliationOptions) -> int:
    return (
        (TRIM if options.trim else 0)
        | (IGNORE_CASE if options.ignore_case else 0)
        | (EMPTY_IS_NULL if options.empty_is_null else 0)
    )
