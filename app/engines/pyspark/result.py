"""Writes what a PySpark script assigned to `result` as CSV by the house's rules."""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from app.domain.csv_format import encode_rows
from app.engines.pyspark.cells import cells_of, optional, type_name

_DELIMITER = ","
_ROWS_AT_ONCE = 5_000


class ResultError(Exception):
    """`result` is nothing that can be an output."""


def write_result(result: object, path: Path) -> tuple[list[dict[str, str]], int]:
    """Write the rows as they come; gives the columns and how many rows there were."""
    if result is None:
        path.touch()
        return [], 0
    if isinstance(result, _class("pyspark.sql.classic.dataframe", "DataFrame")):
        return _write_classic(result, path)
    columns, tables = _columns_and_tables(result)
    row_count = 0
    with path.open("wb") as file:
        if columns:
            file.write(encode_rows([[column["name"] for column in columns]], _DELIMITER))
        for table in tables:
            row_count += table.num_rows
            for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
                file.write(encode_rows(list(zip(*map(cells_of, batch.columns), strict=True)), _DELIMITER))
    return columns, row_count


def _write_classic(frame: Any, path: Path) -> tuple[list[dict[str, str]], int]:
    """A DataFrame of a JVM's own client, which gives rows, and Arrow only all at once."""
    columns = _columns(frame)
    rows = frame.toLocalIterator(prefetchPartitions=True)
    row_count = 0
    with path.open("wb") as file:
        if columns:
            file.write(encode_rows([[column["name"] for column in columns]], _DELIMITER))
        while batch := [[_plain(cell) for cell in row] for row in islice(rows, _ROWS_AT_ONCE)]:
            file.write(encode_rows(batch, _DELIMITER))
            row_count += len(batch)
    return columns, row_count


def _plain(cell: Any) -> Any:
    """A struct is a dict, as it is by Arrow."""
    if isinstance(cell, _class("pyspark.sql", "Row")):
        return {name: _plain(value) for name, value in cell.asDict().items()}
    if isinstance(cell, list):
        return [_plain(value) for value in cell]
    if isinstance(cell, dict):
        return {name: _plain(value) for name, value in cell.items()}
    return cell


def arrow_tables(frame: Any) -> Iterator[Any]:
    """The rows of a Spark DataFrame as Arrow tables, as the server sends them."""
    client, plan = frame.sparkSession.client, frame._plan  # noqa: SLF001 - toLocalIterator makes slow rows of these
    for item in client.to_table_as_iterator(plan.to_proto(client), plan.observations):
        if hasattr(item, "num_rows"):  # the other kind is the schema
            yield item


def _columns_and_tables(result: object) -> tuple[list[dict[str, str]], Iterator[Any]]:
    if isinstance(result, _class("pyspark.sql", "DataFrame")):
        return _columns(result), arrow_tables(result)
    table = _arrow_table(result)
    return [{"name": field.name, "type": _spark_type(field.type)} for field in table.schema], iter([table])


def _columns(frame: Any) -> list[dict[str, str]]:
    return [{"name": field.name, "type": type_name(field.dataType)} for field in frame.schema]


def _spark_type(arrow_type: Any) -> str:
    from pyspark.errors import PySparkTypeError  # noqa: PLC0415 - optional
    from pyspark.sql.pandas.types import from_arrow_type  # noqa: PLC0415 - optional

    try:
        return type_name(from_arrow_type(arrow_type))
    except PySparkTypeError:  # a type that Spark does not have
        return str(arrow_type).upper()


def _arrow_table(result: object) -> Any:
    """Rows of this process, pandas' or Python's own, as an Arrow table.

    Raises: ResultError.
    """
    pa = optional("pyarrow")

    try:
        if isinstance(result, pa.Table):
            return result
        if isinstance(result, _class("pandas", "DataFrame")):
            return pa.Table.from_pandas(result, preserve_index=False)
        if isinstance(result, list | tuple):
            return pa.Table.from_pylist([_named(row) for row in result])
    except pa.ArrowException as error:
        raise ResultError(f"`result` has a column of mixed or unknown types: {error}") from error
    raise ResultError(
        "`result` must be a Spark DataFrame, a pandas DataFrame or a list of rows (Row, dict or tuple); it is"
        f" {type(result).__name__}."
    )


def _named(row: object) -> dict[str, Any]:
    if isinstance(row, _class("pyspark.sql", "Row")) and hasattr(row, "__fields__"):
        return dict(row.asDict(recursive=True))
    if isinstance(row, dict):
        return {str(name): cell for name, cell in row.items()}
    if isinstance(row, list | tuple):
        return {f"_{number}": cell for number, cell in enumerate(row, start=1)}
    return {"value": row}


def _class(module: str, name: str) -> Any:
    """A class of a module that is there or not: what was never imported has no instances."""
    loaded = sys.modules.get(module)
    return getattr(loaded, name, ()) if loaded is not None else ()
