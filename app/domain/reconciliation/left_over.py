"""What is left over of both sides, in shares: a share has some partitions, and so whole groups."""

import threading
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np

from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.matching import Matching
from app.domain.reconciliation.residue import Remainder, Residue, ResidueSpill
from app.domain.reconciliation.totals import Totals

_ROWS_AT_ONCE = 1 << 15  # of a side, about
_SHARES_OF_REPEATED = 4  # at least, where keys that stand more than once are counted


class LeftOver:
    """Threads may read different shares, each once."""

    def __init__(self, *, left: LargeSide, right: LargeSide, matching: Matching, totals: Totals) -> None:
        self._sides = (left, right)
        self._totals = totals
        self._keyed = bool(left.source.keys)
        self._partitions = 1 << left.partition_bits
        self.shares = max(left.left_over, right.left_over) // _ROWS_AT_ONCE
        if matching.repeating and self._keyed:
            self.shares = max(self.shares, _SHARES_OF_REPEATED)
        self.shares = min(max(self.shares, 1), self._partitions)

    def read(self, share: int) -> Remainder:
        """The records, with their totals; where groups do not repeat these are told by the pairs that rows make."""
        partitions = self.partitions(share)
        left, right = (side.read(partitions) for side in self._sides)
        looked_up = self._totals.look_up(partitions, left, right)
        return Remainder(left=left, right=right, unique=self._keyed and not looked_up)

    def partitions(self, share: int) -> range:
        return range(share * self._partitions // self.shares, (share + 1) * self._partitions // self.shares)


class Regrouped(AbstractContextManager["Regrouped"]):
    """The same, where rows are grouped by another hash than they are counted by."""

    def __init__(self, left_over: LeftOver, *, folder: Path, partition_bits: int) -> None:
        self._left_over = left_over
        self._spills = tuple(ResidueSpill(folder=folder, partition_bits=partition_bits) for _ in range(2))
        self._lock = threading.Lock()

    def regroup(self, share: int) -> None:
        """To be called for each share before one is read."""
        remainder = self._left_over.read(share)
        with self._lock:
            self._spills[0].add(remainder.left)
            self._spills[1].add(remainder.right)

    def read(self, share: int) -> Remainder:
        """The records, with their totals."""
        left, right = (_in_order(spill.read(self._left_over.partitions(share))) for spill in self._spills)
        return Remainder(left=left, right=right, unique=False)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for spill in self._spills:
            spill.__exit__(kind, error, traceback)


def _in_order(residue: Residue) -> Residue:
    """By row number: regrouped shares came as they were done."""
    order = np.argsort(residue.numbers)
    return Residue(
        entries=residue.entries[order],
        totals=residue.totals[order],
        starts=residue.starts[order],
        ends=residue.ends[order],
        held_by=residue.held_by,
    )
