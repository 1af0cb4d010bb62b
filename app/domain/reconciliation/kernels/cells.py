"""The grammar of CSV by bytes, as `records` has it: where a cell ends, and where a record."""

from typing import NamedTuple

from app.domain.reconciliation.kernels.kernel import inner
from app.domain.reconciliation.kernels.marks import CARRIAGE_RETURN, NEWLINE, QUOTE
from app.domain.reconciliation.kernels.memory import Address, byte_at, find_either, put_byte


class Cell(NamedTuple):
    """A cell's text, and the place of the mark that ends it.

    Without a mark the record goes on behind the block (-1), or is broken (-2).
    """

    start: Address
    end: Address
    after: Address
    quoted: bool
    doubled: bool


@inner
def next_cell(place: Address, end: Address, delimiter: int) -> Cell:
    """The cell that begins at a place of a block that ends with a line's end."""
    if byte_at(place) != QUOTE:
        stop = after = find_either(place, delimiter, NEWLINE)
        if stop > place and byte_at(stop - 1) == CARRIAGE_RETURN and byte_at(stop) == NEWLINE:
            stop -= 1
        return Cell(place, stop, after, False, False)
    start = place + 1
    place = start
    doubled = False
    while True:
        while place < end and byte_at(place) != QUOTE:
            place += 1
        if place >= end:
            return Cell(0, 0, -1, True, False)
        if byte_at(place + 1) != QUOTE:
            break
        doubled = True
        place += 2
    stop = place
    place += 1
    if byte_at(place) == CARRIAGE_RETURN and byte_at(place + 1) == NEWLINE:
        place += 1
    if byte_at(place) != delimiter and byte_at(place) != NEWLINE:
        return Cell(0, 0, -2, True, False)
    return Cell(start, stop, place, True, doubled)


@inner
def unquote(place: Address, end: Address, target: Address) -> Address:
    """Writes a quoted text with its doubled quotes made single; gives its end."""
    while place < end:
        byte = byte_at(place)
        put_byte(target, byte)
        target += 1
        place += 2 if byte == QUOTE else 1
    return target


@inner
def behind_blank_line(place: Address) -> Address:
    """The place behind a line with nothing on it; 0 where something is."""
    if byte_at(place) == NEWLINE:
        return place + 1
    if byte_at(place) == CARRIAGE_RETURN and byte_at(place + 1) == NEWLINE:
        return place + 2
    return 0


@inner
def skip_record(start: Address, end: Address, delimiter: int) -> Address:
    """Where the next record begins; 0 where this one goes on behind the block."""
    while True:
        cell = next_cell(start, end, delimiter)
        if cell.after < 0:
            return 0
        start = cell.after + 1
        if byte_at(cell.after) == NEWLINE:
            return start
