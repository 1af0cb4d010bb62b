"""Reads CSV back as it was written: NULL (an unquoted empty field) is None, the empty string is "".

Python's csv module takes both for "". Quoted line breaks are kept, lines may end with CRLF, the last newline may be
missing. Memory is bounded by the longest record.
"""

from collections.abc import Iterable, Iterator

from app.domain.errors import InvalidError

Record = list[str | None]


class IncompleteRecordError(InvalidError):
    """The text ends inside a quoted field."""


def read_records(chunks: Iterable[str], delimiter: str) -> Iterator[Record]:
    """The records of a CSV text that comes in chunks of any size; an empty line is one NULL.

    Raises: InvalidError where a quoted field is followed by text, or never closed.
    """
    open_record: _QuotedRecord | None = None
    for number, line in _lines(chunks):
        if open_record is None:
            if '"' not in line:
                yield [cell or None for cell in line.removesuffix("\r").split(delimiter)]
                continue
            open_record = _QuotedRecord(delimiter=delimiter, line_number=number)
        if open_record.take(line):
            yield open_record.cells
            open_record = None
    if open_record is not None:
        raise IncompleteRecordError(
            f"The CSV ends inside a quoted field; its record starts in line {open_record.line_number}"
        )


class _QuotedRecord:
    """A record with quotes in it, gathered from one line or from several."""

    def __init__(self, *, delimiter: str, line_number: int) -> None:
        self.cells: Record = []
        self.line_number = line_number
        self._delimiter = delimiter
        self._open_field: list[str] | None = None  # the pieces of a quoted field that is not closed yet

    def take(self, line: str) -> bool:
        """Read one more line; True when the record is complete."""
        position = 0
        if self._open_field is not None:
            self._open_field.append("\n")  # the break that parted the lines belongs to the field
            end = self._quoted(line, 0)
            if end is None:
                return False
            position = end
        while position <= len(line):
            if line.startswith('"', position):
                self._open_field = []
                end = self._quoted(line, position + 1)
                if end is None:
                    return False
                position = end
            else:
                position = self._plain(line, position)
        return True

    def _plain(self, line: str, start: int) -> int:
        """Read an unquoted field; gives where the next field starts, beyond the line's end where there is none."""
        end = line.find(self._delimiter, start)
        if end < 0:
            self.cells.append(line[start:].removesuffix("\r") or None)
            return len(line) + 1
        self.cells.append(line[start:end] or None)
        return end + 1

    def _quoted(self, line: str, start: int) -> int | None:
        """Read a quoted field from behind its opening quote; None where it goes on in the next line."""
        pieces = self._open_field if self._open_field is not None else []
        position = start
        while True:
            end = line.find('"', position)
            if end < 0:
                pieces.append(line[position:])
                return None
            pieces.append(line[position:end])
            if not line.startswith('"', end + 1):
                break
            pieces.append('"')
            position = end + 2
        self._open_field = None
        self.cells.append("".join(pieces))
        rest = end + 1
        if line.startswith(self._delimiter, rest):
            return rest + 1
        if line[rest:] not in {"", "\r"}:
            raise InvalidError(
                f"The CSV has text after a closing quote in the record that starts in line {self.line_number}:"
                f" {line[rest : rest + 20]!r}"
            )
        return len(line) + 1


def _lines(chunks: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, parted at newlines alone (str.splitlines knows many more)."""
    number = 1
    pending: list[str] = []
    for chunk in chunks:
        first, *more = chunk.split("\n")
        pending.append(first)
        for line in more:
            yield number, "".join(pending)
            number += 1
            pending = [line]
    last = "".join(pending)
    if last:
        yield number, last
