"""One side of a large comparison on its way: what was set aside of it, and what is known."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rbloom import Bloom

from app.domain.reconciliation.buffer import HeldRows
from app.domain.reconciliation.entry_spill import EntrySpill
from app.domain.reconciliation.kernels.hashing import Seeds
from app.domain.reconciliation.kernels.matching import NUMBER, Entries, no_entries, set_bits
from app.domain.reconciliation.kernels.scanning import BY_KEY, BY_TEXT, INDEXED, Layout, Scanned
from app.domain.reconciliation.kernels.texts import EMPTY_IS_NULL, IGNORE_CASE, TRIM
from app.domain.reconciliation.options import ReconciliationOptions, Thresholds
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import Side
from app.domain.reconciliation.residue import Residue, ResidueSpill
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.scan import Extent, SideScanner, bytes_at

_MOST_PARTITION_BITS = 10
_USUAL_ROW_BYTES = 32
_USUAL_PARTITION_ROWS = 1 << 16
_FEWEST_ROW_BYTES = 32  # on the average, of a side that is held: what is kept of each row comes on top of its text
_LOOKED_AT_BYTES = 1 << 16
_MARKS_AT_ONCE = 1 << 15  # bytes of bits: their numbers take 64 times as much


class LargeSide:
    def __init__(
        self,
        *,
        source: RowSource,
        seeds: Seeds,
        by_line: bool = False,
        hold: bool = False,
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
        self._entries = stack.enter_context(EntrySpill(folder=folder, partition_bits=partition_bits, rows=rows))
        self.residue = stack.enter_context(
            ResidueSpill(folder=folder, partition_bits=partition_bits, by_row=source.grouped_by_text)
        )
        self._held = HeldRows(
            source.side.size_bytes if hold else None, most_rows=thresholds.held_bytes // _FEWEST_ROW_BYTES
        )
        self.extent = Extent(rows=0, check=0, index=np.empty(0, np.int64))
        self.left_over = 0
        self._false_positive_rate = thresholds.false_positive_rate
        self.groups = Bloom(1, self._false_positive_rate)  # of what is left over, where rows are grouped by their text
        self._left_over: dict[int, Entries] = {}  # of held rows, by partition
        self._left_over_check = 0
        self._marks = np.empty(0, np.uint8)
        self._lock = threading.Lock()

    def scan(self) -> None:
        self.extent = self.scanner.read(self._take, self._held)

    def pieces(self, partition: int) -> Iterator[Entries]:
        """The entries of a partition, some at a time; several threads may read."""
        return self._entries.pieces(partition)

    def all_entries(self, partition: int) -> Entries:
        return self._entries.read(partition)

    def size(self, partition: int) -> int:
        """The entries of a partition."""
        return self._entries.size(partition)

    def has_records_at_hand(self) -> bool:
        """Whether the records are in memory when partitions are matched."""
        return self.is_held()

    def is_held(self) -> bool:
        """Whether all records are in memory."""
        return self._held.fits

    def let_go(self) -> None:
        """Holds the records no longer: the other side is too large."""
        self._held.drop()

    def leave(self, partition: int, entries: Entries) -> None:
        """Notes rows of a partition that have no equal; several threads may."""
        if self.is_held():
            checks = self._held.checks(entries[:, NUMBER])
            self._left_over[partition] = entries
        with self._lock:
            self.left_over += len(entries)
            if self.is_held():
                self._left_over_check += int(checks.sum(dtype=np.uint64))
            else:
                self._marks = self._marks if len(self._marks) else np.zeros((self.extent.rows + 7) // 8, np.uint8)
                set_bits(entries, self._marks)

    def to_pick(self) -> int:
        """How many bytes will about be read again."""
        if self.is_held():
            return 0
        size_bytes = self.source.side.size_bytes
        return min(size_bytes, size_bytes * self.left_over * INDEXED // max(self.extent.rows, 1))

    def pick(self, weight: float, *, keep: Callable[[Residue], Residue] = lambda picked: picked) -> None:
        """Reads what is left over again, where it is not held; each byte counts for so much of the progress.

        `keep` gives those of the records that are to be settled later; their addresses are good as long as it runs.
        """
        if self.source.grouped_by_text:
            self.groups = Bloom(max(self.left_over, 1), self._false_positive_rate)
        for start in range(0, len(self._marks), _MARKS_AT_ONCE):
            bits = np.unpackbits(self._marks[start : start + _MARKS_AT_ONCE], bitorder="little")
            numbers = np.flatnonzero(bits) + 8 * start
            by_line = self.layout.by_line
            for picked, scanned in self.scanner.pick(numbers, self.extent.index, by_line=by_line, weight=weight):
                self._left_over_check += int(scanned.checks.sum(dtype=np.uint64))
                if self.source.grouped_by_text:
                    self.groups.update(scanned.groups.view(np.int64).data)
                kept = keep(residue_at(picked, scanned))
                if len(kept):
                    self.residue.add(kept, np.zeros(len(kept), np.int64))

    def read(self, partitions: Sequence[int]) -> Residue:
        """What is left over of some partitions; several threads may read."""
        if not self.is_held():
            return self.residue.read(partitions)[0]
        entries = np.concatenate([no_entries(), *(self._left_over.pop(partition) for partition in partitions)])
        starts, ends = self._held.find(entries[:, NUMBER])
        totals = np.zeros((len(entries), 2), np.int64)
        return Residue(entries=entries, totals=totals, starts=starts, ends=ends, held_by=self._held)

    def left_over_bytes(self) -> int:
        """How long the records that are left over are, about."""
        if not self.is_held():
            return self.residue.size_bytes
        return self.source.side.size_bytes * self.left_over // max(self.extent.rows, 1)

    def common_check(self) -> int:
        """The sum of the second hashes of the rows that are common."""
        return (self.extent.check - self._left_over_check) % 2**64

    def records(self, numbers: NDArray[np.int64]) -> dict[int, bytes]:
        """The records of a few rows, by their numbers."""
        if self.is_held():
            starts, ends = self._held.find(numbers)
            return dict(zip(numbers.tolist(), map(bytes_at, starts.tolist(), ends.tolist()), strict=True))
        found = {}
        for picked, scanned in self.scanner.pick(np.unique(numbers), self.extent.index):
            for place, number in enumerate(picked.tolist()):
                found[number] = bytes_at(int(scanned.starts[place]), int(scanned.ends[place]))
        return found

    def row_hashes(self, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        """The hashes of the cells of a few rows, in the order of the numbers."""
        ascending = np.unique(numbers)
        found = [scanned.rows.copy() for _, scanned in self.scanner.pick(ascending, self.extent.index)]
        hashes: NDArray[np.uint64] = np.concatenate([np.empty(0, np.uint64), *found])[
            np.searchsorted(ascending, numbers)
        ]
        return hashes

    def _take(self, scanned: Scanned) -> None:
        counted = scanned.rows if self.source.grouped_by_text else scanned.groups
        self._entries.add(counted, scanned.rows)


def partition_bits_for(left: Side, right: Side, thresholds: Thresholds) -> int:
    """So many that a partition of the larger side is about as large as it may be, in bytes and in rows."""
    partitions = max(
        *(side.size_bytes / thresholds.partition_bytes for side in (left, right)),
        *(_rows_about(side) / _USUAL_PARTITION_ROWS for side in (left, right)),
        2,
    )
    return min(math.ceil(math.log2(partitions)), _MOST_PARTITION_BITS)


def _rows_about(side: Side) -> float:
    with side.open() as stream:
        beginning = stream.read(_LOOKED_AT_BYTES)
    return side.size_bytes * beginning.count(b"\n") / max(len(beginning), 1)


def residue_at(numbers: NDArray[np.int64], scanned: Scanned) -> Residue:
    """What was picked, without a copy: as good as its addresses are."""
    return Residue(
        entries=np.column_stack([scanned.groups.view(np.int64), scanned.rows.view(np.int64), numbers]),
        totals=np.zeros((len(numbers), 2), np.int64),
        starts=scanned.starts,
        ends=scanned.ends,
        held_by=scanned,
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
