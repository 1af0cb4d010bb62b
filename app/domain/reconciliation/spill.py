"""Rows set aside on disk by partition, in one file that has no name: it is gone with the process, even a killed one."""

import marshal
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from app.domain.errors import UnavailableError
from app.domain.reconciliation.rows import Row

BATCH_BYTES = 32 << 10  # of each partition, held back in memory to be written at once
_ROW_OVERHEAD_BYTES = 160  # of the objects around a row's bytes


class Spill(AbstractContextManager["Spill"]):
    """Appends rows to numbered partitions, and reads a partition back in the order of writing."""

    def __init__(self, *, folder: Path, partitions: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed in __exit__
        self._rows: list[list[Row]] = [[] for _ in range(partitions)]
        self._held_bytes = [0] * partitions
        self._batches: list[list[tuple[int, int]]] = [[] for _ in range(partitions)]
        self._end = 0

    @property
    def size_bytes(self) -> int:
        return self._end + sum(self._held_bytes)

    def add(self, row: Row) -> bytes:
        """Files a row by its group, and gives that."""
        _, group, canonical, written = row
        where = canonical if group is None else group
        # Not the lowest bits: they choose the slot in the dictionaries that a partition is compared with.
        partition = (hash(where) >> 32) % len(self._rows)
        self._rows[partition].append(row)
        held = self._held_bytes[partition] + len(canonical) + len(group or b"") + len(written or b"")
        self._held_bytes[partition] = held + _ROW_OVERHEAD_BYTES
        if held > BATCH_BYTES:
            self._write(partition)
        return where

    def batches(self, partition: int) -> Iterator[tuple[int, list[Row]]]:
        """The rows of a partition, some at a time, each time with the bytes that they took."""
        for start, size_bytes in self._batches[partition]:
            self._file.seek(start)
            yield size_bytes, marshal.loads(self._file.read(size_bytes))  # noqa: S302 - written by this very process
        if self._rows[partition]:
            yield self._held_bytes[partition], self._rows[partition]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self, partition: int) -> None:
        batch = marshal.dumps(self._rows[partition])
        left = memoryview(batch)
        try:
            self._file.seek(self._end)
            while left:  # unbuffered: a write may take a part alone
                left = left[self._file.write(left) :]
        except OSError as error:
            raise UnavailableError(
                f"No room for intermediate rows in {self._folder} ({error.strerror}): free space there, "
                "or set another folder for intermediate files."
            ) from error
        self._batches[partition].append((self._end, len(batch)))
        self._end += len(batch)
        self._rows[partition] = []
        self._held_bytes[partition] = 0
