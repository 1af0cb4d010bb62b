"""A side whose records go to disk as they are read the first time: the way where most rows will be looked into anyway.

There each partition is read back once, and matched, verified and resolved at one go. It takes rows that are told apart
by their lines, and keys that mostly stand once.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.hashing import Seeds
from app.domain.reconciliation.kernels.matching import NUMBER, ROW, Entries
from app.domain.reconciliation.kernels.scanning import Scanned
from app.domain.reconciliation.large_side import LargeSide, residue_at
from app.domain.reconciliation.options import Thresholds
from app.domain.reconciliation.progress import Meter
from app.domain.reconciliation.residue import Residue
from app.domain.reconciliation.rows import RowSource

_MOST_ROWS = 1 << 19  # of a partition


class GatheredSide(LargeSide):
    """Each thread has partitions of its own in memory, from `bring` to `forget`."""

    def __init__(
        self,
        *,
        source: RowSource,
        seeds: Seeds,
        thresholds: Thresholds,
        meter: Meter,
        folder: Path,
        partition_bits: int,
        stack: ExitStack,
    ) -> None:
        super().__init__(
            source=source,
            seeds=seeds,
            by_line=True,
            thresholds=thresholds,
            meter=meter,
            folder=folder,
            partition_bits=partition_bits,
            stack=stack,
        )
        self._rows_taken = 0
        self._brought: dict[int, tuple[Residue, NDArray[np.int64]]] = {}  # with their second hashes
        self._places: dict[int, NDArray[np.int64]] = {}  # of what is left over, among what was brought

    def fits(self) -> bool:
        """Whether each partition does in memory: no key has very many rows."""
        return self.residue.largest() <= _MOST_ROWS

    def bring(self, partition: int) -> None:
        """Reads the records of a partition."""
        self._brought[partition] = self.residue.read([partition])

    def hash_cells(self, partition: int) -> None:
        """Tells the rows of a partition by their cells from now on, and no longer by their lines."""
        residue, checks = self._brought[partition]
        rows, checks[:] = self.scanner.hash_cells(residue.starts, residue.ends)
        residue.entries[:, ROW] = rows

    def forget(self, partition: int) -> None:
        del self._brought[partition], self._places[partition]

    def common_check_of(self, partition: int) -> int:
        """The sum of the second hashes of the partition's rows that are common."""
        _, checks = self._brought[partition]
        left_over = checks[self._places[partition]]
        return (int(checks.sum()) - int(left_over.sum())) % 2**64

    def pieces(self, partition: int) -> Iterator[Entries]:
        yield self._brought[partition][0].entries

    def all_entries(self, partition: int) -> Entries:
        return self._brought[partition][0].entries

    def size(self, partition: int) -> int:
        return len(self._brought[partition][0])

    def has_records_at_hand(self) -> bool:
        return True

    def leave(self, partition: int, entries: Entries) -> None:
        numbers = self._brought[partition][0].numbers
        everything = len(entries) == len(numbers)
        self._places[partition] = (
            np.arange(len(numbers)) if everything else np.searchsorted(numbers, entries[:, NUMBER])
        )
        with self._lock:
            self.left_over += len(entries)

    def read(self, partitions: Sequence[int]) -> Residue:
        (partition,) = partitions
        residue, places = self._brought[partition][0], self._places[partition]
        return residue if len(places) == len(residue) else residue.part(places)

    def _take(self, scanned: Scanned) -> None:
        first = self._rows_taken
        self._rows_taken += len(scanned.rows)
        self.residue.add(
            residue_at(np.arange(first, self._rows_taken), scanned), np.ascontiguousarray(scanned.checks.view(np.int64))
        )
