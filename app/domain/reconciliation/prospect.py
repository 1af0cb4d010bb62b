"""A look at the beginnings of two large sides, which tells the way that will be the shortest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.buffer import HeldRows
from app.domain.reconciliation.crew import Crew
from app.domain.reconciliation.kernels.hashing import Seeds
from app.domain.reconciliation.kernels.matching import NUMBER, Entries, no_entries
from app.domain.reconciliation.kernels.scanning import Scanned
from app.domain.reconciliation.large_side import layout_of
from app.domain.reconciliation.matching import joined, unequal_places
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import Cells, records_of
from app.domain.reconciliation.rows import RowSource
from app.domain.reconciliation.scan import SideScanner, bytes_at

_FEWEST_PAIRS = 64  # from which anything is concluded
_MOST_LOOKED_INTO = 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """Whether rows are best told apart by their lines, and whether many of them will be looked into anyway."""

    by_line: bool
    gather: bool


def prospect(
    sources: tuple[RowSource, RowSource], *, seeds: Seeds, thresholds: Thresholds, meter: Meter, crew: Crew
) -> Prospect:
    """Of sides whose lines are written alike. Raises: MalformedError; ComparisonCancelledError."""
    left, right = (_Beginning(source, seeds, thresholds, meter) for source in sources)
    crew.both(left.read, right.read)
    found = joined(left.entries(), right.entries())
    if found is None:
        return Prospect(by_line=False, gather=False)  # keys repeat
    unlike = unequal_places(found.left, found.right, found.of_left)
    on_both = unlike[found.of_left[unlike] >= 0]
    pairs = int(np.count_nonzero(found.of_left >= 0))
    seen = on_both[:_MOST_LOOKED_INTO]
    cells = left.cells(found.left[seen, NUMBER]), right.cells(found.right[found.of_left[seen], NUMBER])
    equal = sum(one == other for one, other in zip(*cells, strict=True))
    if equal * 2 > len(seen) >= _FEWEST_PAIRS:
        return Prospect(by_line=False, gather=False)  # other writings of equal rows
    gather = len(on_both) >= thresholds.gathered_share * max(pairs, _FEWEST_PAIRS)
    return Prospect(by_line=True, gather=gather)


class _Beginning:
    def __init__(self, source: RowSource, seeds: Seeds, thresholds: Thresholds, meter: Meter) -> None:
        self._source = source
        layout = layout_of(source, seeds, by_line=True)
        self._scanner = SideScanner(source=source, layout=layout, thresholds=thresholds, meter=meter)
        self._most_bytes = thresholds.sample_bytes
        self._rows = HeldRows(min(self._most_bytes, source.side.size_bytes), most_rows=self._most_bytes)
        self._entries = [no_entries()]
        self._count = 0

    def read(self) -> None:
        self._scanner.read(self._take, self._rows, most_bytes=self._most_bytes)

    def entries(self) -> Entries:
        return np.concatenate(self._entries)

    def cells(self, numbers: NDArray[np.int64]) -> list[Cells]:
        """The canonical cells of some rows."""
        if not self._rows.fits:
            return []
        starts, ends = self._rows.find(numbers)
        records = map(bytes_at, starts.tolist(), ends.tolist())
        return [self._source.canonical(cells) for cells in records_of(list(records), self._source.side)]

    def _take(self, scanned: Scanned) -> None:
        numbers = np.arange(self._count, self._count + len(scanned.rows))
        self._count += len(numbers)
        self._entries.append(np.column_stack([scanned.groups.view(np.int64), scanned.rows.view(np.int64), numbers]))
