"""Makes one plain CSV file of what a table is made of: unpacked, converted, parts put together."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType

from app.domain.delimiters import find_delimiter
from app.domain.errors import InvalidError
from app.domain.reconciliation.records import Side
from app.outputs.base import StorageError
from app.outputs.compression import is_packed, unpacked
from app.outputs.parquet_types import MAGIC
from app.outputs.parts import Part
from app.outputs.scratch import nameless_file, refuse_without_room

_START_BYTES = 64 * 1024
_PIECE_BYTES = 2**20
_LONGEST_HEADER_BYTES = 16 * 2**20
_BOM = b"\xef\xbb\xbf"
_ZEROS_OF_UTF16 = 0.2  # of the bytes: in Western text half of them are, in other scripts the line ends at least
_OTHERS = {  # a header may well begin with ORC
    re.compile(rb"PK\x03\x04"): "a ZIP archive, as Excel's workbooks are",
    re.compile(rb"\xd0\xcf\x11\xe0"): "an old Excel workbook",
    re.compile(rb"ORC.*\0", re.DOTALL): "an ORC file",
    re.compile(rb"Obj\x01.*avro\.schema", re.DOTALL): "an Avro file",
    re.compile(rb".{257}ustar", re.DOTALL): "a tar archive",
    re.compile(rb"\xff\xfe|\xfe\xff"): "UTF-16",
}

# Hears, again and again, how many bytes of how many were brought; an error that it raises ends the bringing.
Heard = Callable[[int, int | None], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvFile:
    """A file that is there while its context is open; a copy has no name, and other processes open it by `path`."""

    path: Path
    size_bytes: int
    delimiter: str
    name: str
    copied: bool

    def side(self) -> Side:
        """The file as a side of a comparison."""
        return Side(
            open=lambda: self.path.open("rb"), size_bytes=self.size_bytes, delimiter=self.delimiter, name=self.name
        )


@contextmanager
def plain_csv(
    parts: Sequence[Part], *, name: str, delimiter: str | None, scratch: Path, heard: Heard
) -> Iterator[CsvFile]:
    """The table as one file: the very file where it is a plain CSV of this machine, else a copy in `scratch`.

    Raises: InvalidError for what is no CSV, NotFoundError, StorageError.
    """
    (first, *more) = parts
    if not more and first.path is not None and _is_plain(first, first.path):
        yield _described(first.path, name=name, delimiter=delimiter, copied=False)
        return
    bringing = _Bringing(parts, heard)
    with nameless_file(scratch) as path:
        with _Target(path, scratch=scratch) as target:
            joined = _Joined(target, delimiter=delimiter or ",", bringing=bringing, alone=not more)
            for part in parts:
                joined.add(part)
        yield _described(path, name=name, delimiter=joined.delimiter or delimiter, copied=True)


class _Bringing:
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


class _Target(AbstractContextManager["_Target"]):
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


class _Joined:
    """The file that parts are added to; the header of each but the first is left out, and must be the first one's."""

    def __init__(self, target: _Target, *, delimiter: str, bringing: _Bringing, alone: bool) -> None:
        self.delimiter: str | None = None  # where a conversion has chosen it
        self._target = target
        self._wanted = delimiter
        self._bringing = bringing
        self._alone = alone
        self._first: tuple[str, bytes] | None = None  # a part's name and its header

    def add(self, part: Part) -> None:
        if part.path is not None and _is_parquet(part.path):
            self._convert(part, part.path)
        else:
            self._bring(part)
        self._bringing.end_part()

    def _bring(self, part: Part) -> None:
        start, pieces = _peeked(part.pieces(self._bringing.tell))
        if packed := is_packed(start):
            start, pieces = _peeked(unpacked(pieces, start=start, name=part.name))
        elif part.size_bytes is not None:
            refuse_without_room(self._target.scratch, part.size_bytes)
        if start.startswith(MAGIC):
            self._bring_parquet(part, pieces)
        else:
            _refuse_others(start, part.name, packed=packed)
            self._write(part, pieces)

    def _bring_parquet(self, part: Part, pieces: Iterator[bytes]) -> None:
        with nameless_file(self._target.scratch) as copy:
            with _Target(copy, scratch=self._target.scratch) as target:
                for piece in pieces:
                    target.write(piece)
            if _is_parquet(copy):
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


def _described(path: Path, *, name: str, delimiter: str | None, copied: bool) -> CsvFile:
    size_bytes = path.stat().st_size
    if delimiter is None:
        with path.open("rb") as file:
            delimiter = find_delimiter(file.read(_START_BYTES), whole=size_bytes <= _START_BYTES)
    return CsvFile(path=path, size_bytes=size_bytes, delimiter=delimiter, name=name, copied=copied)


def _is_plain(part: Part, path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(_START_BYTES)
    if is_packed(start) or _is_parquet(path):
        return False
    _refuse_others(start, part.name, packed=False)
    return True


def _is_parquet(path: Path) -> bool:
    """A CSV may begin so, but does not end so as well."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC or file.seek(0, 2) < 2 * len(MAGIC):
            return False
        file.seek(-len(MAGIC), 2)
        return file.read() == MAGIC


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _refuse_others(start: bytes, name: str, *, packed: bool) -> None:
    """Raises: InvalidError for what the comparison would not read, or take for something else in silence."""
    looked_at = start[:_START_BYTES]
    kind = next((kind for shape, kind in _OTHERS.items() if shape.match(looked_at)), None)
    if kind is None and looked_at.count(0) > len(looked_at) * _ZEROS_OF_UTF16:
        kind = "UTF-16, or binary"
    if kind is not None:
        raise InvalidError(
            f"{name} cannot be compared. {'What is packed in it is' if packed else 'It is'} {kind}: save it as CSV in"
            " UTF-8, or as Parquet."
        )


def _peeked(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The start, which is shorter than asked for where all is; and everything."""
    start = b""
    for piece in pieces:
        start += piece
        if len(start) >= _START_BYTES:
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
