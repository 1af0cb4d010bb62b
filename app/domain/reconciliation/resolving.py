"""What becomes of the rows without an equal: paired within their group, or left-only and right-only.

Most groups are simple: one row on each side, or rows on one side alone. Kernels settle these, and write their lines of
the table of differences. The intricate ones go to `exact.Pool`, which knows all rules: keys that stand several times,
and rows that differ in what only Python can tell.
"""

import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.block import Block, BlockReader
from app.domain.reconciliation.exact import Pool
from app.domain.reconciliation.kernels.matching import GROUP, ROW
from app.domain.reconciliation.kernels.records import DIFFERENT, EQUAL, UNSURE, new_work
from app.domain.reconciliation.kernels.resolving import (
    ALONE,
    INTRICATE,
    PAIRED,
    Apart,
    compare_pairs,
    new_apart,
    settle,
)
from app.domain.reconciliation.kernels.scanning import Layout
from app.domain.reconciliation.options import ReconciliationOptions
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import records_of
from app.domain.reconciliation.residue import Remainder, Residue
from app.domain.reconciliation.result import DifferenceKind
from app.domain.reconciliation.rows import Row, RowSource
from app.domain.reconciliation.tally import Tally

Fates = tuple[NDArray[np.int64], NDArray[np.int64]]  # of the left and the right records


class Resolver:
    """Threads may resolve different groups."""

    def __init__(
        self,
        *,
        sources: tuple[RowSource, RowSource],
        layouts: tuple[Layout, Layout],
        tally: Tally,
        pairing: Callable[[], Pairing],
        options: ReconciliationOptions,
        meter: Meter,
    ) -> None:
        self._sources = sources
        self._layouts = layouts
        self._tally = tally
        self._pairing = pairing
        self._alike = (
            layouts[0].delimiter == layouts[1].delimiter and layouts[0].slots.tolist() == layouts[1].slots.tolist()
        )
        self._tolerance = (options.absolute_tolerance, options.relative_tolerance)
        self._meter = meter
        self._keyed = bool(sources[0].keys)
        self._lock = threading.Lock()
        self._reader = BlockReader(sources=sources, layouts=layouts, tally=tally)

    def resolve(self, remainder: Remainder) -> None:
        """Settles whole groups."""
        left, right = remainder.left, remainder.right
        if not len(left) and not len(right):
            return
        self._meter.check()
        sides = (left, right)
        if remainder.pairs is not None:
            pairs = remainder.pairs
            fates, copies, _ = _all_alone(sides)
            for fate, of in zip(fates, pairs.T, strict=True):
                fate[of] = PAIRED
        elif _surely_alone(left) and _surely_alone(right):
            fates, copies, pairs = _all_alone(sides)
        else:
            fates, copies, pairs = _grouped(sides)
        self._settle(sides, fates, copies, pairs)

    def add_common(self, rows: int) -> None:
        """Pairs of equal rows that are no samples."""
        with self._lock:
            self._tally.add_common(rows)

    def _settle(self, sides: tuple[Residue, Residue], fates: Fates, copies: Fates, pairs: NDArray[np.int64]) -> None:
        blocks = self._pairs(sides, pairs, fates)
        for place, kind in enumerate((DifferenceKind.LEFT_ONLY, DifferenceKind.RIGHT_ONLY)):
            lone = np.flatnonzero(fates[place] == ALONE)
            blocks.append(alone(kind, sides[place], place, lone, copies[place][lone], len(self._layouts[0].keys)))
        for block in blocks:
            if len(block.counts):
                self._reader.take(block, self._lock)
        self._intricate(sides, *(np.flatnonzero(fate == INTRICATE) for fate in fates))

    def _pairs(self, sides: tuple[Residue, Residue], pairs: NDArray[np.int64], fates: Fates) -> list[Block]:
        """The pairs that differ, and those within the tolerance."""
        if not len(pairs):
            return []
        left, right = sides
        columns = len(self._layouts[0].keys)
        changed = np.zeros((len(pairs), columns), np.bool_)
        apart = new_apart(columns)
        outcomes = np.empty(len(pairs), np.int8)
        work, _room = new_work(columns, max(left.longest(), right.longest()))
        compare_pairs(
            pairs,
            (left.starts, right.starts),
            (left.ends, right.ends),
            self._layouts,
            self._alike,
            self._tolerance,
            work,
            changed,
            apart,
            outcomes,
        )
        blocks = []
        for outcome, kind in ((EQUAL, DifferenceKind.COMMON), (DIFFERENT, DifferenceKind.CHANGED)):
            which = np.flatnonzero(outcomes == outcome)
            if kind is DifferenceKind.CHANGED and not self._keyed:
                for place in range(2):
                    fates[place][pairs[which, place]] = ALONE  # without keys nothing is changed
            elif len(which):
                whole = len(which) == len(pairs)
                chosen = (pairs, changed) if whole else (pairs[which], changed[which])
                blocks.append(_paired(kind, sides, *chosen, apart, keyed=self._keyed))
        unsure = pairs[outcomes == UNSURE]
        for place in range(2):
            fates[place][unsure[:, place]] = INTRICATE
        return blocks

    def _intricate(self, sides: tuple[Residue, Residue], *places: NDArray[np.int64]) -> None:
        if not len(places[0]) and not len(places[1]):
            return
        totals = tuple(
            dict(zip(side.numbers[of].tolist(), side.totals[of].tolist(), strict=True))
            for side, of in zip(sides, places, strict=True)
        )

        def of(number: int, on_left: bool) -> tuple[int, int]:
            on_the_left, on_the_right = totals[0 if on_left else 1][number]
            return on_the_left, on_the_right

        with self._lock:
            pool = Pool(tally=self._tally, pairing=self._pairing(), keyed=self._keyed, meter=self._meter, totals=of)
            pool.take_left(_rows(sides[0], self._sources[0], places[0].tolist()))
            pool.take_right(_rows(sides[1], self._sources[1], places[1].tolist()))
            pool.settle()


