"""How an output is written as CSV: RFC 4180, UTF-8, a header, NULL as an unquoted empty field, the empty string as "".

Lines end with a single newline. A cell is quoted when it is the empty string or holds the delimiter, a quote, a line
break, or white space at either end.
"""

import base64
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson


def encode_rows(rows: Iterable[Sequence[Any]], delimiter: str) -> bytes:
    """The CSV text of `rows`, each ended by a newline."""
    return "".join([delimiter.join([encode_cell(cell, delimiter) for cell in row]) + "\n" for row in rows]).encode()


def encode_cell(value: Any, delimiter: str) -> str:
    """One cell; None is the empty text, containers are JSON, bytes are base64."""
    match value:
        case None:
            return ""
        case str():
            return quote(value, delimiter)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case Decimal():
            return format(value, "f") if value.is_finite() else str(value)
        case datetime():
            return value.isoformat(sep=" ")
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case dict() | list() | tuple():
            return quote(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode(), delimiter)
        case _:
            return quote(str(value), delimiter)


def quote(text: str, delimiter: str) -> str:
    if text and delimiter not in text and '"' not in text and "\n" not in text and "\r" not in text:
        if text[0] != " " and text[-1] != " ":
            return text
    return '"' + text.replace('"', '""') + '"'
