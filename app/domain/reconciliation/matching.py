"""Which rows are on both sides: hashes are counted, partition by partition, and what one side has more is marked."""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.entry_spill import EntrySpill
from app.domain.reconciliation.kernels.matching import Counts, count, first_pairs, mark, new_counts, surplus
from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.progress import Meter

_SAMPLE_ROWS = 256
_FIRST_SLOTS = 1 << 18  # a larger table is made only for as many distinct hashes


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonRows:
    """A row that is on both sides: its first numbers there, and how often it stands there."""

    left: int
    right: int
    left_rows: int
    right_rows: int

    @property
    def pairs(self) -> int:
        return min(self.left_rows, self.right_rows)


class Matching:
    """Each thread matches partitions of its own."""

    def __init__(self, *, left: LargeSide, right: LargeSide, sample_limit: int, meter: Meter) -> None:
        self._left = left
        self._right = right
        self._sample_limit = sample_limit
        self._meter = meter
        self._lock = threading.Lock()
        self._own = threading.local()
        self._samples: list[CommonRows] = []
        self.pairs = 0
        self.keys_repeat = False  # found out where rows are told apart by their lines

    def match(self, partition: int) -> None:
        self._meter.check()
        if self._left.layout.by_line and counted(self._left.keys, self._right.keys, partition).repeat():
            self.keys_repeat = True
            return
        counts = counted(self._left.rows, self._right.rows, partition)
        more = np.empty(len(counts.hashes), np.int64)
        pairs, differing = surplus(counts, more)
        samples = self._first(counts)
        with self._lock:
            self.pairs += pairs
            self._samples = sorted([*self._samples, *samples], key=lambda row: row.left)[: self._sample_limit]
        if differing:
            left_marks, right_marks = self._marks()
            for entries in self._left.rows.read(partition):
                mark(entries, counts, more, True, left_marks)  # noqa: FBT003 - a kernel takes no keywords
            for entries in self._right.rows.read(partition):
                mark(entries, counts, more, False, right_marks)  # noqa: FBT003 - likewise

    def written_otherwise(self) -> bool:
        """Whether most lines that differ are other writings of equal rows, by a sample of rows of the same key."""
        for partition in range(1 << self._left.partition_bits):
            counts = counted(self._left.keys, self._right.keys, partition)
            on_both = np.flatnonzero((counts.first_left >= 0) & (counts.first_right >= 0))
            lefts, rights = counts.first_left[on_both], counts.first_right[on_both]
            marked = np.flatnonzero(self._left.are_marked(lefts))[:_SAMPLE_ROWS]
            if len(marked):
                left, right = self._left.row_hashes(lefts[marked]), self._right.row_hashes(rights[marked])
                return bool(np.count_nonzero(left == right) * 2 > len(marked))
        return False

    def samples(self) -> list[CommonRows]:
        """The first common rows of the left side."""
        return self._samples

    def _first(self, counts: Counts) -> list[CommonRows]:
        found = np.empty(self._sample_limit, np.int64)
        slots = found[: first_pairs(counts, found)]
        columns = (counts.first_left, counts.first_right, counts.left, counts.right)
        return [
            CommonRows(left=left, right=right, left_rows=left_rows, right_rows=right_rows)
            for left, right, left_rows, right_rows in zip(*(column[slots].tolist() for column in columns), strict=True)
        ]

    def _marks(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        if not hasattr(self._own, "marks"):
            self._own.marks = (self._left.new_marks(), self._right.new_marks())
        marks: tuple[NDArray[np.uint8], NDArray[np.uint8]] = self._own.marks
        return marks


def counted(left: EntrySpill, right: EntrySpill, partition: int) -> Counts:
    """How often each hash of a partition is on each side."""
    most = max(left.size(partition), right.size(partition), 1)
    slots = min(1 << (2 * most).bit_length(), _FIRST_SLOTS)
    while True:
        counts = new_counts(slots)
        known = 0
        for spill, on_left in ((left, True), (right, False)):
            for entries in spill.read(partition):
                known = -1 if known < 0 else count(entries, counts, on_left, known)
        if known >= 0:
            return counts
        slots *= 4
