"""Facts of a task's output: where it lies, how it is written, what its columns are."""

from dataclasses import dataclass
from enum import StrEnum


class OutputFormat(StrEnum):
    CSV = "CSV"
    PARQUET = "PARQUET"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputColumn:
    """One column: the query's own label, and the engine's name of its type."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredOutput:
    """A complete output in the store; `location` is relative to the store's root, `delimiter` is CSV's."""

    location: str
    format: OutputFormat
    delimiter: str
    size_bytes: int
    row_count: int
    columns: tuple[OutputColumn, ...]
