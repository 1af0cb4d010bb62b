"""What is left over of both sides, in shares: a share has some partitions, and so whole groups."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray
from rbloom import Bloom

from app.domain.reconciliation.kernels.matching import GROUP
from app.domain.reconciliation.large_side import LargeSide
from app.domain.reconciliation.matching import Matching, joined
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.residue import Remainder, Residue, ResidueSpill
from app.domain.reconciliation.resolving import Resolver
from app.domain.reconciliation.totals import Totals

_HALF = 32  # bits of a note: totals of both sides are in it
_SHARES_OF_REPEATED = 4  # at least, where keys that stand more than once are counted


class LeftOver:
    """Threads may read different shares, each once."""

    def __init__(
        self, *, left: LargeSide, right: LargeSide, matching: Matching, totals: Totals, thresholds: Thresholds
    ) -> None:
        self._sides = (left, right)
        self._matching = matching
        self._totals = totals
        self._keyed = bool(left.source.keys)
        self._partitions = 1 << left.partition_bits
        self.shares = max(left.left_over, right.left_over) // thresholds.residue_rows
        if matching.repeating and self._keyed:
            self.shares = max(self.shares, _SHARES_OF_REPEATED)
        self.shares = min(max(self.shares, 1), self._partitions)

    def read(self, share: int) -> Remainder:
        """The records, with their totals."""
        return self.of(self.partitions(share))

    def of(self, partitions: Sequence[int]) -> Remainder:
        """What is left over of some partitions; where groups do not repeat the pairs that rows make tell the totals."""
        left, right = (side.read(partitions) for side in self._sides)
        pairs = self._matching.take_pairs(partitions) if self._keyed else None
        if self._totals.look_up(partitions, left, right) or not self._keyed:
            return Remainder(left=left, right=right)
        pairs = _paired(left, right) if pairs is None else pairs
        for side, residue in enumerate((left, right)):
            residue.totals[:, side] = 1
            residue.totals[pairs[:, side], 1 - side] = 1
        return Remainder(left=left, right=right, pairs=pairs)

    def partitions(self, share: int) -> range:
        return range(share * self._partitions // self.shares, (share + 1) * self._partitions // self.shares)


class Regrouped:
    """The same, where rows are grouped by another hash than they are counted by.

    A row can pair only where the other side has its group among what is left over there. A Bloom filter of those groups
    sets apart the rows whose group is surely missing: these go no further. The others come together by their groups.
    """

    def __init__(self, left_over: LeftOver, *, left: LargeSide, right: LargeSide, stack: ExitStack) -> None:
        self._left_over = left_over
        self._groups = (left.groups, right.groups)
        self._spills = tuple(
            stack.enter_context(ResidueSpill(folder=side.folder, partition_bits=side.partition_bits))
            for side in (left, right)
        )
        self._lock = threading.Lock()

    def regroup(self, share: int) -> Remainder:
        """To be called for each share before one is read; gives the records that surely pair with none."""
        remainder = self._left_over.read(share)
        apart = []
        for place, residue in enumerate((remainder.left, remainder.right)):
            missing = ~_known(residue, self._groups[1 - place])
            apart.append(residue.part(np.flatnonzero(missing)))
            others = residue.part(np.flatnonzero(~missing))
            with self._lock:
                self._spills[place].add(others, others.totals[:, 0] << _HALF | others.totals[:, 1])
        return Remainder(left=apart[0], right=apart[1])

    def read(self, share: int) -> Remainder:
        """The records, with their totals."""
        partitions = self._left_over.partitions(share)
        left, right = (_with_totals(*spill.read(partitions)) for spill in self._spills)
        return Remainder(left=left, right=right)


class Singles:
    """Rows without a key that stand once in both files: they are told as they are read, for they meet no other."""

    def __init__(self, *, resolver: Resolver, matching: Matching, partition_bits: int) -> None:
        self._resolver = resolver
        self._shift = np.uint64(64 - partition_bits)
        self._repeats = np.zeros(1 << partition_bits, np.bool_)
        self._repeats[list(matching.repeating)] = True

    def tell(self, residue: Residue, side: int) -> Residue:
        """Gives the rows of a side (0: left) that may stand more than once."""
        partitions = residue.entries[:, GROUP].view(np.uint64) >> self._shift
        others = self._repeats[partitions.astype(np.int64)]
        single = residue.part(np.flatnonzero(~others)) if others.any() else residue
        single.totals[:, side] = 1
        sides = [Residue.none(), Residue.none()]
        sides[side] = single
        self._resolver.resolve(Remainder(left=sides[0], right=sides[1]))
        return residue.part(np.flatnonzero(others))


def _paired(left: Residue, right: Residue) -> NDArray[np.int64]:
    """The pairs of records whose groups have one record of a side at most."""
    found = joined(left.entries, right.entries)
    if found is None:
        raise AssertionError
    on_left = np.flatnonzero(found.of_left >= 0)
    return np.column_stack([on_left, found.of_left[on_left]]).astype(np.int64, copy=False)


def _known(residue: Residue, groups: Bloom) -> NDArray[np.bool_]:
    """Which records' groups a filter has, or seems to have."""
    return np.fromiter((group in groups for group in residue.entries[:, GROUP].tolist()), np.bool_, len(residue))


def _with_totals(residue: Residue, notes: NDArray[np.int64]) -> Residue:
    """By row number, for regrouped shares came as they were done."""
    residue.totals[:, 0], residue.totals[:, 1] = notes >> _HALF, notes & ((1 << _HALF) - 1)
    return residue.part(np.argsort(residue.numbers))
