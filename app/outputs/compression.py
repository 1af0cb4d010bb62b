"""Streams that are unpacked as they are read, known by their first bytes and not by their names."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from app.domain.errors import InvalidError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_READ_BYTES = 2**20


class PieceFile(io.RawIOBase):
    """Pieces as a file that is read once, from its start to its end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        target = memoryview(buffer).cast("B")
        count = min(len(target), len(self._rest))
        target[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def is_packed(start: bytes) -> bool:
    return any(start.startswith(magic) for magic in _OPENERS)


def unpacked(pieces: Iterator[bytes], *, start: bytes, name: str) -> Iterator[bytes]:
    """What the pieces hold, whose first bytes are `start`, within bounded memory; several members follow each other.

    Raises: InvalidError where they are damaged or end too soon.
    """
    opener = next(opener for magic, opener in _OPENERS.items() if start.startswith(magic))
    source = _Watched(pieces)
    try:
        with opener(io.BufferedReader(PieceFile(iter(source)), _READ_BYTES)) as stream:
            while piece := stream.read(_READ_BYTES):
                yield piece
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        if source.error is not None:
            raise
        raise InvalidError(f"{name} cannot be unpacked, for it is damaged or incomplete: {error}") from error


class _Watched:
    """Keeps in mind what went wrong in bringing the pieces, to tell it from what is wrong with them."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.error: BaseException | None = None
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except BaseException as error:
            self.error = error
            raise


def _zstandard(file: io.BufferedReader) -> Any:
    try:
        pa = import_module("pyarrow")
    except ImportError as error:
        raise InvalidError(
            "Zstandard is unpacked by pyarrow, which is not installed: install data-phantom[pyspark], or unpack it."
        ) from error
    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


_OPENERS: Mapping[bytes, Callable[[io.BufferedReader], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"\x28\xb5\x2f\xfd": _zstandard,
    **{b"BZh%d1AY&SY" % level: bz2.BZ2File for level in range(1, 10)},
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
