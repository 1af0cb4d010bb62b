"""Hashes of rows set aside on disk, by partition."""

from array import array
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.matching import FIELDS, Entries, deal
from app.domain.reconciliation.spill import SpillFile

_HELD_ENTRIES = 1 << 20  # of all partitions together: 24 MB
_FEWEST_ENTRIES = 64  # of a partition


class EntrySpill(AbstractContextManager["EntrySpill"]):
    """Appends entries to partitions by the highest bits of the group's hash; reads a partition back in rows' order.

    `rows` is about how many there will be.
    """

    def __init__(self, *, folder: Path, partition_bits: int, rows: int) -> None:
        self._shift = 64 - partition_bits
        partitions = 1 << partition_bits
        held = max(min(_HELD_ENTRIES, rows) >> partition_bits, _FEWEST_ENTRIES)
        self._hands: NDArray[np.int64] = np.empty((partitions, held, FIELDS), np.int64)
        self._held = np.zeros(partitions, np.int64)
        self._file = SpillFile(folder)
        self._written = [array("q") for _ in range(partitions)]  # place, count; place, count; …
        self.count = 0

    def add(self, groups: NDArray[np.uint64], rows: NDArray[np.uint64]) -> None:
        """Takes the hashes of the next rows."""
        done = 0
        while done < len(rows):
            done = deal(groups, rows, done, self.count, self._shift, self._hands, self._held)
            for partition in np.flatnonzero(self._held == self._hands.shape[1]).tolist():
                self._write(partition)
        self.count += len(rows)

    def pieces(self, partition: int) -> Iterator[Entries]:
        """The entries of a partition, some at a time; several threads may read."""
        written = self._written[partition]
        for start, count in zip(written[::2], written[1::2], strict=True):
            yield self._file.read(start, FIELDS * count, np.int64).reshape(-1, FIELDS)
        if self._held[partition]:
            yield self._hands[partition, : self._held[partition]]

    def read(self, partition: int) -> Entries:
        """All entries of a partition at once."""
        entries = np.empty((self.size(partition), FIELDS), np.int64)
        written = self._written[partition]
        done = 0
        for start, count in zip(written[::2], written[1::2], strict=True):
            self._file.read_into(entries[done : done + count], start)
            done += count
        entries[done:] = self._hands[partition, : self._held[partition]]
        return entries

    def size(self, partition: int) -> int:
        return sum(self._written[partition][1::2]) + int(self._held[partition])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, traceback)

    def _write(self, partition: int) -> None:
        count = int(self._held[partition])
        self._written[partition].extend((self._file.append(self._hands[partition, :count]), count))
        self._held[partition] = 0
