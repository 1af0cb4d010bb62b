"""Cells of any content as pieces of a page: nothing invisible, nothing endless, and NULL not taken for emptiness."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

LONGEST = 160  # characters of a cell that are shown
_BEFORE = 40  # characters shown before the first difference of two long cells
_SYMBOLS = {"\n": "⏎", "\t": "⇥"}
_WORDY = 8  # characters from which the differing part of a text is told from the rest of it


class Look(StrEnum):
    PLAIN = "plain"
    DIFFERENT = "diff"
    MARK = "mark"  # a symbol in place of what cannot be seen
    NULL = "null"
    NOTE = "note"  # of ours, such as a length


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    look: Look


Pieces = tuple[Piece, ...]


def pieces(cell: str | None) -> Pieces:
    """One cell by itself."""
    return _pieces(cell, start=0, same_before=0, same_after=0)


def changed_pieces(left: str | None, right: str | None) -> tuple[Pieces, Pieces]:
    """Two cells that differ: in texts what differs stands out, also far behind the start of a long one."""
    if not (left and right and _wordy(left) and _wordy(right)):
        return pieces(left), pieces(right)
    shorter = min(len(left), len(right))
    before = next((at for at in range(shorter) if left[at] != right[at]), shorter)
    most = shorter - before
    after = next((at for at in range(most) if left[-1 - at] != right[-1 - at]), most)
    start = max(before - _BEFORE, 0) if max(len(left), len(right)) > LONGEST else 0
    return (
        _pieces(left, start=start, same_before=before, same_after=after),
        _pieces(right, start=start, same_before=before, same_after=after),
    )


def _wordy(cell: str) -> bool:
    """Numbers and moments are read as a whole."""
    return len(cell) >= _WORDY and sum(map(str.isalpha, cell)) * 2 > len(cell)


def _pieces(cell: str | None, *, start: int, same_before: int, same_after: int) -> Pieces:
    """The part from `start`; all but what is the same at both ends is DIFFERENT where anything is the same at all."""
    if cell is None:
        return (Piece("NULL", Look.NULL),)
    if not cell:
        return (Piece("empty text", Look.NULL),)
    end = min(start + LONGEST, len(cell))
    blank_from = len(cell.rstrip(" "))
    blank_to = len(cell) - len(cell.lstrip(" "))
    compared = bool(same_before or same_after)

    def seen(at: int) -> tuple[str, Look]:
        mark = cell[at]
        if mark == " " and (at < blank_to or at >= blank_from):
            return "·", Look.MARK
        if not mark.isprintable():
            return _SYMBOLS.get(mark) or mark.encode("unicode_escape").decode(), Look.MARK
        differs = compared and same_before <= at < len(cell) - same_after
        return mark, Look.DIFFERENT if differs else Look.PLAIN

    shown = [
        Piece("".join(text for text, _ in run), look)
        for look, run in groupby((seen(at) for at in range(start, end)), key=lambda entry: entry[1])
    ]
    if start:
        shown.insert(0, Piece("…", Look.NOTE))
    if start or end < len(cell):
        shown.append(
            Piece(f"… ({len(cell):,} characters)" if end < len(cell) else f" ({len(cell):,} characters)", Look.NOTE)
        )
    return tuple(shown)
