"""Parquet files: made of the CSV that engines bring, and read back as text."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import duckdb

from app.domain.errors import InvalidError
from app.domain.outputs import OutputColumn
from app.domain.reconciliation.samples import TableSample
from app.outputs.base import StorageError
from app.outputs.parquet_types import MAGIC, TEXT, castable, cell_text, parquet_type
from app.outputs.sql_text import csv_cells, csv_source, literal, quoted, unique_names

_ROWS_OF_A_GROUP = 16_384  # a preview from S3 brings one group at least
_LABELS = "labels"  # those of the query, where a file's own names must be unique and not empty
# Nothing is fetched, nothing is written beside the file, and conversions of several tasks go on at once.
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "512MB",
    "temp_directory": "",
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
}
_LOOK_UP_SECONDS = 0.1
_TAIL_BYTES = 64 * 1024  # most footers fit


def write_parquet(
    csv: Path,
    parquet: Path,
    *,
    columns: Sequence[OutputColumn],
    delimiter: str,
    look_up: Callable[[], None] = lambda: None,
) -> int:
    """Make the file of a CSV by the house's rules, in the order of its rows and within bounded memory.

    Gives the number of rows.

    A column has the type of its engine where every cell can have it, without losing a digit; else it is text.
    `look_up` is called again and again; an error that it raises ends the conversion.

    Raises: StorageError.
    """
    cells = csv_cells(len(columns))
    source = csv_source(csv, width=len(columns), delimiter=delimiter)
    kinds = [parquet_type(column.type) for column in columns]
    labels = [column.name for column in columns]
    with _duckdb() as connection:
        if typed := [place for place, kind in enumerate(kinds) if kind != TEXT]:
            checks = ", ".join(f"bool_and({castable(cells[place], kinds[place])[0]})" for place in typed)
            fitting = _execute(connection, f"SELECT {checks} FROM {source}", look_up).fetchone() or ()
            for place, fits in zip(typed, fitting, strict=True):
                kinds[place] = TEXT if fits is False else kinds[place]  # NULL: there are no rows
        selected = ", ".join(
            f"{castable(cell, kind)[1]} AS {quoted(name)}"
            for cell, kind, name in zip(cells, kinds, unique_names(labels), strict=True)
        )
        written = _execute(
            connection,
            f"""COPY (SELECT {selected} FROM {source}) TO {literal(parquet)} (
                FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS_OF_A_GROUP}, USE_TMP_FILE false,
                KV_METADATA {{{_LABELS}: {literal(json.dumps(labels))}}})""",
            look_up,
        ).fetchone()
        return int(written[0]) if written else 0


def write_csv(parquet: Path, csv: Path, *, delimiter: str, look_up: Callable[[], None] = lambda: None) -> None:
    """Make the CSV of a Parquet file, in the order of its rows and within bounded memory.

    `look_up` is called again and again; an error that it raises ends the conversion.

    Raises: StorageError.
    """
    with _duckdb() as connection:
        labels, texts = _columns(connection, parquet)
        header = ", ".join(literal(label) for label in labels)
        _execute(
            connection,
            f"""COPY (SELECT {header} UNION ALL SELECT {", ".join(texts)} FROM read_parquet({literal(parquet)}))
                TO {literal(csv)} (FORMAT csv, HEADER false, DELIMITER {literal(delimiter)}, QUOTE '"', ESCAPE '"',
                NULLSTR '', NEW_LINE '\\n', USE_TMP_FILE false)""",
            look_up,
        )


def first_rows(parquet: Path, *, limit: int) -> tuple[tuple[str, ...], list[list[str | None]]]:
    """The labels, and the first rows as text. Raises: InvalidError where this is no Parquet file."""
    with _reading(), duckdb.connect(config=_CONFIG) as connection:
        labels, texts = _columns(connection, parquet)
        rows = connection.execute(f"SELECT {', '.join(texts)} FROM read_parquet({literal(parquet)}) LIMIT {limit}")
        return labels, [list(row) for row in rows.fetchall()]


def spread_rows(parquet: Path, *, places: int, rows: int) -> TableSample:
    """So many rows from each of several places of the file. Raises: InvalidError where this is no Parquet file."""
    with _reading(), duckdb.connect(config=_CONFIG) as connection:
        labels, texts = _columns(connection, parquet)
        counted = connection.execute("SELECT sum(num_rows) FROM parquet_file_metadata(?)", [str(parquet)]).fetchone()
        total = int(counted[0]) if counted and counted[0] is not None else 0
        whole = total <= places * rows
        starts = [(total - rows) * place // max(places - 1, 1) for place in range(places)]
        spans = [(0, total)] if whole else [(start, start + rows - 1) for start in starts]
        where = " OR ".join(f"file_row_number BETWEEN {start} AND {end}" for start, end in spans)
        found = connection.execute(
            f"SELECT {', '.join(texts)} FROM read_parquet({literal(parquet)}, file_row_number=true) WHERE {where}"
        )
        return TableSample(columns=labels, rows=found.fetchall(), whole=whole)


def copy_start(read: Callable[[int, int], bytes], size_bytes: int, path: Path, *, rows: int) -> None:
    """Bring what a reader of the first rows needs of a file that is far away, and leave the rest of it a hole.

    `read` gives the bytes between two offsets.

    Raises: InvalidError where this is no Parquet file.
    """
    with path.open("r+b") as file:
        file.truncate(size_bytes)
        file.write(MAGIC)
        start = max(size_bytes - _TAIL_BYTES, 0)
        tail = read(start, size_bytes)
        if tail[-len(MAGIC) :] != MAGIC:
            raise InvalidError("This output cannot be read as Parquet: its end is missing.")
        footer_bytes = int.from_bytes(tail[-8:-4], "little") + 8
        if footer_bytes > len(tail):
            start = max(size_bytes - footer_bytes, 0)
            tail = read(start, size_bytes)
        file.seek(start)
        file.write(tail)
        file.flush()
        end = min(_end_of_groups(path, rows), start)
        if end > len(MAGIC):
            file.seek(len(MAGIC))
            file.write(read(len(MAGIC), end))


def _execute(
    connection: duckdb.DuckDBPyConnection, statement: str, look_up: Callable[[], None]
) -> duckdb.DuckDBPyConnection:
    """Run a statement that takes long in a thread, and interrupt it where `look_up` raises."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="duckdb") as thread:
        running = thread.submit(connection.execute, statement)
        try:
            while not wait([running], timeout=_LOOK_UP_SECONDS).done:
                look_up()
        except BaseException:
            while not wait([running], timeout=_LOOK_UP_SECONDS).done:
                connection.interrupt()  # again: one that comes before the statement has begun is lost
            raise
        return running.result()


