"""The one canonical text of a cell, as `cells.canonical_text` has it, written by bytes.

A text is the bytes from one address up to another. What is canonical as it stands is left there; else its canonical
form is written to the scratch bytes. Nearly every cell of a table is an integer, a decimal, a moment, or a plain text,
and is known by a look at each byte.
"""

from typing import NamedTuple

import numpy as np

from app.domain.reconciliation.cells import PLAIN_DIGITS
from app.domain.reconciliation.kernels.blanks import blank_at, blank_before
from app.domain.reconciliation.kernels.kernel import entry, inner
from app.domain.reconciliation.kernels.marks import (
    IN_PLACE,
    LOWER,
    LOWER_F,
    LOWER_I,
    LOWER_N,
    LOWER_T,
    MINUS,
    NINE,
    NOT_ASCII,
    NULL,
    PLUS,
    POINT,
    REWRITTEN,
    UNDECIDED,
    UPPER_A,
    UPPER_E,
    UPPER_Z,
    ZERO,
)
from app.domain.reconciliation.kernels.memory import Address, byte_at, put_byte
from app.domain.reconciliation.kernels.moments import moment_text

TRIM, IGNORE_CASE, EMPTY_IS_NULL = 1, 2, 4

_MOST_EXPONENT_DIGITS = 4
_LONGEST_WORD = 9
# Words by their bytes. As uint64: numba compares one with an int as floats, which have no room for eight bytes.
_TRUE, _FALSE, _NAN = np.uint64(0x74727565), np.uint64(0x66616C7365), np.uint64(0x6E616E)
_INF, _INFINITY = np.uint64(0x696E66), np.uint64(0x696E66696E697479)


class Span(NamedTuple):
    """What became of a cell (IN_PLACE, REWRITTEN, NULL, UNDECIDED), and its canonical text from start to end."""

    where: int
    start: Address
    end: Address


@entry
def canonical(start: Address, end: Address, scratch: Address, options: int) -> Span:
    """The canonical text of a cell that is no NULL; `scratch` has room for it, and 64 more."""
    if options:
        if options & TRIM:
            while start < end and blank_at(start, end):
                start += blank_at(start, end)
            while start < end and blank_before(start, end):
                end -= blank_before(start, end)
        if options & EMPTY_IS_NULL and start == end:
            return Span(NULL, 0, 0)
        if options & IGNORE_CASE:
            for place in range(start, end):
                byte = byte_at(place)
                if byte >= NOT_ASCII:
                    return Span(UNDECIDED, 0, 0)
                put_byte(scratch + place - start, byte + LOWER if UPPER_A <= byte <= UPPER_Z else byte)
            _, start, end = _of_text(scratch, scratch + end - start, scratch)
            return Span(REWRITTEN, start, end)
    where, first, last = _of_text(start, end, scratch)
    return Span(where, first, last)


@inner
def _of_text(start: Address, end: Address, scratch: Address) -> tuple[int, Address, Address]:
    """Canonical by its types; the cell may be in the scratch itself, where every byte is read before it is written."""
    if start == end:
        return IN_PLACE, start, end
    first = byte_at(start)
    if ZERO <= first <= NINE:
        place = start + 1
        while place < end and ZERO <= byte_at(place) <= NINE:
            place += 1
        if place == end and end - start <= PLAIN_DIGITS:
            return IN_PLACE, start, end
        if place == start + 4 and place < end and byte_at(place) == MINUS:
            return moment_text(start, end, scratch)
        return _of_number(start, end, scratch)
    if first == POINT:
        return _of_number(start, end, scratch)
    if first == MINUS:
        where, begin, stop = _of_number(start, end, scratch)
        if where == IN_PLACE and end - start <= _LONGEST_WORD:
            return _of_word(start, end, scratch)
        return where, begin, stop
    if end - start <= _LONGEST_WORD:
        return _of_word(start, end, scratch)
    return IN_PLACE, start, end


@entry
def is_number(start: Address, end: Address) -> bool:
    """Whether a canonical text stands for a finite number."""
    place = start
    if place < end and byte_at(place) == MINUS:
        place += 1
    first = place
    while place < end and ZERO <= byte_at(place) <= NINE:
        place += 1
    if place == first or (place - first > 1 and byte_at(first) == ZERO):
        return False
    if place < end and byte_at(place) == POINT:
        place += 1
        first = place
        while place < end and ZERO <= byte_at(place) <= NINE:
            place += 1
        if place == first:
            return False
    return place == end or _exponent(place, end)[1] == end


@entry
def is_plain_text(first: int) -> bool:
    """Whether a text that begins with this byte is its own canonical text for certain: it is no number, and no word."""
    lower = first | LOWER
    return first > NINE and lower != LOWER_T and lower != LOWER_F and lower != LOWER_N and lower != LOWER_I


