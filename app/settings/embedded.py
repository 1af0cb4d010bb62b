"""The embedded engine for laptops and demos: DuckDB over files that are registered as tables."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import ByteSize, Field, StringConstraints

from app.settings.location import Location
from app.settings.permitted import Permitted
from app.settings.section import Section


class TableFormat(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


class TableSettings(Section):
    """A file, a folder or a glob pattern that tasks read as a table; the last three keys concern CSV."""

    path: Location
    format: TableFormat = TableFormat.CSV
    null_values: tuple[str, ...] = ("",)
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    header: bool = True

    def missing(self) -> bool:
        """Nothing is at the path, or nothing matches it."""
        if self.path.exists():
            return False
        return not any(Path(self.path.anchor or ".").glob(str(self.path.relative_to(self.path.anchor))))


TableName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}(\.[A-Za-z_][A-Za-z0-9_]{0,127})?$"),
    Permitted("a table's name, or database.table"),
]


class EmbeddedSettings(Section):
    """`directory` keeps what the tasks' own tables hold; `memory_limit` and `threads` bound each DuckDB."""

    enabled: bool = False
    directory: Location = Path(".data-phantom/embedded")
    memory_limit: Annotated[ByteSize, Field(ge=64 * 1024**2), Permitted("a size of at least 64MiB, such as 1GB")] = (
        ByteSize(1024**3)
    )
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    # A real Spark Connect server for PYSPARK scripts; without it they run on the embedded one.
    spark_remote: (
        Annotated[str, StringConstraints(pattern=r"^sc://[^\s/]+(/.*)?$"), Permitted("sc://host:15002")] | None
    ) = None
    tables: dict[TableName, TableSettings] = Field(default_factory=dict)
