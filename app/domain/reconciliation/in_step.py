"""The comparison of two sides in the same order, in one pass over both, without a hash and with nothing on disk.

It takes a place of the mapping, or the keys', by which the records of each side strictly ascend: NULL, then numbers,
then texts by their bytes, as `order` has it; or strictly descend. Then no key stands twice, and equal rows stand at the
same place of that order: the sides are merged (Knuth, The Art of Computer Programming, volume 3, 5.2.4). Records that
are paired are compared byte for byte; only what is not written the same is looked into.

The first records of both sides tell whether to try. Each block is known to be in order before anything in it is told;
where a later one is not, all is taken back, and the comparison goes another way.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.cells import order_of
from app.domain.reconciliation.crew import Crew
from app.domain.reconciliation.kernels.hashing import new_seeds
from app.domain.reconciliation.kernels.in_step import Order, Run, merge, unlike_lines
from app.domain.reconciliation.kernels.matching import FIELDS, NUMBER
from app.domain.reconciliation.kernels.records import new_work
from app.domain.reconciliation.large_side import layout_of
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.ordered_side import OrderedSide
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import Cells, MalformedError, Records
from app.domain.reconciliation.residue import Remainder, Residue
from app.domain.reconciliation.resolving import Resolver
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.tally import Tally

_PARTS = 2  # of a step: one for each thread
_LOOKED_AT_BYTES = 64 << 10


def common_order(left: RowSource, right: RowSource, *, rows: int) -> Order | None:
    """The order that both sides are in as far as these first rows; None where there is none.

    It is by the keys; without keys by any place, for rows that differ there are not equal (but within a tolerance they
    may be).
    """
    if left.grouped_by_text or not rows:
        return None
    beginnings = [_beginning(source, rows) for source in (left, right)]
    candidates = [left.keys] if left.keys else [(place,) for place in range(len(left.places))]
    for places in candidates:
        for descending in (False, True):
            if all(_ascend(beginning[::-1] if descending else beginning, places) for beginning in beginnings):
                return Order(places=np.array(places, np.int64), descending=descending)
    return None


def _beginning(source: RowSource, rows: int) -> list[list[str | None]]:
    """The canonical cells of the first rows, or of fewer where one is broken."""
    with source.side.open() as stream:
        text = stream.read(_LOOKED_AT_BYTES)
    part = text[: text.rfind(b"\n") + 1] or text
    side = replace(source.side, open=lambda: BytesIO(part), size_bytes=len(part))
    found: list[Cells] = []
    try:
        with Records(side, lambda _: None) as records:
            for record in records:
                found.append(record)
                if len(found) == rows:
                    break
    except MalformedError:
        pass  # the end of what was looked at may be within a quoted cell
    return [source.canonical(record) for record in found]


def _ascend(rows: Sequence[Sequence[str | None]], places: Sequence[int]) -> bool:
    orders = [tuple(order_of(row[place]) for place in places) for row in rows]
    return all(one < other for one, other in pairwise(orders))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    """Records of both sides, the numbers of the first ones, their pairs, and which of them have no partner."""

    runs: tuple[Run, Run]
    numbers: tuple[int, int]
    pairs: NDArray[np.int64]
    alone: tuple[NDArray[np.int64], NDArray[np.int64]]


class InStepComparison:
    def __init__(
        self,
        *,
        left: RowSource,
        right: RowSource,
        order: Order,
        lines_are_alike: bool,
        tally: Tally,
        pairing: Callable[[], Pairing],
        thresholds: Thresholds,
        meter: Meter,
    ) -> None:
        """`lines_are_alike` says that what is written the same is equal."""
        self._sources = (left, right)
        self._order = order
        self._lines_are_alike = lines_are_alike
        self._tally = tally
        self._pairing = pairing
        self._thresholds = thresholds
        self._meter = meter

    def run(self) -> bool:
        """False where the sides are not in order after all, or malformed: what was told is void then.

        Raises: ComparisonCancelledError.
        """
        self._meter.expect(sum(source.side.size_bytes for source in self._sources))
        with ExitStack() as stack:
            left, right = (stack.enter_context(closing(self._side(source))) for source in self._sources)
            if not self._walk(left, right, stack.enter_context(Crew(self._meter))):
                return False
        self._tally.left_rows, self._tally.right_rows = left.settled, right.settled
        return True

    def _side(self, source: RowSource) -> OrderedSide:
        return OrderedSide(
            source=source,
            layout=layout_of(source, new_seeds(len(source.places)), by_line=False),
            order=self._order,
            thresholds=self._thresholds,
            meter=self._meter,
        )

    def _walk(self, left: OrderedSide, right: OrderedSide, crew: Crew) -> bool:
        layouts = (left.layout, right.layout)
        work, _room = new_work(len(left.layout.keys), max(left.buffer.size, right.buffer.size))
        resolver = Resolver(
            sources=self._sources,
            layouts=layouts,
            tally=self._tally,
            pairing=self._pairing,
            options=left.source.options,
            meter=self._meter,
        )
        while left.in_order and right.in_order:
            if left.is_done() and right.is_done():
                return True
            crew.both(left.refill, right.refill)
            if not left.in_order or not right.in_order:
                return False
            runs = left.waiting(), right.waiting()
            alone = tuple(np.empty(len(run.starts), np.int64) for run in runs)
            pairs = np.empty((min(map(len, alone)), 2), np.int64)
            complete = (left.complete, right.complete)
            of_left, of_right, paired, left_alone, right_alone, sure = merge(
                *runs, complete, layouts, self._order, work, pairs, (alone[0], alone[1])
            )
            if not sure:
                return False
            step = _Step(
                runs=runs,
                numbers=(left.settled, right.settled),
                pairs=pairs[:paired],
                alone=(alone[0][:left_alone], alone[1][:right_alone]),
            )
            settle = partial(self._settle, step, resolver)
            crew.each(settle, _PARTS, weight=0)
            left.settle(of_left)
            right.settle(of_right)
        return False

    def _settle(self, step: _Step, resolver: Resolver, part: int) -> None:
        """Tells of a part of a step."""
        pairs = _part(step.pairs, part)
        unlike = np.arange(len(pairs))
        if self._lines_are_alike:
            unlike = unlike[: unlike_lines(pairs, *step.runs, unlike)]
            unlike = self._with_samples(unlike, pairs, step.numbers[0])
        resolver.add_common(len(pairs) - len(unlike))
        records = [np.concatenate([pairs[unlike, side], _part(alone, part)]) for side, alone in enumerate(step.alone)]
        left, right = (
            self._residue(side, step.runs[side], step.numbers[side], chosen, paired=len(unlike))
            for side, chosen in enumerate(records)
        )
        places = np.arange(len(unlike))
        resolver.resolve(Remainder(left=left, right=right, pairs=np.column_stack([places, places])))

    def _with_samples(self, unlike: NDArray[np.int64], pairs: NDArray[np.int64], first: int) -> NDArray[np.int64]:
        """With the first pairs that are alike, as long as they may be samples."""
        wanted = self._tally.sample_limit
        if len(unlike) == len(pairs) or first + int(pairs[0, 0]) > self._tally.last_common_sample():
            return unlike
        alike = np.setdiff1d(np.arange(min(len(pairs), wanted + len(unlike))), unlike)[:wanted]
        return np.union1d(unlike, alike)

    def _residue(self, side: int, run: Run, first: int, chosen: NDArray[np.int64], *, paired: int) -> Residue:
        """Records, of which the first ones have a partner."""
        entries = np.zeros((len(chosen), FIELDS), np.int64)
        entries[:, NUMBER] = first + chosen
        totals = np.zeros((len(chosen), 2), np.int64)
        totals[:, side] = 1
        if self._sources[0].keys:
            totals[:paired, 1 - side] = 1
        return Residue(entries=entries, totals=totals, starts=run.starts[chosen], ends=run.ends[chosen], held_by=run)


def _part(array: NDArray[np.int64], part: int) -> NDArray[np.int64]:
    return array[part * len(array) // _PARTS : (part + 1) * len(array) // _PARTS]
