"""What becomes of the rows without an equal: paired within their group, or left-only and right-only."""

import threading
from collections.abc import Callable, Iterator

from app.domain.reconciliation.exact import Pool
from app.domain.reconciliation.pairing import Pairing
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.records import records_of
from app.domain.reconciliation.residue import Residue
from app.domain.reconciliation.rows import Row, RowSource
from app.domain.reconciliation.tally import Tally


class Resolver:
    def __init__(
        self, *, left: RowSource, right: RowSource, tally: Tally, pairing: Callable[[], Pairing], meter: Meter
    ) -> None:
        self._left = left
        self._right = right
        self._tally = tally
        self._pairing = pairing
        self._meter = meter
        self._lock = threading.Lock()

    def resolve(self, left: Residue, right: Residue) -> None:
        """Whole groups of both sides; threads may resolve different groups."""
        if not len(left.numbers) and not len(right.numbers):
            return
        totals = {
            on_left: dict(zip(residue.numbers.tolist(), residue.totals.tolist(), strict=True))
            for on_left, residue in ((True, left), (False, right))
        }

        def of(number: int, on_left: bool) -> tuple[int, int]:
            of_left, of_right = totals[on_left][number]
            return of_left, of_right

        with self._lock:
            pool = Pool(
                tally=self._tally, pairing=self._pairing(), keyed=bool(self._left.keys), meter=self._meter, totals=of
            )
            pool.take_left(_rows(left, self._left))
            pool.take_right(_rows(right, self._right))
            pool.settle()


def _rows(residue: Residue, source: RowSource) -> Iterator[Row]:
    places = range(len(residue.numbers))
    for number, cells in zip(residue.numbers.tolist(), records_of(residue.records(places), source.side), strict=True):
        yield source.row(number, cells)
