"""Reading CSV where each worker has some lines of it: where records end, and what the core reads in one of them."""

import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

from app.domain.reconciliation.records import Cells, MalformedError, Records, Side

# Up to the closing quote, past doubled ones; possessive: a doubled quote at the end of the line is no closing one.
_INSIDE = re.compile(r'[^"]*+(?:""[^"]*+)*+"')

STAYS = 2  # what `passage` gives for a line without quotes


def ends_inside(line: str, delimiter: str, *, inside: bool) -> bool:
    """Whether a quoted cell is open at the end of a line that begins a record, or that begins `inside` such a cell.

    What is no CSV ends the record: it is told when that is read.
    """
    position = 0
    while True:
        if inside:
            closed = _INSIDE.match(line, position)
            if closed is None:
                return True
            position, inside = closed.end(), False
            if not line.startswith(delimiter, position):
                return False
        elif line.startswith('"', position):
            position, inside = position + 1, True
            continue
        else:
            position = line.find(delimiter, position)
            if position < 0:
                return False
        position += len(delimiter)


def passage(line: bytes, delimiter: str) -> int:
    """How a line changes whether a quoted cell is open: from closed to its first bit, from open to its second one."""
    text = line.decode(errors="surrogateescape")
    return ends_inside(text, delimiter, inside=False) | ends_inside(text, delimiter, inside=True) << 1


def block_states(blocks: Iterable[Any]) -> list[tuple[int, bool, int | None]]:
    """By block whether a cell is open at its start, and the line that the record there began with.

    A block tells how many of its lines turn the state around; the last line that sets it, as the state and the turns
    before; and where its last record begins, from either state at its start.
    """
    states: list[tuple[int, bool, int | None]] = []
    is_open, begun = False, None
    for block, turns, was_set, last_begun in sorted(blocks, key=lambda row: row[0]):
        states.append((block, is_open, begun))
        last = last_begun[is_open]
        begun = begun if last is None else last
        is_open = (is_open if was_set is None else was_set[0]) != bool((turns - (was_set[1] if was_set else 0)) % 2)
    return states


def header_of(lines: Sequence[bytes], delimiter: str) -> int:
    """How many lines the first record has; 0 where it goes on after these, or there are none."""
    inside = False
    for count, line in enumerate(lines, start=1):
        inside = ends_inside(line.decode(errors="surrogateescape"), delimiter, inside=inside)
        if not inside:
            return count
    return 0


def read_header(side: Side) -> tuple[str | None, ...]:
    """Raises: MalformedError."""
    with Records(side, lambda _: None) as records:
        return records.header


class RecordReader:
    """Reads single records of a file whose header is known, as the core reads them in the file."""

    def __init__(self, *, header: bytes, width: int, delimiter: str) -> None:
        self._header = header + b"\n"
        self._width = width
        self._delimiter = delimiter

    def cells(self, record: bytes) -> Cells | None:
        """None for a blank line. Raises: MalformedError, whose line is the record's from 1 on."""
        if b'"' not in record:
            try:
                cells: Cells = [cell or None for cell in record.decode().removesuffix("\r").split(self._delimiter)]
            except UnicodeDecodeError:
                return self._as_the_core(record)
            if len(cells) == self._width:
                return cells
        return self._as_the_core(record)

    def _as_the_core(self, record: bytes) -> Cells | None:
        text = self._header + record + b"\n"
        side = Side(open=lambda: io.BytesIO(text), size_bytes=len(text), delimiter=self._delimiter, name="")
        try:
            with Records(side, lambda _: None) as records:
                return next(iter(records), None)
        except MalformedError as error:
            problem = error.message.removeprefix(f", line {error.line}: ")
            raise MalformedError("", error.line - self._header.count(b"\n"), problem) from None


def problem_of(error: MalformedError) -> str:
    """The words without side and line."""
    return error.message.removeprefix(f"{error.side}, line {error.line}: ")
