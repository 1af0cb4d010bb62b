"""Looking into records: the texts of their mapped cells, whether two cells are equal, and which of two comes first."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.domain.reconciliation.kernels.cells import Cell, next_cell, unquote
from app.domain.reconciliation.kernels.frame import Table
from app.domain.reconciliation.kernels.kernel import inner
from app.domain.reconciliation.kernels.marks import MINUS, NINE, NULL, POINT, UNDECIDED, ZERO
from app.domain.reconciliation.kernels.memory import PADDING_BYTES, Address, address_of, byte_at
from app.domain.reconciliation.kernels.scanning import Layout
from app.domain.reconciliation.kernels.texts import Span, canonical, is_number

EQUAL, DIFFERENT, NEAR, UNSURE = 0, 1, 2, 3  # unsure: Python has to look
_MOST_DIGITS = 18  # that an int64 holds
_EXACT_FLOAT = 1 << 53
_MOST_SCALE = 22  # powers of ten up to this are exact floats
_MARGIN = 1e-12  # beyond what floats may round on the way
_TENS = 10.0 ** np.arange(_MOST_SCALE + 1)
_SIDES = 2


class Work(NamedTuple):
    """Room to look into one record of each side: cells' starts (0: NULL) and ends, and texts set aside.

    And to compare them: which cells are written differently, and how far apart numbers are.
    """

    firsts: Table[np.int64]
    lasts: Table[np.int64]
    doubled: Table[np.bool_]
    texts: NDArray[np.int64]
    scratch: NDArray[np.int64]
    unlike: NDArray[np.bool_]
    distances: NDArray[np.float64]


def new_work(columns: int, longest: int) -> tuple[Work, NDArray[np.uint8]]:
    """For records of up to `longest` bytes; what comes second has to be kept as long as the first is used."""
    room = np.empty((2 * _SIDES, longest + PADDING_BYTES), np.uint8)
    work = Work(
        firsts=np.zeros((_SIDES, columns), np.int64),
        lasts=np.zeros((_SIDES, columns), np.int64),
        doubled=np.zeros((_SIDES, columns), np.bool_),
        texts=np.array([address_of(room[0]), address_of(room[1])]),
        scratch=np.array([address_of(room[2]), address_of(room[3])]),
        unlike=np.ones(columns, np.bool_),
        distances=np.empty(columns, np.float64),
    )
    return work, room


@inner
def keep_cell(cell: Cell, work: Work, side: int, slot: int) -> None:
    work.firsts[side, slot] = 0 if not cell.quoted and cell.start == cell.end else cell.start
    work.lasts[side, slot] = cell.end
    work.doubled[side, slot] = cell.doubled


@inner
def split(start: Address, end: Address, layout: Layout, work: Work, side: int) -> None:
    """Finds the mapped cells of a whole record."""
    address = start
    for column in range(len(layout.slots)):
        cell = next_cell(address, end, layout.delimiter)
        slot = layout.slots[column]
        if slot >= 0:
            keep_cell(cell, work, side, slot)
        address = cell.after + 1


@inner
def written(work: Work, side: int, slot: int) -> tuple[Address, Address]:
    """A cell's text as it is written, without quotes; 0 where it is NULL. Good until the next call for that side."""
    first, last = work.firsts[side, slot], work.lasts[side, slot]
    if first and work.doubled[side, slot]:
        return work.texts[side], unquote(first, last, work.texts[side])
    return first, last


@inner
def canonical_cell(work: Work, side: int, slot: int, options: int) -> Span:
    """A cell's canonical text. Good until the next call for that side."""
    first, last = written(work, side, slot)
    if not first:
        return Span(NULL, first, first)
    return canonical(first, last, work.scratch[side], options)


@inner
def same_bytes(first: Address, last: Address, other_first: Address, other_last: Address) -> bool:
    if last - first != other_last - other_first:
        return False
    for offset in range(last - first):
        if byte_at(first + offset) != byte_at(other_first + offset):
            return False
    return True


