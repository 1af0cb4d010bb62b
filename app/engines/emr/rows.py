"""Reads the output's files back into rows, for an output that is written otherwise than the step has written it."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence

from app.domain.outputs import OutputColumn
from app.engines.emr.hive_text import HiveText

_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])')

Row = Sequence[str | None]
Decode = Callable[[bytes], list[Row]]


def csv_rows(pieces: AsyncIterator[bytes]) -> AsyncIterator[Sequence[Row]]:
    """Rows of CSV by the house's rules, with commas."""
    return _batches(pieces, _last_record, lambda text: _csv_rows(text.decode()))


def hive_rows(pieces: AsyncIterator[bytes], columns: Sequence[OutputColumn]) -> AsyncIterator[Sequence[Row]]:
    """Rows of Hive's text."""
    return _batches(pieces, lambda text: text.rfind(b"\n"), HiveText([column.type for column in columns]).rows)


async def _batches(
    pieces: AsyncIterator[bytes], last: Callable[[bytes], int], decode: Decode
) -> AsyncIterator[Sequence[Row]]:
    """What is whole of each piece; the rest waits for the next one."""
    rest = b""
    async for piece in pieces:
        rest += piece
        end = last(rest) + 1
        if end:
            yield await asyncio.to_thread(decode, rest[:end])
            rest = rest[end:]
    if rest:
        yield await asyncio.to_thread(decode, rest)


def _last_record(text: bytes) -> int:
    """Where the last record ends: at a line break that is not inside quotes; -1 where none does."""
    end = text.rfind(b"\n")
    while end >= 0 and text.count(b'"', 0, end) % 2:
        end = text.rfind(b"\n", 0, end)
    return end


def _csv_rows(text: str) -> list[Row]:
    """The rows of whole records; a cell that is empty without quotes is NULL."""
    rows: list[Row] = []
    row: list[str | None] = []
    for found in _CELL.finditer(text if text.endswith("\n") else text + "\n"):
        quoted, plain, end = found.groups()
        row.append((plain or None) if quoted is None else quoted.replace('""', '"'))
        if end == "\n":
            rows.append(row)
            row = []
    return rows