@inner
def _of_number(start: Address, end: Address, scratch: Address) -> tuple[int, Address, Address]:
    """`-12.50e3` and its like; what is no number is text as it stands."""
    place = start
    negative = byte_at(place) == MINUS
    if negative:
        place += 1
    whole_start = place
    while place < end and ZERO <= byte_at(place) <= NINE:
        place += 1
    whole_end = place
    if whole_end - whole_start > 1 and byte_at(whole_start) == ZERO:
        return IN_PLACE, start, end  # leading zeros make a text
    fraction_start = fraction_end = place
    if place < end and byte_at(place) == POINT:
        fraction_start = place = place + 1
        while place < end and ZERO <= byte_at(place) <= NINE:
            place += 1
        fraction_end = place
        if fraction_end == fraction_start:
            return IN_PLACE, start, end
    elif whole_end == whole_start:
        return IN_PLACE, start, end
    power = 0
    if place < end:
        power, place = _exponent(place, end)
        if place != end:
            return IN_PLACE, start, end
    elif (
        fraction_end > fraction_start
        and whole_end > whole_start
        and byte_at(end - 1) != ZERO
        and end - start <= PLAIN_DIGITS
    ):
        return IN_PLACE, start, end
    return _write_number((whole_start, whole_end, fraction_start, fraction_end), power, negative, scratch)


@inner
def _exponent(place: int, end: int) -> tuple[int, int]:
    """The power of ten from `e` on, and where its text ends (`-1`: there is none)."""
    if byte_at(place) | LOWER != UPPER_E | LOWER:
        return 0, -1
    place += 1
    negative = place < end and byte_at(place) == MINUS
    if place < end and (negative or byte_at(place) == PLUS):
        place += 1
    first = place
    power = 0
    while place < end and ZERO <= byte_at(place) <= NINE and place - first < _MOST_EXPONENT_DIGITS:
        power = power * 10 + (byte_at(place) - ZERO)
        place += 1
    if place == first:
        return 0, -1
    return (-power if negative else power), place


@inner
def _write_number(
    spans: tuple[int, int, int, int], power: int, negative: bool, scratch: Address
) -> tuple[int, Address, Address]:
    """As `cells._canonical_number`: significant digits, written out up to 10**40, else with an exponent.

    The digits are first gathered at the scratch's very front, then moved to where they stand in the text.
    """
    whole_start, whole_end, fraction_start, fraction_end = spans
    digits = 0
    for place in range(whole_start, fraction_end):
        if place < whole_end or place >= fraction_start:
            byte = byte_at(place)
            if digits or byte != ZERO:
                put_byte(scratch + digits, byte)
                digits += 1
    power -= fraction_end - fraction_start
    while digits and byte_at(scratch + digits - 1) == ZERO:
        digits -= 1
        power += 1
    if not digits:
        put_byte(scratch, ZERO)
        return REWRITTEN, scratch, scratch + 1
    sign = 1 if negative else 0
    point = digits + power
    if not -PLAIN_DIGITS < point <= PLAIN_DIGITS:
        end = _shift(scratch, 0, digits, sign)
        end = _write_exponent(scratch, end, power)
    elif power >= 0:
        end = _shift(scratch, 0, digits, sign)
        for _ in range(power):
            put_byte(scratch + end, ZERO)
            end += 1
    elif point > 0:
        end = _shift(scratch, point, digits, sign + 1)
        _shift(scratch, 0, point, sign)
        put_byte(scratch + sign + point, POINT)
    else:
        lead = 2 - point  # `0.` and the zeros behind it
        end = _shift(scratch, 0, digits, sign + lead)
        for place in range(lead):
            put_byte(scratch + sign + place, ZERO)
        put_byte(scratch + sign + 1, POINT)
    if negative:
        put_byte(scratch, MINUS)
    return REWRITTEN, scratch, scratch + end


@inner
def _shift(scratch: Address, start: int, end: int, by: int) -> int:
    """Moves a span to the right, from behind; gives its new end."""
    for place in range(end - 1, start - 1, -1):
        put_byte(scratch + place + by, byte_at(scratch + place))
    return end + by


@inner
def _write_exponent(scratch: Address, place: int, power: int) -> int:
    put_byte(scratch + place, UPPER_E | LOWER)
    place += 1
    if power < 0:
        put_byte(scratch + place, MINUS)
        place += 1
        power = -power
    divisor = 1
    while power // divisor >= 10:  # the decimal system
        divisor *= 10
    while divisor:
        put_byte(scratch + place, ZERO + power // divisor % 10)
        place += 1
        divisor //= 10
    return place


@inner
def _of_word(start: Address, end: Address, scratch: Address) -> tuple[int, Address, Address]:
    """true, false, nan, inf, infinity and -inf, -infinity in any letter case, packed into one number to be told."""
    packed = np.uint64(0)
    sign = 1 if byte_at(start) == MINUS else 0
    if end - start - sign > 8:  # bytes of the number
        return IN_PLACE, start, end
    for place in range(start + sign, end):
        byte = byte_at(place)
        if not UPPER_A <= byte & ~LOWER <= UPPER_Z:
            return IN_PLACE, start, end
        packed = packed << np.uint64(8) | np.uint64(byte | LOWER)
    infinite = packed == _INF or packed == _INFINITY
    if not infinite and (sign or (packed != _TRUE and packed != _FALSE and packed != _NAN)):
        return IN_PLACE, start, end
    length = 3 if infinite else end - start
    for place in range(length):
        put_byte(scratch + place + sign, byte_at(start + sign + place) | LOWER)
    if sign:
        put_byte(scratch, MINUS)
    return REWRITTEN, scratch, scratch + length + sign
