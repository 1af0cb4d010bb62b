"""When two cells are equal: numbers by value, dates and timestamps by instant, booleans, else text.

Every cell has one canonical text, and two cells are equal exactly if their canonical texts are. So equality is
transitive, rows can be hashed, and `1`, `1.0` and `1e0` fall together, while text that is not written as a number keeps
every character. What counts as what:

- Number: `-12`, `0.50`, `.5`, `1e0`, `1.5E+10`, as exact decimals of any length (no floats: 2**63 + 1 is not 2**63).
  `-0.0` is `0`. Leading zeros or a plus sign make text: `007` is not `7`, `+4930…` is a telephone number.
- `nan`, `inf`, `infinity` in any letter case; NaN equals NaN here, as NULL equals NULL: the question is whether two
  tables agree.
- Date `2026-01-05`, timestamp with `T` or a blank, seconds and a fraction of any length optional, `Z`, `UTC` or an
  offset optional. Without an offset it is taken as UTC; a date is its midnight. Impossible dates are text.
- Boolean `true`, `false` in any letter case; not equal to `1` and `0`.
- Everything else is text, compared by code points: no Unicode normalisation, no blanks removed unless `trim` is asked
  for (a blank beside a number makes it text). NULL equals NULL alone; the empty string is a text.

The options apply in this order: `trim`, then `empty_is_null`, then `ignore_case` (`str.casefold`), then the types.
"""

import re
from datetime import date, time
from decimal import Decimal

PLAIN_DIGITS = 40  # numbers up to 10**40 are written out, greater ones as digits and exponent
_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*|(?=\.))(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,4}))?")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]+))?)?"
    r"(?: ?([Zz]|UTC|utc|[+-][0-9]{2}(?::?[0-9]{2})?))?)?"
)
_WORDS = {
    "true": "true",
    "false": "false",
    "nan": "nan",
    "inf": "inf",
    "infinity": "inf",
    "-inf": "-inf",
    "-infinity": "-inf",
}
_LONGEST_WORD = max(map(len, _WORDS))


class CanonicalCells(dict[str | None, str | None]):
    """Canonical texts by cell, computed on first use and remembered, within bounds: most cells occur often."""

    REMEMBERED = 1 << 13

    def __init__(self, *, trim: bool = False, empty_is_null: bool = False, ignore_case: bool = False) -> None:
        super().__init__()
        self._trim = trim
        self._empty_is_null = empty_is_null
        self._ignore_case = ignore_case
        self._as_written = not (trim or empty_is_null or ignore_case)

    def __missing__(self, cell: str | None) -> str | None:
        if len(self) >= self.REMEMBERED:
            self.clear()
        canonical = cell if cell is None else canonical_text(cell) if self._as_written else self._with_options(cell)
        self[cell] = canonical
        return canonical

    def _with_options(self, cell: str) -> str | None:
        if self._trim:
            cell = cell.strip()
        if self._empty_is_null and not cell:
            return None
        return canonical_text(cell.casefold() if self._ignore_case else cell)


class Numbers(dict[str | None, Decimal | None]):
    """The finite numbers behind canonical texts, None for everything else, remembered within bounds."""

    def __missing__(self, canonical: str | None) -> Decimal | None:
        if len(self) >= CanonicalCells.REMEMBERED:
            self.clear()
        number = self[canonical] = number_of(canonical)
        return number


def canonical_text(text: str) -> str:
    """The one text that all cells equal to `text` share; it is its own canonical text."""
    if text.isdigit() and text.isascii() and len(text) <= PLAIN_DIGITS:
        return text  # a plain integer, or an id with leading zeros, which is text
    first = text[:1]
    if first in "0123456789.-":
        if number := _NUMBER.fullmatch(text):
            return _canonical_number(number)
        if moment := _MOMENT.fullmatch(text):
            return _canonical_moment(moment) or text
    if first in "tTfFnNiI-" and len(text) <= _LONGEST_WORD:
        return _WORDS.get(text.lower(), text)
    return text


def number_of(canonical: str | None) -> Decimal | None:
    """The finite number that a canonical text stands for, or None."""
    if not canonical or canonical[0] not in "0123456789.-" or not _NUMBER.fullmatch(canonical):
        return None
    return Decimal(canonical)


def order_of(canonical: str | None) -> tuple[int, Decimal, str]:
    """A sort key over canonical texts: NULL, then numbers by value, then all else by code points (instants in time)."""
    if canonical is None:
        return (0, Decimal(0), "")
    number = number_of(canonical)
    return (2, Decimal(0), canonical) if number is None else (1, number, "")


def _canonical_number(number: re.Match[str]) -> str:
    sign, whole, fraction, power = number.groups()
    if fraction and whole and not power and fraction[-1] != "0" and len(number[0]) <= PLAIN_DIGITS:
        return number[0]  # most decimals are written like this
    fraction = fraction or ""
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) - len(fraction)
    significant = digits.rstrip("0")
    if not significant:
        return "0"
    exponent += len(digits) - len(significant)
    point = len(significant) + exponent
    if not -PLAIN_DIGITS < point <= PLAIN_DIGITS:
        return f"{sign}{significant}e{exponent}"
    if exponent >= 0:
        return sign + significant + "0" * exponent
    if point > 0:
        return f"{sign}{significant[:point]}.{significant[point:]}"
    return f"{sign}0.{'0' * -point}{significant}"


def _canonical_moment(moment: re.Match[str]) -> str | None:
    """The instant in UTC, a midnight as its date alone; None where there is no such moment."""
    day, hour, minute, second, fraction, zone = moment.groups()
    try:
        ordinal = date.fromisoformat(day).toordinal()
        clock = time(int(hour or 0), int(minute or 0), int(second or 0))
        days, minutes = divmod(clock.hour * 60 + clock.minute - _offset_minutes(zone), 24 * 60)
        day = date.fromordinal(ordinal + days).isoformat()
    except ValueError:  # no such day or time of day, or, in UTC, before the year 1 or after 9999
        return None
    fraction = (fraction or "").rstrip("0")
    if not minutes and not clock.second and not fraction:
        return day
    return f"{day} {minutes // 60:02}:{minutes % 60:02}:{clock.second:02}" + (f".{fraction}" if fraction else "")


def _offset_minutes(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    offset = time(int(zone[1:3]), int(zone[3:].lstrip(":") or 0))
    return (offset.hour * 60 + offset.minute) * (-1 if zone[0] == "-" else 1)
