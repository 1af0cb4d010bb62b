"""The comparison of large sides: filters set apart what is surely missing, and the rest is verified by partitions.

Each side is counted, then read once: its rows go to disk, in partitions by the hash of their group (the key, or the row
itself), and their groups into a filter. A filter never denies a group that it holds. So a left row whose group the
right filter denies is left-only for certain, and if its own side holds the group but once it is told at once, without
being looked up. All other rows are candidates, compared exactly, one partition in memory at a time. A false positive
makes a candidate more, never another answer; nor does a hash collision matter, since rows are compared in full.

Memory: two filters of some 10 bits a row at 1 %, two of a tenth of that for repeated groups, and one partition. Rows
that a partition cannot part stay together: those of one key, and, with a tolerance and no keys, those that are equal
but for their numbers.

Without verification the filters alone answer: see `estimate`.
"""

import math
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from rbloom import Bloom

from app.domain.reconciliation.exact import Duplicates, Pool
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import CHECK_EVERY_ROWS, Meter
from app.domain.reconciliation.records import CHUNK_BYTES
from app.domain.reconciliation.rows import Row, RowSource
from app.domain.reconciliation.spill import Spill
from app.domain.reconciliation.tally import Occurrence, Tally

COUNT_WEIGHT = 0.05  # counting lines costs a twentieth of parsing them, as measured
VERIFY_WEIGHT = 0.2  # and a byte on disk a fifth of a byte of CSV
MOST_PARTITIONS = 512  # each has a write buffer for either side
_REPEATED_SHARE = 10  # the filter of repeated groups is sized for a tenth of the rows; when fuller, it only prunes less


class GroupFilter:
    """The groups of one side, and which of them stand there more than once."""

    def __init__(self, *, rows: int, false_positive_rate: float) -> None:
        self.seen = Bloom(max(rows, 1), false_positive_rate)
        self._repeated = Bloom(max(rows // _REPEATED_SHARE, 1000), false_positive_rate)

    def add(self, groups: list[bytes]) -> None:
        seen = self.seen
        self._repeated.update([group for group in groups if group in seen])
        distinct = set(groups)
        if len(distinct) < len(groups):
            for group in groups:  # repeated within this very batch
                if group in distinct:
                    distinct.remove(group)
                else:
                    self._repeated.add(group)
        seen.update(groups)

    def surely_once(self, group: bytes) -> bool:
        return group not in self._repeated


class FilteredComparison:
    def __init__(
        self, *, left: RowSource, right: RowSource, tally: Tally, thresholds: Thresholds, meter: Meter
    ) -> None:
        self._left = left
        self._right = right
        self._tally = tally
        self._thresholds = thresholds
        self._meter = meter

    def verified(self, *, pairing: Pairing, keyed: bool, spill_folder: Path) -> None:
        """The exact answer, in bounded memory."""
        largest = max(self._left.side.size_bytes, self._right.side.size_bytes)
        partitions = min(max(math.ceil(largest / self._thresholds.partition_bytes), 1), MOST_PARTITIONS)
        with (
            Spill(folder=spill_folder, partitions=partitions) as left_rows,
            Spill(folder=spill_folder, partitions=partitions) as right_rows,
        ):
            left_groups = self._store(self._left, left_rows)
            right_groups = self._store(self._right, right_rows)
            self._meter.expect((left_rows.size_bytes + right_rows.size_bytes) * VERIFY_WEIGHT)
            left_keys, right_keys = Duplicates(self._left.side.name), Duplicates(self._right.side.name)
            for partition in range(partitions):
                pool = Pool(tally=self._tally, pairing=pairing, keyed=keyed, meter=self._meter)
                for rows in self._stored(left_rows, partition):
                    pool.take_left(self._sift_left(rows, left_groups, right_groups.seen))
                for rows in self._stored(right_rows, partition):
                    pool.take_right(self._sift_right(rows, right_groups, left_groups.seen))
                pool.settle()
                left_keys.add(pool.left_keys)
                right_keys.add(pool.right_keys)
            left_keys.report(self._tally)
            right_keys.report(self._tally)

    def _store(self, source: RowSource, spill: Spill) -> GroupFilter:
        """The filter is sized from the rows counted beforehand: one of a guessed size may call everything common."""
        rows = max(count_lines(source, self._meter), self._thresholds.estimated_rows)
        groups = GroupFilter(rows=rows, false_positive_rate=self._thresholds.false_positive_rate)
        for batch in batches(source.rows(self._meter.advance)):
            groups.add([spill.add(row) for row in batch])
        return groups

    def _stored(self, spill: Spill, partition: int) -> Iterator[list[Row]]:
        for size_bytes, rows in spill.batches(partition):
            self._meter.advance(size_bytes * VERIFY_WEIGHT)
            yield rows

    def _sift_left(self, rows: list[Row], own: GroupFilter, other: Bloom) -> Iterator[Row]:
        """Tells the rows that are surely missing on the right and single on the left; gives the candidates."""
        for row in rows:
            number, group, canonical, written = row
            where = canonical if group is None else group
            if where in other or not own.surely_once(where):
                yield row
            else:
                self._tally.left_rows += 1
                self._tally.left_only(1, Occurrence(number, canonical, written), (1, 0))

    def _sift_right(self, rows: list[Row], own: GroupFilter, other: Bloom) -> Iterator[Row]:
        for row in rows:
            number, group, canonical, written = row
            where = canonical if group is None else group
            if where in other or not own.surely_once(where):
                yield row
            else:
                self._tally.right_rows += 1
                self._tally.right_only(1, Occurrence(number, canonical, written), (0, 1))


def count_lines(source: RowSource, meter: Meter) -> int:
    """At least as many as there are rows: line breaks within quotes count too."""
    lines = 1
    with source.side.open() as stream:
        while chunk := stream.read(CHUNK_BYTES):
            lines += chunk.count(b"\n")
            meter.advance(len(chunk) * COUNT_WEIGHT)
    return lines


def batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, CHECK_EVERY_ROWS)):
        yield batch
