"""A file that is far away, read from its start by ranges which grow."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_FIRST_BYTES = 64 * 1024
_MOST_BYTES = 2**20


class RangedFile(io.RawIOBase):
    """`read` gives the bytes between two offsets: fewer at the file's end, none behind it."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        super().__init__()
        self._read = read
        self._position = 0
        self._wanted = _FIRST_BYTES
        self._block = memoryview(b"")
        self._ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        if not self._block and not self._ended:
            data = self._read(self._position, self._position + self._wanted)
            self._ended = len(data) < self._wanted
            self._position += len(data)
            self._wanted = min(self._wanted * 2, _MOST_BYTES)
            self._block = memoryview(data)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._block))
        target[:count] = self._block[:count]
        self._block = self._block[count:]
        return count
