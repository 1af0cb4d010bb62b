"""The blanks of Unicode at either end of a text."""

from app.domain.reconciliation.kernels.kernel import inner
from app.domain.reconciliation.kernels.marks import BLANK, CARRIAGE_RETURN, FIRST_SEPARATOR, NOT_ASCII, TAB
from app.domain.reconciliation.kernels.memory import Address, byte_at


@inner
def blank_at(place: Address, end: Address) -> int:
    """How many bytes the blank takes that a text begins with, as `str.strip` knows blanks; 0 where it begins with none.

    In UTF-8: U+0085, U+00A0; U+1680; U+2000 to U+200A, U+2028, U+2029, U+202F; U+205F; U+3000.
    """
    first = byte_at(place)
    if first < NOT_ASCII:
        return 1 if TAB <= first <= CARRIAGE_RETURN or FIRST_SEPARATOR <= first <= BLANK else 0
    if first == 0xC2 and end - place > 1:
        return 2 if byte_at(place + 1) == 0x85 or byte_at(place + 1) == 0xA0 else 0
    if not 0xE1 <= first <= 0xE3 or end - place < 3:
        return 0
    second, third = byte_at(place + 1), byte_at(place + 2)
    general = second == 0x80 and (0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF)
    blank = (
        (first == 0xE1 and second == 0x9A and third == 0x80)
        or (first == 0xE2 and (general or (second == 0x81 and third == 0x9F)))
        or (first == 0xE3 and second == 0x80 and third == 0x80)
    )
    return 3 if blank else 0


@inner
def blank_before(start: Address, end: Address) -> int:
    """How many bytes the blank takes that a text ends with; 0 where it ends with none."""
    for length in range(1, min(3, end - start) + 1):
        if blank_at(end - length, end) == length:
            return length
    return 0
