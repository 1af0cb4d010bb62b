"""The first rows of an output as text, without reading more than its start."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from app.domain.errors import InvalidError
from app.outputs.base import PreviewTable
from app.outputs.csv_reader import IncompleteRecordError, Record, read_records
from app.outputs.parquet import first_rows

_CHUNK_CHARACTERS = 64 * 1024
_MOST_CHARACTERS = 4 * 1024 * 1024  # rows of huge cells: fewer rows, rather than a huge answer


def preview_csv(file: TextIO, *, delimiter: str, limit: int) -> PreviewTable:
    """The first `limit` rows.

    Raises: InvalidError where this is no CSV.
    """
    records: list[Record] = []
    start = _Start(file)
    try:
        for record in read_records(start.chunks(), delimiter):
            records.append(record)
            if len(records) > limit + 1:  # the header, the rows and one that tells that there are more
                break
        else:
            if start.cut:
                records.pop()  # it may lack its end
    except IncompleteRecordError:
        if not start.cut:
            raise
    if not records:
        if start.cut:
            raise InvalidError(f"The header of this output is longer than {_MOST_CHARACTERS} characters.")
        return PreviewTable(columns=(), rows=[], truncated=False)
    header, *rows = records
    columns = tuple(name or "" for name in header)
    return PreviewTable(columns=columns, rows=rows[:limit], truncated=len(rows) > limit or start.cut)


def preview_parquet(path: Path, *, limit: int) -> PreviewTable:
    """The first `limit` rows.

    Raises: InvalidError where this is no Parquet file.
    """
    columns, rows = first_rows(path, limit=limit + 1)
    return PreviewTable(columns=columns, rows=rows[:limit], truncated=len(rows) > limit)


class _Start:
    """The start of a text; `cut` once the reader wanted more than is shown."""

    def __init__(self, file: TextIO) -> None:
        self.cut = False
        self._file = file

    def chunks(self) -> Iterator[str]:
        taken = 0
        while chunk := self._file.read(_CHUNK_CHARACTERS):
            if taken >= _MOST_CHARACTERS:
                self.cut = True
                return
            taken += len(chunk)
            yield chunk
