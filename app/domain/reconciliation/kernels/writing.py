"""Writing differing records as lines of the table of differences, in the form of `differences`."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.blanks import blank_at, blank_before
from app.domain.reconciliation.kernels.frame import Table
from app.domain.reconciliation.kernels.kernel import entry, inner
from app.domain.reconciliation.kernels.marks import BLANK, CARRIAGE_RETURN, NEWLINE, NOT_ASCII, QUOTE, ZERO
from app.domain.reconciliation.kernels.memory import Address, byte_at, copy, has_any, put_byte
from app.domain.reconciliation.kernels.records import Work, split, written
from app.domain.reconciliation.kernels.scanning import Layout

COMMA, SEMICOLON = 44, 59


class Names(NamedTuple):
    """The left columns' names, one behind the other with their quotes doubled, and which of them want to be quoted."""

    text: Address
    ends: NDArray[np.int64]
    quoted: NDArray[np.bool_]


@inner
def _put_number(target: Address, number: int) -> Address:
    divisor = 1
    while number // divisor >= 10:
        divisor *= 10
    while divisor:
        put_byte(target, ZERO + number // divisor % 10)
        target += 1
        divisor //= 10
    return target


@inner
def _put_span(target: Address, first: Address, last: Address) -> Address:
    copy(first, last, target)
    return target + last - first


@inner
def _put_cell(target: Address, first: Address, last: Address, marked: bool) -> Address:
    """Nothing for NULL; quoted where it is empty, has blanks at an edge, or marks of the table (only if `marked`)."""
    if not first:
        return target
    if first < last and not (marked and has_any(first, last, COMMA, QUOTE, NEWLINE, CARRIAGE_RETURN)):
        edge, other_edge = byte_at(first), byte_at(last - 1)
        plain = BLANK < edge < NOT_ASCII and BLANK < other_edge < NOT_ASCII
        if plain or (not blank_at(first, last) and not blank_before(first, last)):
            return _put_span(target, first, last)
    put_byte(target, QUOTE)
    target += 1
    for place in range(first, last):
        byte = byte_at(place)
        if byte == QUOTE:
            put_byte(target, QUOTE)
            target += 1
        put_byte(target, byte)
        target += 1
    put_byte(target, QUOTE)
    return target + 1


@inner
def _is_marked(start: Address, end: Address, delimiter: int) -> bool:
    """Whether a cell of the record may have a mark of the table: a newline or comma that parts cells is in none."""
    comma = QUOTE if delimiter == COMMA else COMMA
    return has_any(start, end, comma, QUOTE, CARRIAGE_RETURN, CARRIAGE_RETURN)


@inner
def _put_names(target: Address, names: Names, changed: NDArray[np.bool_]) -> Address:
    quoted = False
    for slot in range(len(changed)):
        quoted |= changed[slot] and names.quoted[slot]
    if quoted:
        put_byte(target, QUOTE)
        target += 1
    first = True
    for slot in range(len(changed)):
        if changed[slot]:
            if not first:
                put_byte(target, SEMICOLON)
                target += 1
            first = False
            start = names.ends[slot - 1] if slot else 0
            target = _put_span(target, names.text + start, names.text + names.ends[slot])
    if quoted:
        put_byte(target, QUOTE)
        target += 1
    return target


@entry
def write_lines(
    kind: tuple[Address, Address],
    records: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]],
    layouts: tuple[Layout, Layout],
    counts: Table[np.int64],
    changed: Table[np.bool_],
    names: Names,
    keys: NDArray[np.int64],
    values: NDArray[np.int64],
    work: Work,
    target: Address,
) -> Address:
    """A line each; `records` are left starts and ends, right starts and ends (0: there is none).

    `counts`: copies, and how often the key stands on the left and on the right. Gives the end of what was written.
    """
    left_starts, left_ends, right_starts, right_ends = records
    left_layout, right_layout = layouts
    for index in range(len(left_starts)):
        has_left, has_right = left_starts[index] != 0, right_starts[index] != 0
        left_marked = right_marked = False
        if has_left:
            left_marked = _is_marked(left_starts[index], left_ends[index], left_layout.delimiter)
            split(left_starts[index], left_ends[index], left_layout, work, 0)
        if has_right:
            right_marked = _is_marked(right_starts[index], right_ends[index], right_layout.delimiter)
            split(right_starts[index], right_ends[index], right_layout, work, 1)
        target = _put_span(target, kind[0], kind[1])
        for place in range(3):
            put_byte(target, COMMA)
            target = _put_number(target + 1, counts[index, place])
        put_byte(target, COMMA)
        target = _put_names(target + 1, names, changed[index])
        for slot in keys:
            put_byte(target, COMMA)
            first, last = written(work, 0 if has_left else 1, slot)
            target = _put_cell(target + 1, first, last, left_marked if has_left else right_marked)
        for slot in values:
            put_byte(target, COMMA)
            target += 1
            if has_left:
                first, last = written(work, 0, slot)
                target = _put_cell(target, first, last, left_marked)
            put_byte(target, COMMA)
            target += 1
            if has_right:
                first, last = written(work, 1, slot)
                target = _put_cell(target, first, last, right_marked)
        put_byte(target, NEWLINE)
        target += 1
    return target
