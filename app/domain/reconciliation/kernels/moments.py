"""Dates and timestamps by bytes, as `cells` reads them: the instant in UTC, a midnight as its date alone."""

from app.domain.reconciliation.kernels.kernel import inner
from app.domain.reconciliation.kernels.marks import (
    BLANK,
    COLON,
    IN_PLACE,
    LOWER,
    MINUS,
    NINE,
    PLUS,
    POINT,
    REWRITTEN,
    UPPER_T,
    UPPER_Z,
    ZERO,
)
from app.domain.reconciliation.kernels.memory import Address, byte_at, put_byte


@inner
def moment_text(start: Address, end: Address, scratch: Address) -> tuple[int, Address, Address]:
    """The instant in UTC, a midnight as its date alone; where there is no such moment, the text as it stands."""
    text = (IN_PLACE, start, end)
    length = end - start
    if length < 10 or byte_at(start + 7) != MINUS:  # YYYY-MM-DD
        return text
    year, month, day = _digits(start, 4), _digits(start + 5, 2), _digits(start + 8, 2)
    if year < 1 or not 1 <= month <= 12 or not 1 <= day <= _days_of(year, month):  # months of a year
        return text
    if length == 10:  # the date alone
        return text
    if length < 16 or byte_at(start + 13) != COLON:  # YYYY-MM-DDTHH:MM
        return text
    between = byte_at(start + 10)
    hour, minute, second = _digits(start + 11, 2), _digits(start + 14, 2), 0
    if (
        (between != BLANK and between | LOWER != UPPER_T | LOWER) or not 0 <= hour < 24 or not 0 <= minute < 60
    ):  # hours, minutes
        return text
    place = start + 16
    fraction_start = fraction_end = place
    if place < end and byte_at(place) == COLON:
        if end - place < 3:  # :SS
            return text
        second = _digits(place + 1, 2)
        if not 0 <= second < 60:  # seconds of a minute
            return text
        place += 3
        fraction_start = fraction_end = place
        if place < end and byte_at(place) == POINT:
            place += 1
            fraction_start = place
            while place < end and ZERO <= byte_at(place) <= NINE:
                place += 1
            if place == fraction_start:
                return text
            fraction_end = place
    offset = 0
    if place < end:
        offset, place = _zone(place, end)
        if place != end:
            return text
    while fraction_end > fraction_start and byte_at(fraction_end - 1) == ZERO:
        fraction_end -= 1
    minutes = hour * 60 + minute - offset
    if length == 19 and fraction_end == end and between == BLANK and (minutes or second):  # with seconds
        return text  # most moments are written like this
    if minutes < 0 or minutes >= 24 * 60:
        year, month, day = _neighbour(year, month, day, -1 if minutes < 0 else 1)
        if not 1 <= year <= 9999:  # the calendar's years
            return text
        minutes %= 24 * 60
    return _write_moment((year, month, day, minutes, second), (fraction_start, fraction_end), scratch)


@inner
def _write_moment(
    moment: tuple[int, int, int, int, int], fraction: tuple[int, int], scratch: Address
) -> tuple[int, Address, Address]:
    year, month, day, minutes, second = moment
    start, end = fraction
    digits = end - start
    if digits:
        for place in range(digits):  # first, for the scratch may be where it stands
            put_byte(scratch + 20 + place, byte_at(start + place))
        put_byte(scratch + 19, POINT)
    _write_digits(scratch, 0, year, 4)
    put_byte(scratch + 4, MINUS)
    put_byte(scratch + 7, MINUS)
    _write_digits(scratch, 5, month, 2)
    _write_digits(scratch, 8, day, 2)
    if not minutes and not second and not digits:
        return REWRITTEN, scratch, scratch + 10
    put_byte(scratch + 10, BLANK)
    _write_digits(scratch, 11, minutes // 60, 2)
    _write_digits(scratch, 14, minutes % 60, 2)
    _write_digits(scratch, 17, second, 2)
    put_byte(scratch + 13, COLON)
    put_byte(scratch + 16, COLON)
    return REWRITTEN, scratch, scratch + (20 + digits if digits else 19)


@inner
def _zone(place: int, end: int) -> tuple[int, int]:
    """Minutes ahead of UTC, and where the zone's text ends (`-1`: there is no such zone)."""
    if byte_at(place) == BLANK:
        place += 1
        if place == end:
            return 0, -1
    first = byte_at(place)
    if first | LOWER == UPPER_Z | LOWER:
        return 0, place + 1
    if end - place == 3 and (  # UTC, utc
        (first == 85 and byte_at(place + 1) == 84 and byte_at(place + 2) == 67)
        or (first == 117 and byte_at(place + 1) == 116 and byte_at(place + 2) == 99)
    ):
        return 0, end
    if (first != PLUS and first != MINUS) or end - place < 3:  # +HH at least
        return 0, -1
    hours, minutes = _digits(place + 1, 2), 0
    sign = -1 if first == MINUS else 1
    place += 3
    if place < end:
        if byte_at(place) == COLON:
            place += 1
        if end - place != 2:  # MM
            return 0, -1
        minutes = _digits(place, 2)
        place = end
    if not 0 <= hours < 24 or not 0 <= minutes < 60:  # hours, minutes
        return 0, -1
    return sign * (hours * 60 + minutes), place


@inner
def _neighbour(year: int, month: int, day: int, step: int) -> tuple[int, Address, Address]:
    """The day before or after."""
    day += step
    if day < 1:
        month -= 1
        if month < 1:
            year, month = year - 1, 12
        day = _days_of(year, month)
    elif day > _days_of(year, month):
        day, month = 1, month + 1
        if month > 12:  # months of a year
            year, month = year + 1, 1
    return year, month, day


@inner
def _days_of(year: int, month: int) -> int:
    if month == 2:  # February
        leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return 29 if leap else 28
    return 30 if month in (4, 6, 9, 11) else 31


@inner
def _digits(place: int, count: int) -> int:
    """The number that so many digits stand for; -1 where one of them is none."""
    number = 0
    for index in range(place, place + count):
        byte = byte_at(index)
        if not ZERO <= byte <= NINE:
            return -1
        number = number * 10 + byte - ZERO
    return number


@inner
def _write_digits(scratch: Address, place: int, number: int, count: int) -> None:
    for index in range(place + count - 1, place - 1, -1):
        put_byte(scratch + index, ZERO + number % 10)
        number //= 10