def _surely_alone(side: Residue) -> bool:
    """Whether rows are their own groups, each left over once: what equals one is common, and nothing else pairs."""
    once = np.abs(side.totals[:, 0] - side.totals[:, 1]) == 1
    return bool(once.all() and (side.entries[:, GROUP] == side.entries[:, ROW]).all())


def _all_alone(sides: tuple[Residue, Residue]) -> tuple[Fates, Fates, NDArray[np.int64]]:
    """Fates, copies and no pairs."""
    left, right = (np.full(len(side), ALONE) for side in sides)
    return (left, right), (np.ones(len(left), np.int64), np.ones(len(right), np.int64)), np.empty((0, 2), np.int64)


def _grouped(sides: tuple[Residue, Residue]) -> tuple[Fates, Fates, NDArray[np.int64]]:
    """The same, where groups have any number of rows."""
    left, right = sides
    groups = (_field(left, GROUP), _field(right, GROUP))
    rows = (_field(left, ROW), _field(right, ROW))
    orders = (np.argsort(groups[0], kind="stable"), np.argsort(groups[1], kind="stable"))
    fates = (np.zeros(len(left), np.int64), np.zeros(len(right), np.int64))
    copies = (np.ones(len(left), np.int64), np.ones(len(right), np.int64))
    pairs = np.empty((min(len(left), len(right)), 2), np.int64)
    found = settle(groups, rows, orders, fates, copies, pairs)
    return fates, copies, pairs[:found]


def _field(residue: Residue, field: int) -> NDArray[np.uint64]:
    return np.ascontiguousarray(residue.entries[:, field]).view(np.uint64)


def _paired(
    kind: DifferenceKind,
    sides: tuple[Residue, Residue],
    pairs: NDArray[np.int64],
    changed: NDArray[np.bool_],
    apart: Apart,
    *,
    keyed: bool,
) -> Block:
    left, right = sides
    of_left, of_right = pairs[:, 0], pairs[:, 1]
    on_right = left.totals[of_left, 1] if keyed else right.totals[of_right, 1]
    return Block(
        kind=kind,
        numbers=(left.numbers[of_left], right.numbers[of_right]),
        starts=(left.starts[of_left], right.starts[of_right]),
        ends=(left.ends[of_left], right.ends[of_right]),
        counts=np.column_stack([np.ones(len(pairs), np.int64), left.totals[of_left, 0], on_right]),
        changed=changed,
        apart=apart,
    )


def alone(
    kind: DifferenceKind, side: Residue, place: int, chosen: NDArray[np.int64], copies: NDArray[np.int64], columns: int
) -> Block:
    """Records of one side (0: left, 1: right), each with its copies."""
    nothing = np.zeros(len(chosen), np.int64)
    numbers, starts, ends = ([nothing, nothing] for _ in range(3))
    numbers[place], starts[place], ends[place] = side.numbers[chosen], side.starts[chosen], side.ends[chosen]
    return Block(
        kind=kind,
        numbers=(numbers[0], numbers[1]),
        starts=(starts[0], starts[1]),
        ends=(ends[0], ends[1]),
        counts=np.column_stack([copies, side.totals[chosen]]),
        changed=np.zeros((len(chosen), columns), np.bool_),
        apart=new_apart(columns),
    )


def _rows(residue: Residue, source: RowSource, places: Sequence[int]) -> Iterator[Row]:
    numbers = residue.numbers[places].tolist() if places else []
    for number, cells in zip(numbers, records_of(residue.records(places), source.side), strict=True):
        yield source.row(number, cells)
