"""The probabilistic answer: filters alone, nothing verified.

A row that the other side's filter denies is missing there for certain, and is told. A row that it accepts counts as
present, wrongly so with the probability of a false positive. So common (with keys: common + changed) is at most too
high, and left-only and right-only are at most too low. Where duplicates or false positives make the two sides disagree
on how many rows are common the lower number holds: it is closer, and the sums still add up on both sides. A row that
occurs more often on one side than on the other may pass unseen.
"""

import math
import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rbloom import Bloom

from app.domain.reconciliation.block import BlockReader
from app.domain.reconciliation.crew import Crew
from app.domain.reconciliation.kernels.hashing import new_seeds
from app.domain.reconciliation.kernels.matching import GROUP, ROW, Entries, no_entries
from app.domain.reconciliation.large_side import LargeSide, partition_bits_for
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.progress import PICK_WEIGHT, SIFT_WEIGHT, Meter
from app.domain.reconciliation.resolving import alone
from app.domain.reconciliation.result import DifferenceKind
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.tally import Tally


class _Filters:
    """The rows of one side and, with keys, its keys; sized for the rows that there are."""

    def __init__(self, side: LargeSide, thresholds: Thresholds) -> None:
        self._side = side
        self._designed_rate = thresholds.false_positive_rate
        capacity = max(side.extent.rows, thresholds.estimated_rows)
        self.rows = Bloom(capacity, self._designed_rate)
        self.groups = Bloom(capacity, self._designed_rate) if side.source.keys else self.rows

    def fill(self) -> None:
        filters = {ROW: self.rows, GROUP: self.groups} if self._side.source.keys else {ROW: self.rows}
        for partition in range(1 << self._side.partition_bits):
            for entries in self._side.pieces(partition):
                for field, bloom in filters.items():
                    bloom.update(np.ascontiguousarray(entries[:, field]).data)  # half the cost of a list

    def false_positive_rate(self) -> float:
        return max(filled_rate(self.rows, self._designed_rate), filled_rate(self.groups, self._designed_rate))


class _Sifted:
    """What the other side's filters say of a side."""

    def __init__(self, side: LargeSide, other: _Filters) -> None:
        self._side = side
        self._other = other
        self._lock = threading.Lock()
        self.missing = 0
        self.common = 0

    def sift(self, partition: int) -> None:
        """Marks the rows that are surely missing on the other side, and counts those that seem to be there."""
        missing = absent = _denied(self._side, partition, GROUP, self._other.groups)
        if self._other.groups is not self._other.rows:
            absent = _denied(self._side, partition, ROW, self._other.rows)
        self._side.leave(partition, missing)
        with self._lock:
            self.missing += len(missing)
            self.common += self._side.size(partition) - len(absent)


class Estimation:
    def __init__(
        self,
        *,
        left: RowSource,
        right: RowSource,
        tally: Tally,
        thresholds: Thresholds,
        spill_folder: Path,
        meter: Meter,
    ) -> None:
        self._sources = (left, right)
        self._tally = tally
        self._thresholds = thresholds
        self._spill_folder = spill_folder
        self._meter = meter

    def run(self) -> float:
        """Fills the tally, and gives the probability that a missing row was called present."""
        with ExitStack() as stack:
            crew = stack.enter_context(Crew(self._meter))
            bits = partition_bits_for(self._sources[0].side, self._sources[1].side, self._thresholds)
            seeds = new_seeds(len(self._sources[0].places))
            left, right = (
                LargeSide(
                    source=source,
                    seeds=seeds,
                    thresholds=self._thresholds,
                    meter=self._meter,
                    folder=self._spill_folder,
                    partition_bits=bits,
                    stack=stack,
                )
                for source in self._sources
            )
            crew.both(left.scan, right.scan)
            left_filters, right_filters = _Filters(left, self._thresholds), _Filters(right, self._thresholds)
            crew.both(left_filters.fill, right_filters.fill)
            of_left, of_right = _Sifted(left, right_filters), _Sifted(right, left_filters)
            weight = SIFT_WEIGHT * sum(source.side.size_bytes for source in self._sources)
            crew.each(of_left.sift, 1 << bits, weight=weight / 2)
            crew.each(of_right.sift, 1 << bits, weight=weight / 2)
            crew.both(lambda: left.pick(PICK_WEIGHT), lambda: right.pick(PICK_WEIGHT))
            self._tell(left, right)
            self._count(left, right, of_left, of_right)
            return self._rate(left_filters, right_filters)

    def _tell(self, left: LargeSide, right: LargeSide) -> None:
        """The rows that are surely missing, a partition at a time."""
        reader = BlockReader(sources=self._sources, layouts=(left.layout, right.layout), tally=self._tally)
        lock = threading.Lock()
        for place, (side, kind) in enumerate(((left, DifferenceKind.LEFT_ONLY), (right, DifferenceKind.RIGHT_ONLY))):
            for partition in range(1 << side.partition_bits):
                self._meter.check()
                residue = side.read([partition])
                if len(residue):
                    residue.totals[:, place] = 1
                    every = np.arange(len(residue))
                    copies = np.ones(len(every), np.int64)
                    reader.take(alone(kind, residue, place, every, copies, len(self._sources[0].places)), lock)

    def _count(self, left: LargeSide, right: LargeSide, of_left: _Sifted, of_right: _Sifted) -> None:
        tally = self._tally
        tally.left_rows, tally.right_rows = left.extent.rows, right.extent.rows
        paired = min(tally.left_rows - of_left.missing, tally.right_rows - of_right.missing)
        common = min(of_left.common, of_right.common, paired)
        tally.counts = {
            DifferenceKind.COMMON: common,
            DifferenceKind.CHANGED: paired - common,
            DifferenceKind.LEFT_ONLY: tally.left_rows - paired,
            DifferenceKind.RIGHT_ONLY: tally.right_rows - paired,
        }

    def _rate(self, left: _Filters, right: _Filters) -> float:
        rate = max(left.false_positive_rate(), right.false_positive_rate())
        self._tally.warnings.append(
            f"Not verified: a row that is missing on the other side was called present with a probability of "
            f"{rate:.2%}; duplicate rows were not counted. Only rows that are surely missing are listed."
        )
        return rate


def _denied(side: LargeSide, partition: int, field: int, bloom: Bloom) -> Entries:
    """The rows whose hash a filter does not know."""
    denied = [no_entries()]
    for entries in side.pieces(partition):
        known = np.fromiter((value in bloom for value in entries[:, field].tolist()), np.bool_, len(entries))
        denied.append(entries[~known])
    return np.concatenate(denied)


def filled_rate(bloom: Bloom, designed_rate: float) -> float:
    """The false positive rate of a filter as it is filled, not as it was meant to be.

    rbloom sets k = floor(log2(1 / designed rate)) bits an item, and estimates its items from the share of bits that
    are set: this takes that share back, to the power of k.
    """
    bits_per_item = max(math.floor(math.log2(1 / designed_rate)), 1)
    share_set = -math.expm1(-bits_per_item * bloom.approx_items / bloom.size_in_bits)
    return float(share_set**bits_per_item)