@inner
def decimal_of(first: Address, last: Address) -> tuple[bool, int, int]:
    """A canonical number as an integer and the digits behind its point; False where it is too long for that."""
    value = digits = scale = 0
    negative = byte_at(first) == MINUS
    behind = False
    for place in range(first + 1 if negative else first, last):
        byte = byte_at(place)
        if byte == POINT:
            behind = True
        elif ZERO <= byte <= NINE:
            value = value * 10 + byte - ZERO
            digits += 1
            scale += behind
        else:
            return False, 0, 0
        if digits > _MOST_DIGITS:
            return False, 0, 0
    return True, (-value if negative else value), scale


@inner
def plain_decimal(first: Address, last: Address) -> tuple[bool, int, int]:
    """A number as most are written, as `decimal_of` gives it.

    That is: few digits, none of them a needless zero in front, and perhaps a minus and a point; False for all else.
    """
    negative = byte_at(first) == MINUS
    start = first + 1 if negative else first
    if not 0 < last - start <= _MOST_DIGITS or (byte_at(start) == ZERO and last - start > 1):
        return False, 0, 0
    value, point = 0, last
    for place in range(start, last):
        byte = byte_at(place)
        if ZERO <= byte <= NINE:
            value = value * 10 + byte - ZERO
        elif byte == POINT and point == last and start < place < last - 1:
            point = place
        else:
            return False, 0, 0
    return value != 0 or not negative, (-value if negative else value), (last - point - 1 if point < last else 0)


@inner
def compare_cells(work: Work, slot: int, options: int, absolute: float, relative: float) -> tuple[int, float]:
    """How a cell of the left record and its counterpart are related, and how far apart two numbers are (else -1)."""
    first, last = work.firsts[0, slot], work.lasts[0, slot]
    other_first, other_last = work.firsts[1, slot], work.lasts[1, slot]
    if not first and not other_first:
        return EQUAL, -1.0
    as_written = first and other_first and not work.doubled[0, slot] and not work.doubled[1, slot]
    if as_written and same_bytes(first, last, other_first, other_last):
        return EQUAL, -1.0
    if as_written:
        known, value, scale = plain_decimal(first, last)
        if known:
            known, other_value, other_scale = plain_decimal(other_first, other_last)
            if known:
                return _compare_decimals((value, scale), (other_value, other_scale), absolute, relative)
    left, right = canonical_cell(work, 0, slot, options), canonical_cell(work, 1, slot, options)
    if left.where == UNDECIDED or right.where == UNDECIDED:
        return UNSURE, -1.0
    if left.where == NULL or right.where == NULL:
        return (EQUAL if left.where == right.where else DIFFERENT), -1.0
    if same_bytes(left.start, left.end, right.start, right.end):
        return EQUAL, -1.0
    if not is_number(left.start, left.end) or not is_number(right.start, right.end):
        return DIFFERENT, -1.0
    return _compare_numbers(left, right, absolute, relative)


@inner
def _compare_numbers(left: Span, right: Span, absolute: float, relative: float) -> tuple[int, float]:
    """Two numbers by their canonical texts."""
    known, value, scale = decimal_of(left.start, left.end)
    other_known, other_value, other_scale = decimal_of(right.start, right.end)
    if not known or not other_known:
        return UNSURE, -1.0
    return _compare_decimals((value, scale), (other_value, other_scale), absolute, relative)


@inner
def _compare_decimals(
    one: tuple[int, int], other: tuple[int, int], absolute: float, relative: float
) -> tuple[int, float]:
    """Two numbers as integers with the digits behind their points.

    Their distance is the float nearest to the exact one, or it is unsure.
    """
    value, scale = one
    other_value, other_scale = other
    tens, other_tens = _TENS[scale], _TENS[other_scale]
    while scale < other_scale:
        if abs(value) >= _EXACT_FLOAT:
            return UNSURE, -1.0
        value, scale = value * 10, scale + 1
    while other_scale < scale:
        if abs(other_value) >= _EXACT_FLOAT:
            return UNSURE, -1.0
        other_value, other_scale = other_value * 10, other_scale + 1
    between = abs(value - other_value)
    if between == 0:
        return EQUAL, -1.0
    if between >= _EXACT_FLOAT:
        return UNSURE, -1.0
    apart = between / _TENS[scale]
    if absolute == 0.0 and relative == 0.0:
        return DIFFERENT, apart
    largest = max(abs(one[0]) / tens, abs(other[0]) / other_tens)
    allowed = max(absolute, relative * largest)
    if apart > allowed * (1 + _MARGIN):
        return DIFFERENT, apart
    if apart < allowed * (1 - _MARGIN):
        return NEAR, apart
    return UNSURE, apart


