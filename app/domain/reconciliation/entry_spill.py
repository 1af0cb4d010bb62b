"""Hashes of rows set aside on disk by partition, in one file that has no name: it is gone with the process."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from app.domain.errors import UnavailableError
from app.domain.reconciliation.kernels.matching import Entries, deal

_HELD_ENTRIES = 1 << 19  # of all partitions together: 8 MB
_ENTRY_BYTES = 16


class EntrySpill(AbstractContextManager["EntrySpill"]):
    """Appends (hash, row number) to partitions by the hash's highest bits; reads a partition back in rows' order."""

    def __init__(self, *, folder: Path, partition_bits: int) -> None:
        self._folder = folder
        self._shift = 64 - partition_bits
        partitions = 1 << partition_bits
        self._hands: NDArray[np.uint64] = np.empty((partitions, _HELD_ENTRIES >> partition_bits, 2), np.uint64)
        self._held = np.zeros(partitions, np.int64)
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed in __exit__
        self._written: list[list[tuple[int, int]]] = [[] for _ in range(partitions)]
        self._end = 0
        self.count = 0

    def add(self, hashes: NDArray[np.uint64]) -> None:
        """Takes the hashes of the next rows."""
        done = 0
        while done < len(hashes):
            done = deal(hashes, done, self.count, self._shift, self._hands, self._held)
            for partition in np.flatnonzero(self._held == self._hands.shape[1]).tolist():
                self._write(partition)
        self.count += len(hashes)

    def read(self, partition: int) -> Iterator[Entries]:
        """The entries of a partition, some at a time; several threads may read."""
        for start, count in self._written[partition]:
            yield np.frombuffer(os.pread(self._file.fileno(), count * _ENTRY_BYTES, start), np.uint64).reshape(-1, 2)
        if self._held[partition]:
            yield self._hands[partition, : self._held[partition]]

    def size(self, partition: int) -> int:
        return sum(count for _, count in self._written[partition]) + int(self._held[partition])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, partition: int) -> None:
        count = int(self._held[partition])
        write_fully(self._file.fileno(), memoryview(self._hands[partition, :count]).cast("B"), self._end, self._folder)
        self._written[partition].append((self._end, count))
        self._end += count * _ENTRY_BYTES
        self._held[partition] = 0


def write_fully(file: int, data: memoryview, place: int, folder: Path) -> None:
    """Raises: UnavailableError where the disk has no room."""
    try:
        while data:
            written = os.pwrite(file, data, place)
            data, place = data[written:], place + written
    except OSError as error:
        raise UnavailableError(
            f"No room for intermediate rows in {folder} ({error.strerror}): free space there, "
            "or set another folder for intermediate files."
        ) from error
