"""A query's rows as CSV by the rules of app.domain.csv_format, written by DuckDB itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from app.domain.outputs import OutputColumn

_PLAIN = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "UHUGEINT",
)
_UNQUOTED = frozenset({*_PLAIN, "DOUBLE", "FLOAT", "BOOLEAN", "DATE", "UUID"})


@dataclass(frozen=True, kw_only=True, slots=True)
class CsvResult:
    """A finished CSV file in the engine's scratch folder."""

    path: Path
    columns: tuple[OutputColumn, ...]
    row_count: int
    delimiter: str


def write_csv(
    connection: duckdb.DuckDBPyConnection, sql: str, *, labels: Sequence[str], path: Path, delimiter: str
) -> CsvResult:
    """Run the query and write its rows; without labels the columns keep DuckDB's names."""
    described = connection.execute(f"DESCRIBE {sql}").fetchall()
    names = labels or [row[0] for row in described]
    columns = tuple(OutputColumn(name=name, type=row[1]) for name, row in zip(names, described, strict=True))
    cells = [f"{_cell(f'c{index}', column.type, delimiter)} AS c{index}" for index, column in enumerate(columns)]
    aliases = ", ".join(f"c{index}" for index in range(len(columns)))
    header = _header(columns, delimiter)
    options = (
        f"FORMAT csv, HEADER false, QUOTE '', ESCAPE '', NULLSTR '', DELIMITER {literal(delimiter)}, "
        f"PREFIX {literal(header)}, SUFFIX '\n'"
    )
    statement = (
        f"COPY (SELECT {', '.join(cells)} FROM ({sql}) AS result({aliases})) TO {literal(str(path))} ({options})"
    )
    row = connection.execute(statement).fetchone()
    row_count = int(row[0]) if row else 0
    if row_count == 0:
        path.write_text(header, encoding="utf-8", newline="")  # with no rows the suffix would be an empty line
    return CsvResult(path=path, columns=columns, row_count=row_count, delimiter=delimiter)


def write_nothing(path: Path, delimiter: str) -> CsvResult:
    """The output of statements that have no result set."""
    path.write_bytes(b"")
    return CsvResult(path=path, columns=(), row_count=0, delimiter=delimiter)


def with_delimiter(result: CsvResult, delimiter: str, path: Path) -> CsvResult:
    """The same rows with another delimiter."""
    if delimiter == result.delimiter or not result.columns:
        return result
    aliases = [f"c{index}" for index in range(len(result.columns))]
    cells = ", ".join(f"{_text(name, delimiter)} AS {name}" for name in aliases)
    header = _header(result.columns, delimiter)
    kinds = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in aliases)
    source = (
        f"read_csv({literal(str(result.path))}, delim = {literal(result.delimiter)}, quote = '\"', escape = '\"', "
        f"header = true, nullstr = '', allow_quoted_nulls = false, auto_detect = false, max_line_size = 100000000, "
        f"columns = {{{kinds}}})"
    )
    options = (
        f"FORMAT csv, HEADER false, QUOTE '', ESCAPE '', NULLSTR '', DELIMITER {literal(delimiter)}, "
        f"PREFIX {literal(header)}, SUFFIX '\n'"
    )
    with duckdb.connect(":memory:", config={"threads": 1}) as connection:
        if result.row_count:
            connection.execute(f"COPY (SELECT {cells} FROM {source}) TO {literal(str(path))} ({options})")
        else:
            path.write_text(header, encoding="utf-8", newline="")
    return CsvResult(path=path, columns=result.columns, row_count=result.row_count, delimiter=delimiter)


def literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A SQL name."""
    return '"' + name.replace('"', '""') + '"'


def _header(columns: Sequence[OutputColumn], delimiter: str) -> str:
    special = (delimiter, '"', "\n", "\r")
    cells = []
    for name in (column.name for column in columns):
        plain = name and name.strip(" ") == name and not any(character in name for character in special)
        cells.append(name if plain else '"' + name.replace('"', '""') + '"')
    return delimiter.join(cells) + "\n"


def _cell(name: str, kind: str, delimiter: str) -> str:  # noqa: PLR0911 - one return for each kind of type
    """The expression that gives the cell's very characters, quotes included."""
    if kind in _UNQUOTED or kind.startswith("DECIMAL("):
        return name
    if kind in {"TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"}:
        precise = f"strftime({name}, '%Y-%m-%d %H:%M:%S.%f')"
        return f"CASE WHEN epoch_us({name}) % 1000000 = 0 THEN {name}::VARCHAR ELSE {precise} END"
    if kind == "TIMESTAMP WITH TIME ZONE":
        return f"{_cell(f'({name}::TIMESTAMP)', 'TIMESTAMP', delimiter)} || '+00:00'"
    if kind == "TIME":
        return f"CASE WHEN epoch_us({name}) % 1000000 = 0 THEN {name}::VARCHAR ELSE rpad({name}::VARCHAR, 15, '0') END"
    if kind == "BLOB":
        return f"to_base64({name})"
    if kind.endswith("]") or kind.startswith(("STRUCT(", "MAP(", "UNION(")):
        return _text(f"to_json({name})::VARCHAR", delimiter)
    return _text(name if kind == "VARCHAR" else f"{name}::VARCHAR", delimiter)


def _text(value: str, delimiter: str) -> str:
    """The text as csv_format quotes it, in SQL."""
    separator = {"]": "\\]", "\\": "\\\\", "^": "\\^", "-": "\\-"}.get(delimiter, delimiter)
    special = literal(f'[{separator}"\n\r]|^ | $')
    quoted = f"""'"' || replace({value}, '"', '""') || '"'"""
    wanted = f"{value} = '' OR regexp_matches({value}, {special})"
    return f"CASE WHEN {value} IS NULL THEN '' WHEN {wanted} THEN {quoted} ELSE {value} END"
