"""Pieces of DuckDB's SQL: literals, names, and a CSV file of the house's rules as a table of texts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from app.outputs.parquet_types import TEXT

_LONGEST_LINE_BYTES = 32 * 2**20  # and of the reader's buffer, which is sixteen times as large by itself


def literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def csv_cells(width: int) -> list[str]:
    """The names of the columns of a `csv_source`: labels may come twice, or be empty."""
    return [f"c{position}" for position in range(width)]


def csv_source(csv: Path, *, width: int, delimiter: str) -> str:
    """The table of a file; every cell is a text, NULL where it is empty and not quoted."""
    columns = ", ".join(f"'{cell}': '{TEXT}'" for cell in csv_cells(width))
    return f"""read_csv({literal(csv)}, columns={{{columns}}}, auto_detect=false, header=true,
        delim={literal(delimiter)}, quote='"', escape='"', new_line='\\n', nullstr='', allow_quoted_nulls=false,
        parallel=false, max_line_size={_LONGEST_LINE_BYTES}, buffer_size={_LONGEST_LINE_BYTES})"""


def unique_names(labels: Sequence[str]) -> Iterator[str]:
    """Names for columns as Parquet's readers want them: none empty, and no two alike but for their case."""
    taken = {label.casefold() for label in labels}
    used: set[str] = set()
    for position, label in enumerate(labels, start=1):
        name = label or f"column_{position}"
        number = 1
        while name.casefold() in used or (name != label and name.casefold() in taken):
            name = f"{label or 'column'}_{(number := number + 1)}"
        used.add(name.casefold())
        yield name