@inner
def order(work: Work, places: NDArray[np.int64], options: int) -> tuple[int, bool]:
    """Whether the first record (side 0) is before (-1) or behind (1) the second by these cells; whether that is sure.

    NULL, then numbers by value, then all else by its bytes, which is by code points.
    """
    for slot in places:
        left, right = canonical_cell(work, 0, slot, options), canonical_cell(work, 1, slot, options)
        if left.where == UNDECIDED or right.where == UNDECIDED:
            return 0, False
        if left.where == NULL or right.where == NULL:
            if left.where != right.where:
                return (-1 if left.where == NULL else 1), True
            continue
        if same_bytes(left.start, left.end, right.start, right.end):
            continue
        number, other_number = is_number(left.start, left.end), is_number(right.start, right.end)
        if number != other_number:
            return (-1 if number else 1), True
        if not number:
            return _order_of_bytes(left, right), True
        known, value, scale = decimal_of(left.start, left.end)
        other_known, other_value, other_scale = decimal_of(right.start, right.end)
        if not known or not other_known:
            return 0, False
        float_value, other_float = value / _TENS[scale], other_value / _TENS[other_scale]
        if float_value == other_float:
            return 0, False  # they differ by less than a float can tell
        return (-1 if float_value < other_float else 1), True
    return 0, True


@inner
def _order_of_bytes(left: Span, right: Span) -> int:
    for offset in range(min(left.end - left.start, right.end - right.start)):
        byte, other = byte_at(left.start + offset), byte_at(right.start + offset)
        if byte != other:
            return -1 if byte < other else 1
    return -1 if left.end - left.start < right.end - right.start else 1


@inner
def column_of(layout: Layout, slot: int) -> int:
    """Where a place of the mapping is in the file."""
    for column in range(len(layout.slots)):
        if layout.slots[column] == slot:
            return column
    return -1


@inner
def cell_at(start: Address, end: Address, delimiter: int, column: int) -> Cell:
    """One cell of a record, without a look at those behind it."""
    cell = next_cell(start, end, delimiter)
    for _ in range(column):
        cell = next_cell(cell.after + 1, end, delimiter)
    return cell


@inner
def plain_integer(cell: Cell) -> int:
    """A cell's value where it is an integer of few digits and nothing else, as most keys are; else -1."""
    if not 0 < cell.end - cell.start <= _MOST_DIGITS:
        return -1
    if byte_at(cell.start) == ZERO and cell.end - cell.start > 1:
        return -1  # a text, which comes behind all numbers
    value = 0
    for place in range(cell.start, cell.end):
        digit = byte_at(place) - ZERO
        if not 0 <= digit <= 9:
            return -1
        value = value * 10 + digit
    return value


@inner
def canonical_text(cell: Cell, options: int, texts: Address, scratch: Address) -> Span:
    first, last = cell.start, cell.end
    if not cell.quoted and first == last:
        return Span(NULL, first, first)
    if cell.doubled:
        first, last = texts, unquote(first, last, texts)
    return canonical(first, last, scratch, options)


@inner
def surely_behind(one: Span, other: Span) -> bool:
    """Whether a cell's canonical text comes behind another by `order`; where that takes a closer look, it does not."""
    if one.where == UNDECIDED or other.where == UNDECIDED or one.where == NULL:
        return False
    if other.where == NULL:
        return True
    number, other_number = is_number(one.start, one.end), is_number(other.start, other.end)
    if number != other_number:
        return other_number
    if not number:
        return not same_bytes(one.start, one.end, other.start, other.end) and _order_of_bytes(one, other) > 0
    known, value, scale = decimal_of(one.start, one.end)
    other_known, other_value, other_scale = decimal_of(other.start, other.end)
    return known and other_known and value / _TENS[scale] > other_value / _TENS[other_scale]
