"""The rows that have no equal on the other side: their records, kept on disk by partition until they are resolved."""

from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.memory import PADDING_BYTES, address_of
from app.domain.reconciliation.kernels.scanning import gather
from app.domain.reconciliation.scan import bytes_at
from app.domain.reconciliation.spill import SpillFile

_FIELDS = 6  # number, row hash, group hash, totals of both sides, length
_LENGTH = 5
_BATCH_BYTES = 4 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Residue:
    """Records of one side: arrays of one length, and the bytes that `starts` and `ends` are addresses in.

    `totals`, of shape (n, 2), says how often a record's key (without keys, the row) stands on the left and on the
    right; zeros where that was not looked up yet.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.uint64]
    groups: NDArray[np.uint64]
    totals: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    text: NDArray[np.uint8]

    def record(self, place: int) -> bytes:
        return bytes_at(int(self.starts[place]), int(self.ends[place]))

    def records(self, places: Sequence[int]) -> list[bytes]:
        return [self.record(place) for place in places]


def residue_of(fields: NDArray[np.int64], text: NDArray[np.uint8]) -> Residue:
    """`fields` has a row for each record of `text`, in its order."""
    ends = address_of(text) + np.cumsum(fields[:, _LENGTH])
    return Residue(
        numbers=fields[:, 0],
        rows=np.ascontiguousarray(fields[:, 1]).view(np.uint64),
        groups=np.ascontiguousarray(fields[:, 2]).view(np.uint64),
        totals=fields[:, 3:5],
        starts=ends - fields[:, _LENGTH],
        ends=ends,
        text=text,
    )


def _fields_of(residue: Residue) -> NDArray[np.int64]:
    fields = np.empty((len(residue.numbers), _FIELDS), np.int64)
    fields[:, 0], fields[:, 3:_LENGTH], fields[:, _LENGTH] = (
        residue.numbers,
        residue.totals,
        residue.ends - residue.starts,
    )
    fields[:, 1], fields[:, 2] = residue.rows.view(np.int64), residue.groups.view(np.int64)
    return fields


class ResidueSpill(AbstractContextManager["ResidueSpill"]):
    """Appends picked records to partitions by the highest bits of a hash; reads a partition back in rows' order."""

    def __init__(self, *, folder: Path, partition_bits: int, by_row: bool = False) -> None:
        self._shift = np.uint64(64 - partition_bits)
        self._by_row = by_row
        self._partitions = 1 << partition_bits
        self._file = SpillFile(folder)
        self._parts = [
            array("q") for _ in range(self._partitions)
        ]  # of each piece: place and count of its fields, place and bytes of its text
        self._room = _BATCH_BYTES
        self._text = np.empty(self._room + PADDING_BYTES, np.uint8)
        self._fields: list[NDArray[np.int64]] = []
        self._held = 0
        self.count = 0
        self.size_bytes = 0

    def add(self, added: Residue) -> None:
        """Copies records; many are written at a time, so that what is read back of a partition is in few pieces."""
        size = int((added.ends - added.starts).sum())
        if self._held + size > self._room:
            self.flush()
            self._room = max(self._room, size)
            self._text = self._text if self._room < len(self._text) else np.empty(self._room + PADDING_BYTES, np.uint8)
        gather(added.starts, added.ends, np.arange(len(added.numbers)), address_of(self._text) + self._held)
        self._fields.append(_fields_of(added))
        self._held += size
        self.count += len(added.numbers)
        self.size_bytes += size

    def flush(self) -> None:
        """Writes what is held, by partitions; to be called before anything is read."""
        if not self._held:
            return
        held = residue_of(np.concatenate(self._fields), self._text)
        hashes = held.rows if self._by_row else held.groups
        partitions = (hashes >> self._shift).astype(np.int64)
        order = np.argsort(partitions, kind="stable")
        text = np.empty(self._held + PADDING_BYTES, np.uint8)
        gather(held.starts, held.ends, order, address_of(text))
        fields = _fields_of(held)[order]
        places = np.searchsorted(partitions[order], np.arange(self._partitions + 1))
        bytes_before = np.concatenate([[0], np.cumsum(fields[:, _LENGTH])])
        fields_start, text_start = self._file.append(fields), self._file.append(text[: self._held])
        for partition in np.flatnonzero(np.diff(places)).tolist():
            first, last = int(places[partition]), int(places[partition + 1])
            start, end = int(bytes_before[first]), int(bytes_before[last])
            self._parts[partition].extend(
                (fields_start + first * _FIELDS * 8, last - first, text_start + start, end - start)
            )
        self._fields, self._held = [], 0

    def read(self, *partitions: int) -> Residue:
        """The records of some partitions; several threads may read."""
        joined = array("q")
        for partition in partitions:
            joined.extend(self._parts[partition])
        parts = np.array(joined, np.int64).reshape(-1, 4).tolist()
        fields = np.empty((sum(part[1] for part in parts), _FIELDS), np.int64)
        text = np.empty(sum(part[3] for part in parts) + PADDING_BYTES, np.uint8)
        row = byte = 0
        for fields_start, count, text_start, length in parts:
            self._file.read_into(fields[row : row + count], fields_start)
            self._file.read_into(text[byte : byte + length], text_start)
            row += count
            byte += length
        return residue_of(fields, text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, traceback)
