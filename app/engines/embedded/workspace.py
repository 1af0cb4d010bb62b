"""The tables as one job sees them: the catalogue's, and over them what the job itself made, until it publishes."""

from functools import cached_property
from pathlib import Path
from uuid import UUID

from sqlglot import exp

from app.engines.embedded.catalogue import Catalogue, TableNames, Version
from app.engines.embedded.databases import Session
from app.engines.embedded.literals import identifier, literal
from app.engines.embedded.memory import Memory
from app.engines.embedded.results import shape_of
from app.engines.embedded.scratch import JobFolder
from app.engines.embedded.translation.places import place_of, table_not_found
from app.engines.embedded.translation.tables import TableSchema, resolve

_WIDE_INTEGERS = frozenset({"HUGEINT", "UHUGEINT"})


class Workspace:
    """A job's tables; a table becomes a view of the session when a statement first names it."""

    def __init__(
        self,
        *,
        session: Session,
        catalogue: Catalogue,
        playground_id: UUID,
        folder: JobFolder,
        known_schemas: Memory[Version, TableSchema],
    ) -> None:
        self._session = session
        self._connection = session.connection
        self._catalogue = catalogue
        self._playground_id = playground_id
        self._folder = folder
        self._known_schemas = known_schemas
        self._changes: dict[str, Path | None] = {}  # None: dropped
        self._temporary: set[str] = set()
        self._versions = 0
        self.schemas: dict[str, TableSchema] = {}

    @cached_property
    def _tables(self) -> TableNames:
        return self._catalogue.tables(self._playground_id)

    def __contains__(self, key: str) -> bool:
        if key in self._changes and self._changes[key] is None:
            return key in self._tables and not self._tables.created(key)  # what was shadowed shows again
        return key in self._changes or key in self._tables

    def made_by_task(self, key: str) -> bool:
        return self._changes[key] is not None if key in self._changes else self._tables.created(key)

    def lookup(self, table: exp.Table) -> str:
        """The table's key, with its view made and its columns in `schemas`.

        Raises: TerminalEngineError with code TABLE_NOT_FOUND.
        """
        names = [name for name in {*self._tables, *self._changes} if name in self]
        key = resolve(table, dict.fromkeys(names))
        if key is None:
            shown = ".".join(part.name for part in table.parts)
            raise table_not_found(shown, place_of(table), names)
        self.open(key)
        return key

    def open(self, key: str) -> TableSchema:
        if key not in self.schemas:
            version = Version.of(self._changes.get(key) or self._tables[key])
            if self._session.views.get(key) != version:
                self._make_view(key, version)
            schema = self._known_schemas.get(version)
            if schema is None:
                schema = TableSchema(columns=tuple(shape_of(self._connection, f"FROM temp.{identifier(key)}")))
                self._known_schemas.put(version, schema)
            self.schemas[key] = schema
        return self.schemas[key]

    def store(self, key: str, sql: str, *, names: tuple[str, ...], temporary: bool = False) -> int:
        """Run the query into a new version of the table, seen by this job alone so far; the number of rows."""
        self._versions += 1
        path = self._folder.file(f"table-{self._versions}.parquet")
        cells = []
        for index, (name, (_, kind)) in enumerate(zip(names, shape_of(self._connection, sql), strict=True)):
            # Parquet has no integer that wide, and DuckDB would write a DOUBLE
            cell = f"c{index}::DECIMAL(38, 0)" if kind in _WIDE_INTEGERS else f"c{index}"
            cells.append(f"{cell} AS {identifier(name)}")
        aliases = ", ".join(f"c{index}" for index in range(len(names)))
        rows = f"SELECT {', '.join(cells)} FROM ({sql}) AS result({aliases})"
        row = self._connection.execute(f"COPY ({rows}) TO {literal(str(path))} (FORMAT parquet)").fetchone()
        self._changes[key] = path
        self.schemas.pop(key, None)
        (self._temporary.add if temporary else self._temporary.discard)(key)
        return int(row[0]) if row else 0

    def remove(self, key: str) -> None:
        self._changes[key] = None
        self.schemas.pop(key, None)
        self._temporary.discard(key)

    def publish(self) -> None:
        """Let every other job see what this one made."""
        for key, path in self._changes.items():
            if key in self._temporary:
                continue
            if path is None:
                self._catalogue.drop(self._playground_id, key)
            else:
                self._catalogue.publish(self._playground_id, key, path)

    def _make_view(self, key: str, version: Version) -> None:
        self._session.views.pop(key, None)
        self._connection.execute(
            f"CREATE OR REPLACE TEMP VIEW {identifier(key)} AS FROM read_parquet({literal(str(version.path))})"
        )
        self._session.views[key] = version
