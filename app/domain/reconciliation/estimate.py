"""The probabilistic answer: filters alone, nothing verified.

A row that the other side's filter denies is missing there for certain, and is told. A row that it accepts counts as
present, wrongly so with the probability of a false positive. So common (with keys: common + changed) is at most too
high, and left-only and right-only are at most too low. Where duplicates or false positives make the two sides disagree
on how many rows are common the lower number holds: it is closer, and the sums still add up on both sides. A row that
occurs more often on one side than on the other may pass unseen.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from rbloom import Bloom

from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.progress import CHECK_EVERY_ROWS, Meter
from app.domain.reconciliation.records import CHUNK_BYTES
from app.domain.reconciliation.result import DifferenceKind
from app.domain.reconciliation.rows import Row, RowSource
from app.domain.reconciliation.tally import Occurrence, Tally

COUNT_WEIGHT = 0.05  # counting lines costs a twentieth of parsing them, as measured


class _Filters:
    """The rows of one side and, with keys, its keys."""

    def __init__(self, source: RowSource, *, keyed: bool, thresholds: Thresholds, meter: Meter) -> None:
        capacity = max(count_lines(source, meter), thresholds.estimated_rows)
        self._designed_rate = thresholds.false_positive_rate
        self.rows = Bloom(capacity, self._designed_rate)
        self.groups = Bloom(capacity, self._designed_rate) if keyed else self.rows
        self.count = 0
        for batch in batches(source.rows(meter.advance)):
            self.count += len(batch)
            self.rows.update([canonical for _, _, canonical, _ in batch])
            if keyed:
                self.groups.update([group for _, group, _, _ in batch])

    def false_positive_rate(self) -> float:
        return max(filled_rate(self.rows, self._designed_rate), filled_rate(self.groups, self._designed_rate))


def estimate(
    *, left: RowSource, right: RowSource, tally: Tally, keyed: bool, thresholds: Thresholds, meter: Meter
) -> float:
    """Fills the tally, and gives the probability that a missing row was called present."""
    left_filters = _Filters(left, keyed=keyed, thresholds=thresholds, meter=meter)
    right_filters = _Filters(right, keyed=keyed, thresholds=thresholds, meter=meter)

    def tell_left(row: Occurrence) -> None:
        tally.left_only(1, row, (1, 0))

    def tell_right(row: Occurrence) -> None:
        tally.right_only(1, row, (0, 1))

    left_found, left_common = _present(left, right_filters, tell_left, meter)
    right_found, right_common = _present(right, left_filters, tell_right, meter)
    paired = min(left_found, right_found)
    common = min(left_common, right_common)
    tally.left_rows, tally.right_rows = left_filters.count, right_filters.count
    tally.counts = {
        DifferenceKind.COMMON: common,
        DifferenceKind.CHANGED: paired - common,
        DifferenceKind.LEFT_ONLY: tally.left_rows - paired,
        DifferenceKind.RIGHT_ONLY: tally.right_rows - paired,
    }
    rate = max(left_filters.false_positive_rate(), right_filters.false_positive_rate())
    tally.warnings.append(
        f"Not verified: a row that is missing on the other side was called present with a probability of {rate:.2%}; "
        "duplicate rows were not counted. Only rows that are surely missing are listed."
    )
    return rate


def _present(source: RowSource, other: _Filters, tell: Callable[[Occurrence], None], meter: Meter) -> tuple[int, int]:
    """How many rows' groups the other side seems to have, and how many of these whole rows."""
    found = common = 0
    for number, group, canonical, written in source.rows(meter.advance):
        if (canonical if group is None else group) not in other.groups:
            tell(Occurrence(number, canonical, written))
        else:
            found += 1
            common += canonical in other.rows
    return found, common


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


def filled_rate(bloom: Bloom, designed_rate: float) -> float:
    """The false positive rate of a filter as it is filled, not as it was meant to be.

    rbloom sets k = floor(log2(1 / designed rate)) bits an item, and estimates its items from the share of bits that
    are set: this takes that share back, to the power of k.
    """
    bits_per_item = max(math.floor(math.log2(1 / designed_rate)), 1)
    share_set = -math.expm1(-bits_per_item * bloom.approx_items / bloom.size_in_bits)
    return float(share_set**bits_per_item)
