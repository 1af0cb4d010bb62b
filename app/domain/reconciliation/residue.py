"""The rows that have no equal on the other side: their records, kept on disk by partition until they are resolved."""

from array import array
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.framing import HEAD_BYTES, frame, unframe
from app.domain.reconciliation.kernels.matching import FIELDS, GROUP, NUMBER, ROW, Entries, no_entries
from app.domain.reconciliation.kernels.memory import PADDING_BYTES, address_of
from app.domain.reconciliation.scan import bytes_at
from app.domain.reconciliation.spill import SpillFile

_HELD_BYTES = 16 << 20  # of all partitions together


@dataclass(frozen=True, kw_only=True, slots=True)
class Residue:
    """Records of one side: arrays of one length, and what holds the bytes that `starts` and `ends` are addresses in.

    `totals`, of shape (n, 2), says how often a record's key (without keys, the row) stands on the left and on the
    right; zeros where that was not looked up yet.
    """

    entries: Entries
    totals: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    held_by: object

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def numbers(self) -> NDArray[np.int64]:
        return self.entries[:, NUMBER]

    @classmethod
    def none(cls) -> "Residue":
        """No records."""
        return cls(
            entries=no_entries(),
            totals=np.zeros((0, 2), np.int64),
            starts=np.empty(0, np.int64),
            ends=np.empty(0, np.int64),
            held_by=None,
        )

    def part(self, places: NDArray[np.int64]) -> "Residue":
        """Some of the records."""
        return Residue(
            entries=self.entries[places],
            totals=self.totals[places],
            starts=self.starts[places],
            ends=self.ends[places],
            held_by=self.held_by,
        )

    def longest(self) -> int:
        """Bytes of the longest record."""
        return int((self.ends - self.starts).max()) if len(self) else 0

    def record(self, place: int) -> bytes:
        return bytes_at(int(self.starts[place]), int(self.ends[place]))

    def records(self, places: Sequence[int]) -> list[bytes]:
        return [self.record(place) for place in places]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remainder:
    """Whole groups of both sides; the places of their pairs, of shape (n, 2), where no group has two rows of a side."""

    left: Residue
    right: Residue
    pairs: NDArray[np.int64] | None = None


class ResidueSpill(AbstractContextManager["ResidueSpill"]):
    """Appends records to partitions by the highest bits of a hash; reads partitions back in rows' order."""

    def __init__(self, *, folder: Path, partition_bits: int, by_row: bool = False) -> None:
        self._shift = 64 - partition_bits
        self._field = ROW if by_row else GROUP
        partitions = 1 << partition_bits
        self._capacity = _HELD_BYTES >> partition_bits
        self._hands = np.empty((0, self._capacity), np.uint8)
        self._held = np.zeros(partitions, np.int64)
        self._file = SpillFile(folder)
        self._pieces = [array("q") for _ in range(partitions)]  # place, size; place, size; …
        self._counts = np.zeros(partitions, np.int64)
        self.count = 0
        self.size_bytes = 0

    def add(self, added: Residue, notes: NDArray[np.int64]) -> None:
        """Copies records, each with a note."""
        if not len(self._hands):
            self._hands = np.empty((len(self._held), self._capacity), np.uint8)
        done, full = 0, 0
        while full >= 0:
            done, full = frame(
                added.entries,
                notes,
                added.starts,
                added.ends,
                done,
                self._field,
                self._shift,
                address_of(self._hands),
                self._capacity,
                self._held,
            )
            if full >= 0 and self._held[full]:
                self._write(full, self._hands[full, : self._held[full]])
                self._held[full] = 0
            elif full >= 0:  # it is longer than a hand
                self._write(full, _framed(added, done, int(notes[done])))
                done += 1
        partitions = added.entries[:, self._field].view(np.uint64) >> np.uint64(self._shift)
        self._counts += np.bincount(partitions.astype(np.int64), minlength=len(self._counts))
        self.count += len(added)
        self.size_bytes += int((added.ends - added.starts).sum())

    def read(self, partitions: Sequence[int]) -> tuple[Residue, NDArray[np.int64]]:
        """The records of some partitions, and their notes; several threads may read."""
        these = np.array(partitions, np.int64)
        count = int(self._counts[these].sum())
        size_bytes = sum(sum(self._pieces[partition][1::2]) for partition in partitions)
        text = np.empty(size_bytes + int(self._held[these].sum()) + PADDING_BYTES, np.uint8)
        done = 0
        for partition in partitions:
            written = self._pieces[partition]
            for place, size in zip(written[::2], written[1::2], strict=True):
                self._file.read_into(text[done : done + size], place)
                done += size
            if size := int(self._held[partition]):
                text[done : done + size] = self._hands[partition, :size]
                done += size
        residue = Residue(
            entries=np.empty((count, FIELDS), np.int64),
            totals=np.zeros((count, 2), np.int64),
            starts=np.empty(count, np.int64),
            ends=np.empty(count, np.int64),
            held_by=text,
        )
        notes = np.empty(count, np.int64)
        unframe(address_of(text), residue.entries, notes, residue.starts, residue.ends)
        return residue, notes

    def largest(self) -> int:
        """Rows of the partition that has most."""
        return int(self._counts.max())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.__exit__(kind, error, traceback)

    def _write(self, partition: int, framed: NDArray[np.uint8]) -> None:
        self._pieces[partition].extend((self._file.append(framed), len(framed)))


def _framed(residue: Residue, place: int, note: int) -> NDArray[np.uint8]:
    """One record as `frame` writes it."""
    record = residue.record(place)
    framed = np.zeros(HEAD_BYTES + (len(record) + 7 & ~7), np.uint8)
    framed[:HEAD_BYTES].view(np.int64)[:] = [*residue.entries[place].tolist(), note, len(record)]
    framed[HEAD_BYTES : HEAD_BYTES + len(record)] = np.frombuffer(record, np.uint8)
    return framed
