"""Files and folders that the settings register as tables, converted to Parquet once for each state of the files."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import duckdb

from app.engines.base import TerminalEngineError

_CONVERSION_LIMIT = timedelta(minutes=30)


class TableFormat(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


_ENDINGS: Mapping[str, TableFormat] = {
    ".csv": TableFormat.CSV,
    ".tsv": TableFormat.CSV,
    ".txt": TableFormat.CSV,
    ".parquet": TableFormat.PARQUET,
    ".pq": TableFormat.PARQUET,
    ".json": TableFormat.JSON,
    ".jsonl": TableFormat.JSON,
    ".ndjson": TableFormat.JSON,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RegisteredTable:
    """A file, or a folder of files of one format, that queries see as a table.

    `format` is told by the ending where it is None; the CSV options are guessed from the file where they are None.
    `column_types` maps all columns of a CSV, in order, to DuckDB types: faster, and nothing is guessed.
    """

    name: str
    path: Path
    format: TableFormat | None = None
    null_values: tuple[str, ...] = field(default=("",))
    delimiter: str | None = None
    header: bool | None = None
    column_types: Mapping[str, str] | None = None


class Lock(Protocol):
    def __call__(
        self, path: Path, *, timeout: timedelta, give_up: Callable[[], bool] | None = None
    ) -> AbstractContextManager[None]: ...


class RegisteredTables:
    """The Parquet form of registered tables: a cache that several processes fill and read."""

    def __init__(self, *, folder: Path, tables: Mapping[str, RegisteredTable], lock: Lock) -> None:
        self.folder = folder
        self._tables = {name.lower(): table for name, table in tables.items()}
        self._lock = lock

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._tables)

    def files_in_place(self) -> tuple[Path, ...]:
        """Single Parquet files, which are read where they lie."""
        return tuple(table.path.resolve() for table in self._tables.values() if _in_place(table))

    def parquet(self, name: str) -> Path:
        """The table as one Parquet file, of the source's present state.

        Raises: KeyError where no such table is registered; TerminalEngineError where its source cannot be read.
        """
        table = self._tables[name]
        if _in_place(table):
            if table.path.is_file():
                return table.path.resolve()
            raise _unreadable(table, "there is no such file")
        files = _files(table)
        target = self._target(table, files)
        if not target.exists():
            with self._lock(target.with_suffix(".lock"), timeout=_CONVERSION_LIMIT):
                if not target.exists():
                    _convert(table, files, target)
        return target

    def converted(self, name: str) -> Path | None:
        """The same where nothing is left to do for it."""
        table = self._tables[name]
        try:
            path = table.path.resolve() if _in_place(table) else self._target(table, _files(table))
        except TerminalEngineError:
            return None
        return path if path.is_file() else None

    def _target(self, table: RegisteredTable, files: list[Path]) -> Path:
        return self.folder / f"{_digest(table, files)}.parquet"


def _in_place(table: RegisteredTable) -> bool:
    return not table.path.is_dir() and _format(table, table.path) is TableFormat.PARQUET


def _format(table: RegisteredTable, file: Path) -> TableFormat | None:
    if table.format is not None:
        return table.format
    endings = [ending.lower() for ending in file.suffixes if ending.lower() not in {".gz", ".zst"}]
    return _ENDINGS.get(endings[-1]) if endings else None


def _files(table: RegisteredTable) -> list[Path]:
    """The table's files in a fixed order; in a folder, those of a known format that are not hidden."""
    if table.path.is_file():
        return [table.path]
    if not table.path.is_dir():
        raise _unreadable(table, "there is no such file or folder")
    visible = (path for path in table.path.rglob("*") if path.is_file() and path.name[0] not in "._")
    files = sorted(path for path in visible if _format(table, path) is not None)
    if not files:
        raise _unreadable(table, "the folder holds no CSV, Parquet or JSON file")
    return files


def _digest(table: RegisteredTable, files: list[Path]) -> str:
    """Another name for every state of the source and every way to read it."""
    stats = [(str(file.resolve()), stat.st_mtime_ns, stat.st_size) for file in files for stat in [file.stat()]]
    facts = (table.format, table.null_values, table.delimiter, table.header, table.column_types, stats)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:40]


def _convert(table: RegisteredTable, files: list[Path], target: Path) -> None:
    formats = {_format(table, file) for file in files}
    if len(formats) != 1:
        raise _unreadable(table, "its files are of different formats; register one format per folder")
    aside = target.with_suffix(".incoming")
    with duckdb.connect(":memory:", config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            relation = _read(connection, table, formats.pop(), [str(file) for file in files])
            connection.execute(f"COPY (SELECT {_columns(relation)} FROM relation) TO '{_text(aside)}' (FORMAT parquet)")
        except duckdb.Error as error:
            aside.unlink(missing_ok=True)
            raise _unreadable(table, str(error).partition("\n")[0]) from error
    aside.replace(target)


def _read(
    connection: duckdb.DuckDBPyConnection, table: RegisteredTable, kind: TableFormat | None, files: list[str]
) -> duckdb.DuckDBPyRelation:
    match kind:
        case TableFormat.PARQUET:
            return connection.sql("SELECT * FROM read_parquet(?, union_by_name = true)", params=[files])
        case TableFormat.JSON:
            return connection.sql("SELECT * FROM read_json_auto(?, union_by_name = true)", params=[files])
        case TableFormat.CSV:
            options = "nullstr = ?, union_by_name = true"
            values: list[object] = [list(table.null_values)]
            sample_rows = -1 if table.column_types is None else None
            columns = None if table.column_types is None else dict(table.column_types)
            given = {"delim": table.delimiter, "header": table.header, "sample_size": sample_rows, "columns": columns}
            for option, value in given.items():
                if value is not None:
                    options += f", {option} = ?"
                    values.append(value)
            return connection.sql(f"SELECT * FROM read_csv(?, {options})", params=[files, *values])
        case None:
            raise _unreadable(table, "its ending tells no format; name the format: csv, parquet or json")


def _columns(relation: duckdb.DuckDBPyRelation) -> str:
    """Every column by name; an instant becomes a plain timestamp in UTC, which all four dialects know."""
    quoted = [
        ('"' + name.replace('"', '""') + '"', str(kind))
        for name, kind in zip(relation.columns, relation.types, strict=True)
    ]
    return ", ".join(
        f"{name}::TIMESTAMP AS {name}" if kind == "TIMESTAMP WITH TIME ZONE" else name for name, kind in quoted
    )


def _text(path: Path) -> str:
    return str(path).replace("'", "''")


def _unreadable(table: RegisteredTable, reason: str) -> TerminalEngineError:
    return TerminalEngineError(
        f"The registered table {table.name} cannot be read from {table.path}: {reason}.", code="TABLE_UNREADABLE"
    )
