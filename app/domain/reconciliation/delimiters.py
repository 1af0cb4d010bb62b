"""Which delimiter a table is written with, told by the header and the first lines, or by a name that a person gives."""

import csv
from collections.abc import Sequence

from app.domain.errors import InvalidError

USUAL = (",", "\t", ";", "|", "\x01")
SAMPLE_BYTES = 64 << 10
_LINES_LOOKED_AT = 100
_NAMES = {
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "tab": "\t",
    "\\t": "\t",
    "ctrl-a": "\x01",
    "^a": "\x01",
    "\\x01": "\x01",
    "\\001": "\x01",
}


def delimiter_named(text: str) -> str:
    r"""One character as it is, or a name for what is hard to type: `tab`, `\t`, `\x01`."""
    named = _NAMES.get(text.lower(), text)
    if len(named) != 1 or named in '"\r\n':
        raise InvalidError(
            f"{text!r} is no delimiter: give one character, or one of comma, semicolon, pipe, tab and \\x01.",
            path=("delimiter",),
        )
    return named


def detect_delimiter(start: bytes) -> str:
    """The usual delimiter that cuts the first lines into the most cells, and all into as many; else a comma.

    `start` is the beginning of a file; what follows its last line break is left out where there is one.
    """
    text = start.removeprefix(b"\xef\xbb\xbf").decode(errors="replace")
    whole = text[: text.rfind("\n") + 1] or text
    lines = whole.splitlines(keepends=True)[:_LINES_LOOKED_AT]
    cut = len(start) >= SAMPLE_BYTES
    found = {delimiter: _widths(lines, delimiter, cut=cut) for delimiter in USUAL}
    wide = {delimiter: widths for delimiter, widths in found.items() if widths and widths[0] > 1}
    even = {delimiter: widths for delimiter, widths in wide.items() if len(set(widths)) == 1}
    candidates = even or wide
    return max(candidates, key=lambda delimiter: candidates[delimiter][0], default=",")


def _widths(lines: Sequence[str], delimiter: str, *, cut: bool) -> list[int]:
    """How many cells each record has; the last one may be cut within a quoted cell, and does not count then."""
    try:
        widths = [len(cells) for cells in csv.reader(lines, delimiter=delimiter) if cells]
    except csv.Error:  # a cell that is longer than csv takes: no delimiter of this table
        return []
    return widths[:-1] if cut and len(widths) > 1 else widths
