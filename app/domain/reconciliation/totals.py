"""How often the key (without keys, the row) of what is left over stands on each side in all."""

import threading
from collections.abc import Iterable

import numpy as np

from app.domain.reconciliation.exact import Duplicates
from app.domain.reconciliation.kernels.matching import GROUP, NUMBER, ROW, Counts, look_up, repeated
from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.matching import Matching, counted, shares_of
from app.domain.reconciliation.records import records_of
from app.domain.reconciliation.residue import Residue
from app.domain.reconciliation.rows import pack
from app.domain.reconciliation.tally import Occurrence, Tally


class Totals:
    """Partitions in which no key stands twice need no look: their rows are told by the pairs that they make."""

    def __init__(self, *, left: LargeSide, right: LargeSide, matching: Matching, tally: Tally) -> None:
        self._sides = (left, right)
        self._matching = matching
        self._tally = tally
        self._keyed = bool(left.source.keys)
        self._lock = threading.Lock()
        self._duplicates = (Duplicates(left.source.side.name), Duplicates(right.source.side.name))
        self._of_samples: dict[int, tuple[int, int]] = {}  # by their numbers on the left

    def look_up(self, partitions: Iterable[int], left: Residue, right: Residue) -> bool:
        """Writes the totals of what is left over of some partitions; False where no key (or row) is looked up."""
        repeating = [partition for partition in partitions if partition in self._matching.repeating]
        if not self._keyed:  # a row that stands once is on its side alone
            left.totals[:, 0], right.totals[:, 1] = 1, 1
        if not repeating:
            return False
        for partition in partitions if self._keyed else repeating:
            shares = shares_of(*self._sides, partition)
            for share in range(shares):
                field = GROUP if self._keyed else ROW
                counts = counted(*self._sides, partition, field, share=share, shares=shares)
                for residue in (left, right):
                    look_up(counts, residue.entries, field, residue.totals)
                if self._keyed:
                    with self._lock:
                        self._look_up_samples(partition, counts)
                        self._take_repeated(counts)
        return True

    def report(self) -> None:
        """The common rows and their samples; the keys that stand more than once."""
        samples = self._matching.samples()
        lefts = self._sides[0].records(np.array([row.left for row in samples], np.int64))
        rights = self._sides[1].records(np.array([row.right for row in samples], np.int64))
        sampled = 0
        for row in samples:
            left = self._occurrence(0, row.left, lefts[row.left])
            right = self._occurrence(1, row.right, rights[row.right])
            totals = self._of_samples.get(row.left, (row.left_rows, row.right_rows))
            self._tally.common(row.pairs, left, right, totals)
            sampled += row.pairs
        self._tally.add_common(self._matching.pairs - sampled)
        for duplicates in self._duplicates:
            duplicates.report(self._tally)

    def _look_up_samples(self, partition: int, counts: Counts) -> None:
        numbers = [row.left for row in self._matching.samples() if row.partition == partition]
        if not numbers:
            return
        for entries in self._sides[0].pieces(partition):
            found = entries[np.isin(entries[:, NUMBER], numbers)]
            totals = np.zeros((len(found), 2), np.int64)
            look_up(counts, found, GROUP, totals)
            for number, (on_left, on_right) in zip(found[:, NUMBER].tolist(), totals.tolist(), strict=True):
                if on_left:
                    self._of_samples[number] = (on_left, on_right)

    def _take_repeated(self, counts: Counts) -> None:
        for place, side in enumerate(self._sides):
            examples = np.empty(Duplicates.MOST_EXAMPLES, np.int64)
            keys, rows, most, equals = repeated(counts, place == 0, examples)
            if keys:
                records = side.records(examples[:equals]).values()
                source = side.source
                cells = [source.canonical(cells) for cells in records_of(list(records), source.side)]
                packed = [pack([row[key] for key in source.keys]) for row in cells]
                self._duplicates[place].merge(keys=keys, rows=rows, most=most, examples=packed, equals=equals)

    def _occurrence(self, side: int, number: int, record: bytes) -> Occurrence:
        source = self._sides[side].source
        cells = next(iter(records_of([record], source.side)))
        _, _, canonical, written = source.row(number, cells)
        return Occurrence(number, canonical, written)
