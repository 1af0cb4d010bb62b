"""The playground's tables in a PySpark script: there as views, and saved as Parquet when the script makes new ones."""

import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from app.engines.pyspark.cells import plain_timestamps
from app.engines.pyspark.result import arrow_tables


def prepare_tables(spark: Any, tables: Mapping[str, Path]) -> None:
    """Make each table a view, and keep Spark's rules for saving under a name that is taken."""
    for name, path in tables.items():
        try:
            spark.read.parquet(str(path)).createOrReplaceTempView(name)
        except Exception as error:  # noqa: BLE001 - only the table that cannot be read is lost, and it is said
            print(f"The table {name} cannot be read: {error}", file=sys.stderr)  # noqa: T201 - becomes a log line
    if tables:
        _guard_saving({name.lower() for name in tables})


def save_tables(spark: Any, folder: Path) -> list[dict[str, str]]:
    """Write every table that the script saved as one Parquet file each; gives names and files."""
    pa: Any = import_module("pyarrow")  # comes with the optional pyspark client
    pq: Any = import_module("pyarrow.parquet")

    names = [table.name for table in spark.catalog.listTables() if not table.isTemporary]
    folder.mkdir()
    saved = []
    for number, name in enumerate(names):
        quoted = name.replace("`", "``")
        tables = arrow_tables(spark.table(f"default.`{quoted}`"))  # without the schema a view of that name comes first
        first = next(tables, None)
        if first is None or not first.column_names:
            continue
        path = folder / f"{number}.parquet"
        plain = _plain(pa, first)
        with pq.ParquetWriter(path, plain.schema) as writer:
            writer.write_table(plain)
            for table in tables:
                writer.write_table(_plain(pa, table).cast(plain.schema))
        saved.append({"name": name, "file": str(path)})
    return saved


def _plain(pa: Any, table: Any) -> Any:
    columns = [plain_timestamps(column) for column in _columns(table)]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _columns(table: Any) -> Iterator[Any]:
    return (table.column(index) for index in range(table.num_columns))


def _guard_saving(taken: set[str]) -> None:
    """The server does not know that a view stands for a table, so it would let `saveAsTable` replace it unasked."""
    from pyspark.sql.connect.readwriter import DataFrameWriter  # noqa: PLC0415 - optional

    save_as_table = DataFrameWriter.saveAsTable

    def guarded(self: Any, name: str, format: str | None = None, mode: str | None = None, **options: Any) -> None:
        wanted = (mode or self._write.mode or "error").lower()
        if name.lower().rpartition(".")[2].strip("`") in taken:
            if wanted == "ignore":
                return
            if wanted == "append":
                raise ValueError(
                    f"{name} cannot be appended to here: write spark.table({name!r}).union(…) with mode('overwrite')."
                )
            if wanted != "overwrite":
                raise ValueError(f"The table {name} exists already; use mode('overwrite') to replace it.")
        arguments = {"format": format, "mode": mode, **options}
        save_as_table(self, name, **{key: value for key, value in arguments.items() if value is not None})

    DataFrameWriter.saveAsTable = guarded  # type: ignore[method-assign,assignment]  # adds a rule to the client's own method
