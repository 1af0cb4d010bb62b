"""The first rows of an output file as text, without reading more than its start."""

from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import duckdb

from app.domain.csv_format import cell_text
from app.domain.errors import InvalidError
from app.domain.outputs import OutputFormat
from app.outputs.base import PreviewTable
from app.outputs.csv_reader import IncompleteRecordError, Record, read_records

_CHUNK_CHARACTERS = 64 * 1024
_MOST_CHARACTERS = 4 * 1024 * 1024  # rows of huge cells: fewer rows, rather than a huge answer


def preview_file(path: Path, *, format: OutputFormat, delimiter: str, limit: int) -> PreviewTable:
    """The first `limit` rows.

    Raises: InvalidError where the file is not what `format` says.
    """
    match format:
        case OutputFormat.CSV:
            return _csv(path, delimiter=delimiter, limit=limit)
        case OutputFormat.PARQUET:
            return _parquet(path, limit=limit)


def _csv(path: Path, *, delimiter: str, limit: int) -> PreviewTable:
    records: list[Record] = []
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
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


def _parquet(path: Path, *, limit: int) -> PreviewTable:
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            result = connection.execute("SELECT * FROM read_parquet(?) LIMIT ?", [str(path), limit + 1])
            columns = tuple(str(column[0]) for column in result.description or ())
            rows = result.fetchall()
    except duckdb.Error as error:
        raise InvalidError(f"This output cannot be read as Parquet: {error}") from error
    texts: list[Record] = [[None if cell is None else cell_text(cell) for cell in row] for row in rows[:limit]]
    return PreviewTable(columns=columns, rows=texts, truncated=len(rows) > limit)
