"""The rows that have no equal on the other side: their records, kept on disk by partition until they are resolved."""

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
        rows=fields[:, 1].view(np.uint64),
        groups=fields[:, 2].view(np.uint64),
        totals=fields[:, 3:5],
        starts=ends - fields[:, _LENGTH],
        ends=ends,
        text=text,
    )


class ResidueSpill(AbstractContextManager["ResidueSpill"]):
    """Appends picked records to partitions by the highest bits of a hash; reads a partition back in rows' order."""

    def __init__(self, *, folder: Path, partition_bits: int, by_row: bool = False) -> None:
        self._shift = np.uint64(64 - partition_bits)
        self._by_row = by_row
        self._partitions = 1 << partition_bits
        self._file = SpillFile(folder)
        self._parts: list[list[tuple[int, int, int, int]]] = [[] for _ in range(self._partitions)]
        self.count = 0
        self.size_bytes = 0

    def add(self, added: Residue) -> None:
        if not len(added.numbers):
            return
        hashes = added.rows if self._by_row else added.groups
        partitions = (hashes >> self._shift).astype(np.int64)
        order = np.argsort(partitions, kind="stable")
        lengths = added.ends - added.starts
        text = np.empty(int(lengths.sum()), np.uint8)
        gather(added.starts, added.ends, order, address_of(text))
        fields = np.empty((len(order), _FIELDS), np.int64)
        fields[:, 0], fields[:, 3:5], fields[:, _LENGTH] = added.numbers, added.totals, lengths
        fields[:, 1], fields[:, 2] = added.rows.view(np.int64), added.groups.view(np.int64)
        fields = fields[order]
        places = np.searchsorted(partitions[order], np.arange(self._partitions + 1))
        bytes_before = np.concatenate([[0], np.cumsum(fields[:, _LENGTH])])
        fields_start, text_start = self._file.append(fields), self._file.append(text)
        for partition in np.flatnonzero(np.diff(places)).tolist():
            first, last = int(places[partition]), int(places[partition + 1])
            self._parts[partition].append(
                (
                    fields_start + first * _FIELDS * 8,
                    last - first,
                    text_start + int(bytes_before[first]),
                    int(bytes_before[last] - bytes_before[first]),
                )
            )
        self.count += len(order)
        self.size_bytes += len(text)

    def read(self, *partitions: int) -> Residue:
        """The records of some partitions; several threads may read."""
        parts = [part for partition in partitions for part in self._parts[partition]]
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
