"""Which delimiter a CSV text is written with, told from its start."""

import re
from collections import Counter

CANDIDATES = (",", "\t", ";", "|", "\x01")
_ROWS = 200
_MOST_ROWS_AGREE = 0.9  # a few odd rows are the comparison's to tell


def find_delimiter(start: bytes, *, whole: bool) -> str:
    """The delimiter that parts most rows into as many cells as the header has; a comma where nothing tells.

    `start` is the start of the file, or all of it (`whole`). Where no delimiter parts the header, the table has one
    column, and any that the rows do not contain will do.
    """
    text = start.decode(errors="replace").removeprefix("\ufeff")
    widths = {delimiter: _widths(text, delimiter, whole=whole) for delimiter in CANDIDATES}
    shares = {delimiter: _share(found) for delimiter, found in widths.items()}
    parting = [each for each in CANDIDATES if widths[each] and widths[each][0] > 1]
    if agreed := [each for each in parting if shares[each] >= _MOST_ROWS_AGREE]:
        return max(agreed, key=lambda each: (shares[each], widths[each][0]))
    unseen = [each for each in CANDIDATES if each not in parting and shares[each] == 1]
    if unseen and not parting:
        return unseen[0]
    return max(parting, key=lambda each: shares[each], default=",")


def _share(widths: list[int]) -> float:
    """Of the rows that are as wide as the header."""
    return Counter(widths)[widths[0]] / len(widths) if widths else 0


def _widths(text: str, delimiter: str, *, whole: bool) -> list[int]:
    """How many cells the first rows have; one that the text cuts off is not counted."""
    mark = re.escape(delimiter)
    cell = re.compile(rf'(?:"[^"]*+(?:""[^"]*+)*+"(?={mark}|\r?\n|\r?\Z)|[^{mark}\n]*+)({mark}|\n|\Z)')
    widths: list[int] = []
    width = position = start = 0
    while position < len(text) and len(widths) < _ROWS:
        found = cell.match(text, position)
        if found is None:
            break
        width, position = width + 1, found.end()
        if found[1] == delimiter:
            continue
        if found[1] == "\n" or whole:
            line = text[start:position].strip()
            widths += [width] if line else []  # a blank line is no row
        width, start = 0, position
    return widths