def _end_of_groups(parquet: Path, rows: int) -> int:
    """Where the row groups end that hold the first rows."""
    with _reading(), duckdb.connect(config=_CONFIG) as connection:
        found = connection.execute(
            """SELECT max(group_end) FROM (
                SELECT sum(row_count) OVER (ORDER BY row_group_id) - row_count AS row_start, group_end FROM (
                    SELECT row_group_id, any_value(row_group_num_rows) AS row_count,
                        max(least(coalesce(dictionary_page_offset, data_page_offset), data_page_offset)
                            + total_compressed_size) AS group_end
                    FROM parquet_metadata(?) GROUP BY row_group_id))
            WHERE row_start < ?""",
            [str(parquet), rows],
        ).fetchone()
    return int(found[0]) if found and found[0] is not None else 0


def _columns(connection: duckdb.DuckDBPyConnection, parquet: Path) -> tuple[tuple[str, ...], list[str]]:
    """The labels, and an expression for the text of each column."""
    described = connection.execute(f"DESCRIBE SELECT * FROM read_parquet({literal(parquet)})").fetchall()
    names = tuple(str(row[0]) for row in described)
    kept = connection.execute(
        "SELECT decode(value) FROM parquet_kv_metadata(?) WHERE decode(key) = ?", [str(parquet), _LABELS]
    ).fetchone()
    labels = names if kept is None else tuple(json.loads(kept[0]))
    return labels, [cell_text(quoted(row[0]), str(row[1])) for row in described]


@contextmanager
def _duckdb() -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with duckdb.connect(config=_CONFIG) as connection:
            yield connection
    except duckdb.Error as error:
        raise StorageError(f"The output could not be converted: {error}", retriable=False) from error


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise InvalidError(f"This output cannot be read as Parquet: {error}") from error
