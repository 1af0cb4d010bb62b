"""A query's rows as CSV by the rules of app.domain.csv_format: a small result as a text, a large one as a file.

The first rows are read into this process, which is the quickest way to have a few. Many are better written by DuckDB's
own COPY; both give the same characters, for DuckDB makes the texts of the cells in either case.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from time import monotonic
from typing import Any

import duckdb

from app.domain.csv_format import encode_rows, quote
from app.domain.outputs import OutputColumn
from app.engines.base import OutputSink
from app.engines.embedded.cells import INTEGERS, cell_of, quoted, text_of
from app.engines.embedded.literals import literal
from app.engines.embedded.scratch import JobFolder

_ROWS_AT_FIRST = 64
_ROWS_AT_ONCE = 1_000  # more at once would keep the event loop from the interpreter for too long
_HELD_BYTES = 256 * 1024
_CHEAP_SECONDS = 0.05  # a query that gave its first rows within it may as well be asked again


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvResult:
    """A finished CSV text; a large one lies in a file of the engine's scratch folder."""

    text: bytes | Path
    columns: tuple[OutputColumn, ...]
    row_count: int
    delimiter: str

    async def deliver(self, sink: OutputSink) -> None:
        if isinstance(self.text, bytes):
            await sink.write_csv(self.text, self.columns, row_count=self.row_count)
        else:
            await sink.adopt_csv(self.text, self.columns, row_count=self.row_count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """How the rows of one query are written: `texts` selects the cells before quoting, `cells` after it.

    In `texts`, a whole number may stand for its own text.
    """

    columns: tuple[OutputColumn, ...]
    wanting_quotes: tuple[bool, ...]
    texts: str
    cells: str
    delimiter: str

    @property
    def header(self) -> bytes:
        return encode_rows([[column.name for column in self.columns]], self.delimiter)


def shape_of(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, str]]:
    """The query's own names of its columns, and their types; the query is not run."""
    relation = connection.sql(f"FROM ({sql})")
    return [(name, str(kind)) for name, kind in zip(relation.columns, relation.types, strict=True)]


def lay_out(connection: duckdb.DuckDBPyConnection, sql: str, *, labels: Sequence[str], delimiter: str) -> Layout:
    """Without labels the columns keep DuckDB's names."""
    shape = shape_of(connection, sql)
    names = labels or [name for name, _ in shape]
    columns = tuple(OutputColumn(name=name, type=kind) for name, (_, kind) in zip(names, shape, strict=True))
    aliases = [f"c{index}" for index in range(len(columns))]
    texts = [text_of(alias, column.type) for alias, column in zip(aliases, columns, strict=True)]
    cells = [
        f"{cell_of(alias, column.type, delimiter)} AS {alias}" for alias, column in zip(aliases, columns, strict=True)
    ]
    source = f"FROM ({sql}) AS result({', '.join(aliases)})"
    as_it_is = all(column.type == "VARCHAR" or column.type in INTEGERS for column in columns)
    return Layout(
        columns=columns,
        wanting_quotes=tuple(wanting for _, wanting in texts),
        texts=sql if as_it_is else f"SELECT {', '.join(text for text, _ in texts)} {source}",
        cells=f"SELECT {', '.join(cells)} {source}",
        delimiter=delimiter,
    )


def write_csv(connection: duckdb.DuckDBPyConnection, layout: Layout, folder: JobFolder) -> CsvResult:
    """Run the query and write its rows.

    Raises: duckdb.Error.
    """
    began = monotonic()
    pieces = _pieces(connection.execute(layout.texts), layout)
    text, row_count = bytearray(layout.header), 0
    for piece, rows in pieces:
        text += piece
        row_count += rows
        if len(text) > _HELD_BYTES:
            break
    else:
        return CsvResult(text=bytes(text), columns=layout.columns, row_count=row_count, delimiter=layout.delimiter)
    path = folder.file("output.csv")
    if monotonic() - began < _CHEAP_SECONDS:
        row_count = copy_csv(connection, layout, path)
    else:
        with path.open("wb") as file:
            for piece, rows in chain([(bytes(text), 0)], pieces):
                file.write(piece)
                row_count += rows
    return CsvResult(text=path, columns=layout.columns, row_count=row_count, delimiter=layout.delimiter)


def copy_csv(connection: duckdb.DuckDBPyConnection, layout: Layout, path: Path) -> int:
    """Have DuckDB write the file; the number of its rows."""
    row = connection.execute(
        f"COPY ({layout.cells}) TO {literal(str(path))} (FORMAT csv, HEADER false, QUOTE '', ESCAPE '', NULLSTR '', "
        f"DELIMITER {literal(layout.delimiter)}, PREFIX {literal(layout.header.decode())}, SUFFIX '\n')"
    ).fetchone()
    row_count = int(row[0]) if row else 0
    if row_count == 0:
        path.write_bytes(layout.header)  # with no rows the suffix would be an empty line
    return row_count


def nothing(delimiter: str) -> CsvResult:
    """The output of statements that have no result set."""
    return CsvResult(text=b"", columns=(), row_count=0, delimiter=delimiter)


def with_delimiter(result: CsvResult, delimiter: str, folder: JobFolder) -> CsvResult:
    """The same rows with another delimiter."""
    if delimiter == result.delimiter or not result.columns:
        return result
    if isinstance(result.text, bytes):
        source = folder.file("output.csv")
        source.write_bytes(result.text)
    else:
        source = result.text
    target = folder.file("delimited.csv")
    aliases = [f"c{index}" for index in range(len(result.columns))]
    kinds = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in aliases)
    rows = (
        f"FROM read_csv({literal(str(source))}, delim = {literal(result.delimiter)}, quote = '\"', escape = '\"', "
        f"header = true, nullstr = '', allow_quoted_nulls = false, auto_detect = false, max_line_size = 100000000, "
        f"columns = {{{kinds}}})"
    )
    layout = Layout(
        columns=result.columns,
        wanting_quotes=(True,) * len(aliases),
        texts=f"SELECT {', '.join(aliases)} {rows}",
        cells=f"SELECT {', '.join(f'{quoted(name, delimiter)} AS {name}' for name in aliases)} {rows}",
        delimiter=delimiter,
    )
    if result.row_count == 0:
        return CsvResult(text=layout.header, columns=result.columns, row_count=0, delimiter=delimiter)
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        copy_csv(connection, layout, target)
    return CsvResult(text=target, columns=result.columns, row_count=result.row_count, delimiter=delimiter)


def _pieces(connection: duckdb.DuckDBPyConnection, layout: Layout) -> Iterator[tuple[bytes, int]]:
    """The lines of the running query, some rows at a time, and how many rows those are."""
    size = _ROWS_AT_FIRST
    while rows := connection.fetchmany(size):
        piece = "".join([_line(row, layout) for row in rows]).encode()
        yield piece, len(rows)
        size = max(1, min(_ROWS_AT_ONCE, _HELD_BYTES * len(rows) // len(piece)))


def _line(row: Sequence[Any], layout: Layout) -> str:
    delimiter = layout.delimiter
    cells = [
        "" if text is None else quote(text, delimiter) if wanting else str(text)
        for text, wanting in zip(row, layout.wanting_quotes, strict=True)
    ]
    return delimiter.join(cells) + "\n"
