"""Which rows have no equal on the other side, partition by partition.

Where the keys of a partition (without keys, its rows) stand once on each side, which is usual, they are joined. Else
the hashes of rows are counted: what one side has more of is its surplus.
"""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.matching import (
    COUNTED,
    FIRST_LEFT,
    FIRST_RIGHT,
    LEFT,
    NUMBER,
    RIGHT,
    ROW,
    Counts,
    Entries,
    count,
    first_equal,
    first_pairs,
    join,
    no_entries,
    pairs,
    surplus,
    unequal,
)
from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.progress import Meter

_SIDES = 2
_SAMPLE_ROWS = 256
_MOST_AT_ONCE = 1 << 21  # entries of a partition; more than that are not spread evenly, and are counted in shares
_MOST_JOINED_ROWS = 1 << 19  # of a partition without keys; in one that has more than others rows repeat, most likely
_FIRST_SLOTS = 1 << 18  # a larger table is made only for as many distinct hashes


@dataclass(frozen=True, kw_only=True, slots=True)
class CommonRows:
    """A row that is on both sides: its partition, its first numbers there, and how often it stands there."""

    partition: int
    left: int
    right: int
    left_rows: int
    right_rows: int

    @property
    def pairs(self) -> int:
        return min(self.left_rows, self.right_rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """The entries of a partition, and for each the place of its group's on the other side, or -1."""

    left: Entries
    right: Entries
    of_left: NDArray[np.int32]
    of_right: NDArray[np.int32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """Of what is left over of a partition: the places of the pairs, of shape (n, 2), and the rows of each side."""

    places: NDArray[np.int32]
    rows: tuple[int, int]


class Matching:
    """Each thread matches partitions of its own."""

    def __init__(self, *, left: LargeSide, right: LargeSide, sample_limit: int, meter: Meter) -> None:
        self._left = left
        self._right = right
        self._sample_limit = sample_limit
        self._meter = meter
        self._lock = threading.Lock()
        self._samples: list[CommonRows] = []
        self.pairs = 0
        # Partitions in which a key stands more than once; without keys, a row that is left over.
        self.repeating: set[int] = set()
        self._pairs: dict[int, Pairs] = {}

    def match(self, partition: int) -> None:
        """Leaves the rows without an equal to their sides. Raises: ComparisonCancelledError."""
        self._meter.check()
        joined = join_partition(self._left, self._right, partition)
        if joined is not None:
            self._take_joined(partition, joined)
            return
        if self._left.source.keys:
            self.repeating.add(partition)
            if self._left.layout.by_line:
                return  # begun again by cells
        self.count_rows(partition)

    def written_otherwise(self) -> bool:
        """Whether most lines that differ are other writings of equal rows, by a sample of rows of the same key."""
        for partition in range(1 << self._left.partition_bits):
            joined = join_partition(self._left, self._right, partition)
            if joined is None:
                continue
            unlike = unequal_places(joined.left, joined.right, joined.of_left)
            on_both = unlike[joined.of_left[unlike] >= 0][:_SAMPLE_ROWS]
            if len(on_both):
                left = self._left.row_hashes(joined.left[on_both, NUMBER])
                right = self._right.row_hashes(joined.right[joined.of_left[on_both], NUMBER])
                return bool(np.count_nonzero(left == right) * 2 > len(on_both))
        return False

    def samples(self) -> list[CommonRows]:
        """The first common rows of the left side."""
        return self._samples

    def _take_joined(self, partition: int, joined: Joined) -> None:
        left = unequal_places(joined.left, joined.right, joined.of_left)
        right = unequal_places(joined.right, joined.left, joined.of_right)
        found = np.empty((self._sample_limit, 2), np.int64)
        held = first_equal(joined.left, joined.right, joined.of_left, self._last_sample(), found)
        samples = [
            CommonRows(
                partition=partition,
                left=int(joined.left[at_left, NUMBER]),
                right=int(joined.right[at_right, NUMBER]),
                left_rows=1,
                right_rows=1,
            )
            for at_left, at_right in found[:held].tolist()
        ]
        self._take(len(joined.left) - len(left), samples)
        if self._left.has_records_at_hand() and self._left.source.keys:
            self._pairs[partition] = _pairs_among(joined, left, right)
        self._leave(partition, joined.left[left], joined.right[right])

    def take_pairs(self, partitions: Sequence[int]) -> NDArray[np.int64] | None:
        """The pairs among what was left over of some partitions, as it comes one after the other; None if not known."""
        found = []
        start = np.zeros(_SIDES, np.int64)
        for partition in partitions:
            pairs = self._pairs.pop(partition, None)
            if pairs is None:
                return None
            found.append(pairs.places + start)
            start += pairs.rows
        return np.concatenate(found)

    def count_rows(self, partition: int) -> None:
        """Leaves the surplus of each row to its side, whether or not keys repeat."""
        left, right = [no_entries()], [no_entries()]
        shares = shares_of(self._left, self._right, partition)
        for share in range(shares):
            counts = counted(self._left, self._right, partition, ROW, share=share, shares=shares)
            found, differing, several = pairs(counts)
            self._take(found, self._first(partition, counts))
            if several:
                self.repeating.add(partition)
            if differing:
                left += self._surplus(partition, counts, share, shares, on_left=True)
                right += self._surplus(partition, counts, share, shares, on_left=False)
        self._leave(partition, np.concatenate(left), np.concatenate(right))

    def _surplus(self, partition: int, counts: Counts, share: int, shares: int, *, on_left: bool) -> list[Entries]:
        found = []
        taken = np.zeros(len(counts), np.int64)
        for entries in (self._left if on_left else self._right).pieces(partition):
            chosen = np.empty(len(entries), np.int64)
            found.append(entries[chosen[: surplus(entries, counts, on_left, taken, share, shares, chosen)]])
        return found

    def _first(self, partition: int, counts: Counts) -> list[CommonRows]:
        slots = np.empty(self._sample_limit, np.int64)
        slots = slots[: first_pairs(counts, self._last_sample(), slots)]
        columns = (counts[slots, column].tolist() for column in (FIRST_LEFT, FIRST_RIGHT, LEFT, RIGHT))
        return [
            CommonRows(partition=partition, left=left, right=right, left_rows=left_rows, right_rows=right_rows)
            for left, right, left_rows, right_rows in zip(*columns, strict=True)
        ]

    def _leave(self, partition: int, left: Entries, right: Entries) -> None:
        self._left.leave(partition, left)
        self._right.leave(partition, right)

    def _last_sample(self) -> int:
        """No common row behind this one can still be a sample."""
        samples = self._samples
        if len(samples) < self._sample_limit:
            return sys.maxsize
        return samples[-1].left if samples else -1

    def _take(self, pairs: int, samples: Sequence[CommonRows]) -> None:
        with self._lock:
            self.pairs += pairs
            if samples:
                self._samples = sorted([*self._samples, *samples], key=lambda row: row.left)[: self._sample_limit]


def join_partition(left: LargeSide, right: LargeSide, partition: int) -> Joined | None:
    """None where a group repeats on a side, or may well do so for there are so many entries."""
    most = _MOST_AT_ONCE if left.source.keys else _MOST_JOINED_ROWS
    if left.size(partition) + right.size(partition) > most:
        return None
    return joined(left.all_entries(partition), right.all_entries(partition))


def joined(left: Entries, right: Entries) -> Joined | None:
    """None where a group repeats on a side."""
    table = np.zeros((_slots_for(len(left) + len(right)), 2), np.int64)
    found = Joined(
        left=left, right=right, of_left=np.empty(len(left), np.int32), of_right=np.empty(len(right), np.int32)
    )
    return found if join(left, right, table, found.of_left, found.of_right) else None


def _pairs_among(joined: Joined, left: NDArray[np.int64], right: NDArray[np.int64]) -> Pairs:
    """The pairs among the entries at these places, whose partners are among them."""
    place_of = np.empty(len(joined.right), np.int32)
    place_of[right] = np.arange(len(right), dtype=np.int32)
    partners = joined.of_left[left]
    paired = np.flatnonzero(partners >= 0).astype(np.int32)
    return Pairs(places=np.column_stack([paired, place_of[partners[paired]]]), rows=(len(left), len(right)))


def shares_of(left: LargeSide, right: LargeSide, partition: int) -> int:
    """In how many shares the hashes of a partition are counted, so that a table has its bounds: a power of two."""
    largest = max(left.size(partition), right.size(partition))
    return 1 << (largest // _MOST_AT_ONCE).bit_length()


def counted(
    left: LargeSide, right: LargeSide, partition: int, field: int, *, share: int = 0, shares: int = 1
) -> Counts:
    """How often each hash of a share of a partition is on each side."""
    slots = min(_slots_for(left.size(partition) + right.size(partition)), _FIRST_SLOTS)
    while True:
        counts = np.zeros((slots, COUNTED), np.int64)
        known = 0
        for side, on_left in ((left, True), (right, False)):
            for entries in side.pieces(partition):
                known = -1 if known < 0 else count(entries, field, counts, on_left, known, share, shares)
        if known >= 0:
            return counts
        slots *= 4


def _slots_for(entries: int) -> int:
    """A power of two, and at least twice as many as entries."""
    return 1 << max(2 * entries - 1, 1).bit_length()


def unequal_places(entries: Entries, other: Entries, partners: NDArray[np.int32]) -> NDArray[np.int64]:
    """The places of the entries whose partner is another row, or that have none."""
    chosen = np.empty(len(entries), np.int64)
    return chosen[: unequal(entries, other, partners, chosen)]
