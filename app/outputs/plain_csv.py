"""The table of a source as one plain CSV file of this machine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.delimiters import find_delimiter
from app.domain.reconciliation.records import Side
from app.outputs.contents import START_BYTES, is_plain_text
from app.outputs.joining import Bringing, Heard, Joined, Target
from app.outputs.parts import Part
from app.outputs.scratch import nameless_file


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
    if not more and first.path is not None and is_plain_text(first.path, first.name):
        yield _described(first.path, name=name, delimiter=delimiter, copied=False)
        return
    bringing = Bringing(parts, heard)
    with nameless_file(scratch) as path:
        with Target(path, scratch=scratch) as target:
            joined = Joined(target, delimiter=delimiter or ",", bringing=bringing, alone=not more)
            for part in parts:
                joined.add(part)
        yield _described(path, name=name, delimiter=joined.delimiter or delimiter, copied=True)


def _described(path: Path, *, name: str, delimiter: str | None, copied: bool) -> CsvFile:
    size_bytes = path.stat().st_size
    if delimiter is None:
        with path.open("rb") as file:
            delimiter = find_delimiter(file.read(START_BYTES), whole=size_bytes <= START_BYTES)
    return CsvFile(path=path, size_bytes=size_bytes, delimiter=delimiter, name=name, copied=copied)
