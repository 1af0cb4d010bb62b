"""The two sides as the command line names them: any source, as a side that is ready to be compared."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import InvalidError
from app.domain.reconciliation.records import Records, Side
from app.domain.reconciliation.wording import delimiter_told, size_told
from app.outputs.plain_csv import CsvFile
from app.outputs.sources import open_source
from app.reconcile.columns import Header

Show = Callable[[str, float | None], None]  # what is being done, and how far it is where that is known

_DELIMITERS = {
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "tab": "\t",
    "\\t": "\t",
    "ctrl-a": "\x01",
    "^a": "\x01",
    "\\x01": "\x01",
    "\\001": "\x01",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """`file` is a plain CSV file: what was named, or a copy for as long as it is compared."""

    location: str
    file: CsvFile
    header: Header

    @property
    def side(self) -> Side:
        return self.file.side()

    def told(self) -> str:
        form = " as CSV" if self.file.copied else ""
        return f"{size_told(self.file.size_bytes)}{form}, {delimiter_told(self.file.delimiter)}"


@contextmanager
def opened(location: str, *, delimiter: str | None, scratch: Path | None, show: Show) -> Iterator[Source]:
    """Without a delimiter, the one that the first lines tell.

    Raises: NotFoundError, InvalidError, StorageError; MalformedError for what has no header.
    """

    def heard(done: int, total: int | None) -> None:
        show(f"Reading {location}", done / total if total else None)

    folder = scratch or Path(tempfile.gettempdir())
    address = "/dev/stdin" if location == "-" else location
    with open_source(address, name=location, delimiter=delimiter, scratch=folder, heard=heard) as file:
        with Records(file.side(), lambda _: None) as records:
            columns = tuple(name or "" for name in records.header)
        yield Source(location=location, file=file, header=Header(name=location, columns=columns))


def delimiter_named(text: str) -> str:
    r"""One character as it is, or a name for what is hard to type: `tab`, `\t`, `\x01`."""
    named = _DELIMITERS.get(text.lower(), text)
    if len(named) != 1 or named in '"\r\n':
        raise InvalidError(
            f"{text!r} is no delimiter: give one character, or one of comma, semicolon, pipe, tab and \\x01."
        )
    return named
