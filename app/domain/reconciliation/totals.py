"""How often the key (without keys, the row) of what is left over stands on each side in all; then it is resolved."""

import threading
from contextlib import ExitStack

import numpy as np

from app.domain.reconciliation.exact import Duplicates
from app.domain.reconciliation.kernels.matching import Counts, look_up, repeated
from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.matching import Matching, counted
from app.domain.reconciliation.records import records_of
from app.domain.reconciliation.residue import Residue, ResidueSpill
from app.domain.reconciliation.resolving import Resolver
from app.domain.reconciliation.rows import pack
from app.domain.reconciliation.tally import Occurrence, Tally

_ROWS_AT_ONCE = 1 << 15  # of a side's residue, about


class Totals:
    """The partitions are taken in shares of about as many rows."""

    def __init__(
        self,
        *,
        left: LargeSide,
        right: LargeSide,
        matched: Matching,
        resolver: Resolver,
        tally: Tally,
        stack: ExitStack,
    ) -> None:
        self._sides = (left, right)
        self._resolver = resolver
        self._tally = tally
        self._pairs = matched.pairs
        self._keyed = bool(left.source.keys)
        self._unique = left.layout.by_line  # else rows would not have been told apart by their lines
        self._lock = threading.Lock()
        self._duplicates = (Duplicates(left.source.side.name), Duplicates(right.source.side.name))
        self._samples = matched.samples()
        self._left_records = left.records(np.array([row.left for row in self._samples], np.int64))
        self._right_records = right.records(np.array([row.right for row in self._samples], np.int64))
        self._sample_totals = {row.left: (row.left_rows, row.right_rows) for row in self._samples}
        rows = max(left.residue.count, right.residue.count)
        self._partitions = 1 << left.partition_bits
        self.shares = min(max(rows // _ROWS_AT_ONCE, 1), self._partitions)
        if self._keyed and not self._unique:
            self.shares = max(self.shares, min(self._partitions, 4))
        self._shift = np.uint64(64 - left.partition_bits)
        self._regrouped = tuple(
            stack.enter_context(ResidueSpill(folder=side.folder, partition_bits=side.partition_bits))
            for side in self._sides
            if side.source.grouped_by_text
        )

    def resolve(self, share: int) -> None:
        """Looks up and resolves one share of the partitions."""
        partitions = self._share(share)
        left, right = (side.residue.read(*partitions) for side in self._sides)
        if not self._unique and (self._keyed or len(left.numbers) or len(right.numbers)):
            for partition in partitions:
                self._look_up(partition, left, right)
        if self._regrouped:
            with self._lock:
                for spill, residue in zip(self._regrouped, (left, right), strict=True):
                    spill.add(residue)
        else:
            self._resolver.resolve(left, right)

    def resolve_regrouped(self, share: int) -> None:
        """The same, where rows are grouped by another hash than they are counted by."""
        with self._lock:
            for spill in self._regrouped:
                spill.flush()
        left, right = (spill.read(*self._share(share)) for spill in self._regrouped)
        self._resolver.resolve(left, right)

    def report(self) -> None:
        """The common rows and their samples; the keys that stand more than once."""
        sampled = 0
        for row in self._samples:
            left = self._occurrence(0, row.left, self._left_records[row.left][0])
            right = self._occurrence(1, row.right, self._right_records[row.right][0])
            self._tally.common(row.pairs, left, right, self._sample_totals[row.left])
            sampled += row.pairs
        self._tally.add_common(self._pairs - sampled)
        for duplicates in self._duplicates:
            duplicates.report(self._tally)

    def _share(self, share: int) -> range:
        return range(share * self._partitions // self.shares, (share + 1) * self._partitions // self.shares)

    def _look_up(self, partition: int, left: Residue, right: Residue) -> None:
        counts = counted(self._sides[0].keys, self._sides[1].keys, partition)
        for residue in (left, right):
            hashes = residue.groups if self._keyed else residue.rows
            here = np.flatnonzero(hashes >> self._shift == np.uint64(partition))
            totals = np.empty((len(here), 2), np.int64)
            look_up(counts, hashes[here], totals)
            residue.totals[here] = totals
        if self._keyed:
            with self._lock:
                self._look_up_samples(partition, counts)
                self._take_repeated(counts)

    def _look_up_samples(self, partition: int, counts: Counts) -> None:
        here = [row.left for row in self._samples if self._left_records[row.left][1] >> int(self._shift) == partition]
        hashes = np.array([self._left_records[number][1] for number in here], np.uint64)
        totals = np.empty((len(here), 2), np.int64)
        look_up(counts, hashes, totals)
        for number, (on_left, on_right) in zip(here, totals.tolist(), strict=True):
            self._sample_totals[number] = (on_left, on_right)

    def _take_repeated(self, counts: Counts) -> None:
        for place, side in enumerate(self._sides):
            examples = np.empty(Duplicates.MOST_EXAMPLES, np.int64)
            keys, rows, most, equals = repeated(counts, place == 0, examples)
            if keys:
                records = [record for record, _ in side.records(examples[:equals]).values()]
                source = side.source
                cells = [source.canonical(cells) for cells in records_of(records, source.side)]
                packed = [pack([row[key] for key in source.keys]) for row in cells]
                self._duplicates[place].merge(keys=keys, rows=rows, most=most, examples=packed, equals=equals)

    def _occurrence(self, side: int, number: int, record: bytes) -> Occurrence:
        source = self._sides[side].source
        cells = next(iter(records_of([record], source.side)))
        _, _, canonical, written = source.row(number, cells)
        return Occurrence(number, canonical, written)
