"""Memory that a side is read into, with addresses for the kernels."""

import mmap
from contextlib import suppress
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.memory import PADDING_BYTES, Address, address_of
from app.domain.reconciliation.kernels.scanning import Scanned

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_USUAL_ROW_BYTES = 64


class Buffer:
    """A stretch of a file, with room behind it."""

    def __init__(self, size: int) -> None:
        self.size = size
        # Unlike a bytearray it takes memory as it is filled; large pages, a fifth of the time, are for private memory.
        self.bytes = mmap.mmap(-1, size + PADDING_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # records are looked up all over it
            self.bytes.madvise(mmap.MADV_HUGEPAGE)
        self._array = np.frombuffer(self.bytes, np.uint8)
        self.start = address_of(self._array)
        self._aside = np.empty((2, 0), np.uint8)

    def aside(self, longest: int) -> tuple[Address, Address]:
        """Room for two texts of a cell, without its doubled quotes and canonical; good until the next call."""
        if self._aside.shape[1] < longest + PADDING_BYTES:
            self._aside = np.empty((2, 2 * longest + PADDING_BYTES), np.uint8)
        return address_of(self._aside[0]), address_of(self._aside[1])

    def fill(self, stream: BinaryIO, held: int, limit: int) -> int:
        """Reads behind what is held, up to a limit or the file's end; gives how much there is."""
        view = memoryview(self.bytes)
        while held < limit and (read := stream.readinto(view[held:limit])):  # type: ignore[attr-defined] # typeshed's BinaryIO lacks it
            held += read
        return held

    def end_of_line(self, start: int, size: int, *, last: bool) -> int:
        """Behind the last line's end; the last line of a file gets one where it has none."""
        end = max(self.bytes.rfind(b"\n", start, size) + 1, start)
        if last and end < size:
            self.bytes[size] = ord("\n")
            return size + 1
        return end

    def keep(self, start: int, end: int) -> int:
        """Moves a stretch to the front; gives its length."""
        self.bytes.move(0, start, end - start)
        return end - start

    def is_utf8(self, start: int, end: int) -> bool:
        """Whether a stretch that begins and ends with a whole character is well formed."""
        if end <= start or self._array[start:end].max() < 0x80:  # noqa: PLR2004 - ASCII
            return True
        try:
            str(memoryview(self.bytes)[start:end], "utf-8")
        except UnicodeDecodeError:
            return False
        return True


class HeldRows:
    """Where the records of a side are, held in memory with their second hashes; no longer where it is too large."""

    def __init__(self, size_bytes: int | None, *, most_rows: int) -> None:
        """As large as the side is, or nothing is held. Of each row 20 bytes are kept besides."""
        self._most_rows = most_rows
        self.buffer = None if size_bytes is None else Buffer(size_bytes + 1)  # a full buffer tells that there is more
        self._count = 0
        about = 0 if size_bytes is None else min(size_bytes // _USUAL_ROW_BYTES, most_rows)
        self._starts = np.empty(about, np.int64)
        self._lengths = np.empty(about, np.int32)
        self._checks = np.empty(about, np.uint64)

    @property
    def fits(self) -> bool:
        return self.buffer is not None

    def add(self, rows: Scanned) -> None:
        """Takes rows of the buffer."""
        first, self._count = self._count, self._count + len(rows.starts)
        if self._count > self._most_rows:
            self.drop()
        if self.fits:
            self._make_room()
            self._starts[first : self._count] = rows.starts
            np.subtract(rows.ends, rows.starts, out=self._lengths[first : self._count], casting="same_kind")
            self._checks[first : self._count] = rows.checks

    def _make_room(self) -> None:
        room = len(self._starts)
        if self._count > room:
            for array in (self._starts, self._lengths, self._checks):
                array.resize(max(self._count, 2 * room), refcheck=False)

    def drop(self) -> None:
        """Holds nothing any more."""
        self.buffer = None
        self._starts, self._lengths, self._checks = (
            np.empty(0, array.dtype) for array in (self._starts, self._lengths, self._checks)
        )

    def find(self, numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where these rows begin and end."""
        starts = self._starts[numbers]
        return starts, starts + self._lengths[numbers]

    def checks(self, numbers: NDArray[np.int64]) -> NDArray[np.uint64]:
        return self._checks[numbers]
