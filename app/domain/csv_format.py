"""How an output is written as CSV: RFC 4180, UTF-8, a header, NULL as an unquoted empty field, the empty string as "".

Lines end with a single newline. A cell is quoted when it is the empty string or holds the delimiter, a quote, a line
break, or a blank at either end. So a line break outside quotes always ends a row, and an empty line is the one NULL
of a table with one column.
"""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from app.domain.errors import InvalidError

# Characters that numbers, dates and base64 are made of: with one of these as delimiter such cells would fall apart.
_PART_OF_VALUES = "+-./:=_"
_FEW = 8  # rows that are not worth turning around
_MARK = "\x1f"
_QUOTED = ('"', "\n", "\r", f"{_MARK}{_MARK}", f"{_MARK} ", f" {_MARK}")


def check_delimiter(delimiter: str) -> None:
    """Refuse a delimiter that cannot keep the cells apart.

    Raises: InvalidError.
    """
    if (
        len(delimiter) != 1
        or not delimiter.isascii()
        or delimiter.isalnum()
        or delimiter in _PART_OF_VALUES + '"\r\n\0 '
    ):
        raise InvalidError(
            f"{delimiter!r} cannot be a delimiter: use one character such as ',' ';' '|' or a tab, and no letter,"
            f" digit, blank, quote, line break or one of {_PART_OF_VALUES}",
            path=("delimiter",),
        )


class RecordCounter:
    """Counts the records of a text by these rules that comes in pieces, which may end anywhere."""

    def __init__(self) -> None:
        self.count = 0
        self._quoted = False

    def feed(self, piece: bytes) -> None:
        # A doubled quote inside quotes closes and opens them: nothing stands between the two.
        parts = piece.split(b'"')
        self.count += sum(part.count(b"\n") for part in parts[self._quoted :: 2])
        self._quoted ^= not len(parts) % 2


def encode_rows(rows: Sequence[Sequence[Any]], delimiter: str) -> bytes:
    """The CSV text of `rows`, each ended by a newline; a lone surrogate, which UTF-8 cannot hold, becomes "?".

    Rows are as long as the first. Columns are encoded whole where their cells are of one type: a fifth of the time.
    """
    if len(rows) < _FEW or not rows[0]:
        text = "".join([delimiter.join([encode_cell(cell, delimiter) for cell in row]) + "\n" for row in rows])
    else:
        columns = [_encode_column(cells, delimiter) for cells in zip(*rows, strict=True)]
        text = "\n".join(map(delimiter.join, zip(*columns, strict=True))) + "\n"
    return text.encode(errors="replace")


def encode_cell(value: Any, delimiter: str) -> str:
    """One cell; None is the empty text, containers are JSON, bytes are base64."""
    if value is None:
        return ""
    if type(value) is str:
        return quote(value, delimiter)
    # Looking the exact type up costs half of what a `match` does, and there is one look for every cell of an output.
    plain = _NEVER_QUOTED.get(type(value))
    return quote(cell_text(value), delimiter) if plain is None else plain(value)


def cell_text(value: Any) -> str:  # noqa: PLR0911 - one line a type reads best
    """The text of a cell that is not NULL, before any quoting."""
    match value:
        case str():
            return str(value)
        case bool():
            return _bool(value)
        case int():
            return int.__repr__(value)  # subclasses (enums, NumPy's) have a repr of their own
        case float():
            return float.__repr__(value)
        case Decimal():
            return _decimal(value)
        case datetime():
            return value.isoformat(sep=" ")
        case timedelta():
            return _duration(value)
        case bytes() | bytearray() | memoryview():
            return base64.b64encode(value).decode()
        case dict() | list() | tuple() | set() | frozenset():
            return _json(value)
        case _:
            return str(value)


def quote(text: str, delimiter: str) -> str:
    if (
        text
        and delimiter not in text
        and '"' not in text
        and "\n" not in text
        and "\r" not in text
        and text[0] != " "
        and text[-1] != " "
    ):
        return text
    return '"' + text.replace('"', '""') + '"'


def _encode_column(cells: Sequence[Any], delimiter: str) -> Sequence[str]:
    types = set(map(type, cells))
    nullable = type(None) in types
    types.discard(type(None))
    if len(types) != 1:
        return [encode_cell(cell, delimiter) for cell in cells]
    (kind,) = types
    if kind is str:
        return _encode_texts(cells, delimiter, nullable=nullable)
    plain = _NEVER_QUOTED.get(kind)
    if plain is None:
        return [encode_cell(cell, delimiter) for cell in cells]
    return ["" if cell is None else plain(cell) for cell in cells] if nullable else list(map(plain, cells))


def _encode_texts(cells: Sequence[str | None], delimiter: str, *, nullable: bool) -> Sequence[str]:
    """The texts themselves where a look at all of them in one piece finds nothing to be quoted."""
    texts = [cell for cell in cells if cell is not None] if nullable else cells
    # Every text stands between two marks, and a mark within a text makes one more.
    piece = f"{_MARK}{_MARK.join(texts)}{_MARK}"  # type: ignore[arg-type]  # no None is left
    if piece.count(_MARK) != len(texts) + 1 or any(sign in piece for sign in (delimiter, *_QUOTED)):
        return ["" if cell is None else quote(cell, delimiter) for cell in cells]
    return ["" if cell is None else cell for cell in cells] if nullable else cells  # type: ignore[return-value]  # as above


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _decimal(value: Decimal) -> str:
    return format(value, "f") if value.is_finite() else str(value)


def _bytes(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _duration(value: timedelta) -> str:
    """Hours, minutes and seconds as SQL writes a TIME, with more than 24 hours where there are."""
    sign, rest = ("-", -value) if value < timedelta(0) else ("", value)
    minutes, seconds = divmod(rest.days * 86_400 + rest.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{rest.microseconds:06d}" if rest.microseconds else ""
    return f"{sign}{hours:02d}:{minutes:02d}:{seconds:02d}{fraction}"


_NEVER_QUOTED: Mapping[type, Callable[[Any], str]] = {
    bool: _bool,
    int: int.__repr__,
    float: float.__repr__,
    Decimal: _decimal,
    datetime: str,  # ISO 8601 with a blank
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _duration,
    bytes: _bytes,
    UUID: str,
}


def _json(value: Any) -> str:
    try:
        options = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
        return orjson.dumps(value, default=_json_leaf, option=options).decode()
    except TypeError:  # what orjson does not take: integers beyond 64 bits, odd keys, lone surrogates
        return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), default=cell_text)


def _json_leaf(value: Any) -> Any:
    match value:
        case Decimal() if value.is_finite():
            return orjson.Fragment(_decimal(value))
        case set() | frozenset():
            return list(value)
        case _:
            return cell_text(value)


def _plain(value: Any) -> Any:
    """The same container with keys that JSON can have."""
    match value:
        case dict():
            return {key if isinstance(key, str) else cell_text(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return value
