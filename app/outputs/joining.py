"""Puts the parts of a table together in one file: unpacked, converted, with one header."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from itertools import chain
from pathlib import Path
from types import TracebackType

from app.domain.errors import InvalidError
from app.outputs.base import StorageError
from app.outputs.compression import is_packed, unpacked
from app.outputs.contents import START_BYTES, is_parquet, refuse_others
from app.outputs.parquet_types import MAGIC
from app.outputs.parts import Part
from app.outputs.scratch import nameless_file, refuse_without_room

_PIECE_BYTES = 2**20
_LONGEST_HEADER_BYTES = 16 * 2**20
_BOM = b"\xef\xbb\xbf"

# Hears, again and again, how many bytes of how many were brought; an error that it raises ends the bringing.
Heard = Callable[[int, int | None], None]


class Bringing:
    """How much of all parts was brought."""

    def __init__(self, parts: Sequence[Part], heard: Heard) -> None:
        sizes = [part.size_bytes for part in parts]
        self._total = None if None in sizes else sum(size or 0 for size in sizes)
        self._before = self._of_part = 0
        self._heard = heard
        self.tell(0)

    def tell(self, of_part: int) -> None:
        self._of_part = of_part
        self._heard(self._before + of_part, self._total)

    def again(self) -> None:
        """Nothing new, but somebody may want to end it."""
        self.tell(self._of_part)

    def end_part(self) -> None:
        self._before, self._of_part = self._before + self._of_part, 0


class Target(AbstractContextManager["Target"]):
    """A temporary file that is written to its end. Raises: StorageError where the disk takes no more."""

    def __init__(self, path: Path, *, scratch: Path) -> None:
        self.path = path
        self.scratch = scratch
        self.ends_line = True
        self._file = path.open("r+b", buffering=0)

    def write(self, piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:  # unbuffered: a write may take a part alone
                left = left[self._file.write(left) :]
        except OSError as error:
            raise StorageError(
                f"A temporary copy finds no room in {self.scratch} ({error.strerror}): free space there, or name a"
                " folder of a larger disk.",
                retriable=False,
            ) from error
        if piece:
            self.ends_line = piece.endswith(b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


class Joined:
    """The file that parts are added to; the header of each but the first is left out, and must be the first one's."""

    def __init__(self, target: Target, *, delimiter: str, bringing: Bringing, alone: bool) -> None:
        self.delimiter: str | None = None  # where a conversion has chosen it
        self._target = target
        self._wanted = delimiter
        self._bringing = bringing
        self._alone = alone
        self._first: tuple[str, bytes] | None = None  # a part's name and its header

    def add(self, part: Part) -> None:
        if part.path is not None and is_parquet(part.path):
            self._convert(part, part.path)
        else:
            self._bring(part)
        self._bringing.end_part()

    def _bring(self, part: Part) -> None:
        with closing(part.pieces(self._bringing.tell)) as brought:
            start, pieces = _peeked(brought)
            if packed := is_packed(start):
                start, pieces = _peeked(unpacked(pieces, start=start, name=part.name))
            elif part.size_bytes is not None:
                refuse_without_room(self._target.scratch, part.size_bytes)
            if start.startswith(MAGIC):
                self._bring_parquet(part, pieces)
            else:
                refuse_others(start, part.name, packed=packed)
                self._write(part, pieces)

    def _bring_parquet(self, part: Part, pieces: Iterator[bytes]) -> None:
        with nameless_file(self._target.scratch) as copy:
            with Target(copy, scratch=self._target.scratch) as target:
                for piece in pieces:
                    target.write(piece)
            if is_parquet(copy):
                self._convert(part, copy)
            else:
                self._write(part, _read(copy))

    def _convert(self, part: Part, parquet: Path) -> None:
        from app.outputs.parquet import write_csv  # noqa: PLC0415 - DuckDB takes 0.1 s to import, for nothing with CSV

        self.delimiter = self._wanted
        if self._alone:
            write_csv(parquet, self._target.path, delimiter=self._wanted, look_up=self._bringing.again)
            return
        with nameless_file(self._target.scratch) as csv:
            write_csv(parquet, csv, delimiter=self._wanted, look_up=self._bringing.again)
            self._write(part, _read(csv))

    def _write(self, part: Part, pieces: Iterator[bytes]) -> None:
        if not self._alone:
            pieces = self._without_header(part, pieces)
        for piece in pieces:
            self._target.write(piece)

    def _without_header(self, part: Part, pieces: Iterator[bytes]) -> Iterator[bytes]:
        header, rest = _header(pieces, part.name)
        if self._first is None:
            self._first = (part.name, header)
            self._target.write(header)
        elif _plain(header) != _plain(self._first[1]):
            raise InvalidError(
                f"{part.name} has another header than {self._first[0]}: the parts of a table each have one, all alike."
            )
        if not self._target.ends_line:
            self._target.write(b"\n")
        return rest


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _peeked(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The start, which is shorter than asked for where all is; and everything."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= START_BYTES:
            break
    return start, chain([start], pieces)


def _header(pieces: Iterator[bytes], name: str) -> tuple[bytes, Iterator[bytes]]:
    """The first record with its end, and what follows it."""
    text = b""
    for piece in pieces:
        text += piece
        if (end := _end_of_record(text)) is not None:
            return text[:end], chain([text[end:]], pieces)
        if len(text) > _LONGEST_HEADER_BYTES:
            raise InvalidError(f"{name} cannot be compared. It has no line end in its first 16 MiB: is this CSV?")
    return text, iter(())


def _end_of_record(text: bytes) -> int | None:
    """Where the first line ends that has no quote left open; a doubled quote opens and closes nothing."""
    start, quotes = 0, 0
    while (end := text.find(b"\n", start)) >= 0:
        quotes += text.count(b'"', start, end)
        start = end + 1
        if not quotes % 2:
            return start
    return None


def _plain(header: bytes) -> bytes:
    return header.removeprefix(_BOM).rstrip(b"\r\n")
