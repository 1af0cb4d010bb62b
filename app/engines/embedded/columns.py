"""The columns of the catalogue's tables, for those who write texts and have not run them yet."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from threading import Lock
from uuid import UUID

import duckdb
from sqlglot import exp

from app.engines.embedded.catalogue import Catalogue, Version
from app.engines.embedded.literals import literal
from app.engines.embedded.memory import Memory
from app.engines.embedded.results import shape_of
from app.engines.embedded.translation.tables import TableSchema, resolve

_NOBODY = UUID(int=0)  # has no tables of its own


class TableColumns:
    """Reads the heads of Parquet files; `known` is what jobs have read of them already."""

    def __init__(self, *, catalogue: Catalogue, known: Memory[Version, TableSchema]) -> None:
        self._catalogue = catalogue
        self._known = known
        self._lock = Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def of(self, tables: Collection[str], playground_id: UUID | None) -> Mapping[str, Sequence[str]]:
        """For a thread. A registered table that no job has read yet is left out: converting it may take long."""
        return dict(self._columns(tables, playground_id or _NOBODY))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _columns(self, tables: Collection[str], playground_id: UUID) -> Iterator[tuple[str, Sequence[str]]]:
        names = self._catalogue.tables(playground_id)
        for table in tables:
            *schemas, name = table.split(".")
            key = resolve(exp.table_(name, db=schemas[-1] if schemas else None), names)
            path = None if key is None else names.at_hand(key)
            if path is None:
                continue
            version = Version.of(path)
            schema = self._known.get(version) or self._read(version)
            if schema is not None:
                yield table, schema.names

    def _read(self, version: Version) -> TableSchema | None:
        with self._lock:
            if self._connection is None:
                self._connection = duckdb.connect(":memory:", config={"threads": 1})
            try:
                columns = shape_of(self._connection, f"FROM read_parquet({literal(str(version.path))})")
            except duckdb.Error:  # it has just been replaced or dropped
                return None
        schema = TableSchema(columns=tuple(columns))
        self._known.put(version, schema)
        return schema
