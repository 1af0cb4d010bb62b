"""A task's statements, run in order over a workspace; the last one with a result set gives the output."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from app.domain.tasks import TaskType
from app.engines.base import TerminalEngineError
from app.engines.embedded.databases import Session
from app.engines.embedded.literals import identifier
from app.engines.embedded.memory import Memory
from app.engines.embedded.results import CsvResult, Layout, lay_out, nothing, shape_of, write_csv
from app.engines.embedded.scratch import JobFolder
from app.engines.embedded.translation.places import place_of, syntax_error, table_not_found, unsupported
from app.engines.embedded.translation.statements import Define, Ignored, Query, Remove, Statement, Write, WriteMode
from app.engines.embedded.translation.tables import TableSchema, table_key
from app.engines.embedded.translation.translator import Translated, Translator
from app.engines.embedded.workspace import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class _NewRows:
    """Rows for an existing table, as SQL whose columns are the table's, in order and of its types."""

    sql: str
    partition: tuple[str, ...]  # conditions on the table's columns: the static partition
    dynamic: tuple[str, ...]  # names of dynamic partition columns


class Script:
    """Runs the statements of one task."""

    def __init__(
        self,
        *,
        task_type: TaskType,
        translator: Translator,
        text: str,
        session: Session,
        workspace: Workspace,
        log: Callable[[str], None],
        proceed: Callable[[], None],
        folder: JobFolder,
        delimiter: str,
        layouts: Memory[Translated, Layout],
    ) -> None:
        self._type = task_type
        self._translator = translator
        self._text = text
        self._session = session
        self._connection = session.connection
        self._workspace = workspace
        self._log = log
        self._proceed = proceed
        self._folder = folder
        self._delimiter = delimiter
        self._layouts = layouts

    def run(self, statements: Sequence[Statement]) -> CsvResult:
        """Run all; `proceed` is called before each and raises when the job was cancelled.

        Raises: TerminalEngineError, duckdb.Error.
        """
        result: CsvResult | None = None
        last = max((index for index, statement in enumerate(statements) if isinstance(statement, Query)), default=-1)
        for index, statement in enumerate(statements):
            self._proceed()
            match statement:
                case Query():
                    translated = self._translate(statement.tree, statement)
                    if index == last:
                        result = self._query(translated)
                case Write():
                    self._write(statement)
                case Define():
                    self._define(statement)
                case Remove():
                    self._remove(statement)
                case Ignored():
                    self._log(f"Ignored, there is nothing to set here: {' '.join(statement.text.split())[:200]}")
        return result or nothing(self._delimiter)

    def _translate(self, query: exp.Expr, statement: Statement) -> Translated:
        translated = self._translator.translate(
            query,
            text=self._text,
            place=statement.place,
            lookup=self._workspace.lookup,
            schemas=self._workspace.schemas,
        )
        self._log(f"DuckDB: {translated.sql}")
        for macro in translated.macros:
            if macro not in self._session.macros:
                self._connection.execute(macro)
                self._session.macros.add(macro)
        return translated

    def _query(self, translated: Translated) -> CsvResult:
        layout = self._layouts.get(translated)
        if layout is None:
            layout = lay_out(self._connection, translated.sql, labels=translated.labels, delimiter=self._delimiter)
            self._layouts.put(translated, layout, weight=len(translated.sql))
        return write_csv(self._connection, layout, self._folder)

    def _write(self, statement: Write) -> None:
        key = table_key(statement.target)
        if statement.mode in {WriteMode.APPEND, WriteMode.OVERWRITE}:
            self._fill(statement)
            return
        if not self._may_create(key, statement.mode, statement):
            return
        translated = self._translate(statement.query, statement)
        names = statement.columns or translated.labels or self._own_names(translated.sql)
        _refuse_twins(names, statement)
        rows = self._workspace.store(key, translated.sql, names=tuple(names), temporary=statement.temporary)
        if statement.view:
            self._log(f"The view {key} was stored as a table: it shows the data as of now.")
        self._log(f"Created {key}: {rows} rows.")

    def _define(self, statement: Define) -> None:
        key = table_key(statement.target)
        if not self._may_create(key, statement.mode, statement):
            return
        names = tuple(column.name for column in statement.columns)
        _refuse_twins(names, statement)
        kinds = [column.args["kind"].sql(dialect="duckdb") for column in statement.columns]
        cells = ", ".join(f"CAST(NULL AS {kind}) AS c{index}" for index, kind in enumerate(kinds))
        self._workspace.store(key, f"SELECT {cells} WHERE false", names=names, temporary=statement.temporary)
        self._log(f"Created {key}, empty.")

    def _remove(self, statement: Remove) -> None:
        for target in statement.targets:
            key = table_key(target)
            if self._workspace.made_by_task(key):
                self._workspace.remove(key)
                self._log(f"Dropped {key}.")
            elif key in self._workspace and not statement.if_exists:
                message = f"{key} is registered in the settings: a task cannot drop it."
                raise TerminalEngineError(message, code="REFUSED")
            elif not statement.if_exists:
                raise table_not_found(target.name, place_of(target), [])
            else:
                self._log(f"There was no {key} to drop.")

    def _may_create(self, key: str, mode: WriteMode, statement: Statement) -> bool:
        if not self._workspace.made_by_task(key) or mode is WriteMode.REPLACE:
            return True
        if mode is WriteMode.CREATE_IF_MISSING:
            self._log(f"{key} exists already and stays as it is.")
            return False
        message = (
            f"The table {key} at {statement.place} exists already; drop it first with DROP TABLE IF EXISTS {key}, "
            "or fill it with INSERT."
        )
        raise TerminalEngineError(message, code="TABLE_EXISTS")

    def _fill(self, statement: Write) -> None:
        key = self._workspace.lookup(statement.target)
        schema = self._workspace.open(key)
        rows = self._new_rows(statement, schema)
        old = f"SELECT * FROM temp.{identifier(key)}"
        if statement.mode is WriteMode.OVERWRITE:
            kept = " AND ".join(rows.partition)
            if rows.dynamic and self._type is TaskType.HIVE:
                columns = ", ".join(identifier(name) for name in rows.dynamic)
                inside = f"({columns}) IN (SELECT ({columns}) FROM ({rows.sql}))"
                kept = f"{kept} AND {inside}" if kept else inside
            old = f"{old} WHERE NOT coalesce({kept}, false)" if kept else ""
        sql = f"{old} UNION ALL {rows.sql}" if old else rows.sql
        total = self._workspace.store(key, sql, names=schema.names)
        self._log(f"Wrote {key}: {total} rows in all.")

    def _new_rows(self, statement: Write, schema: TableSchema) -> _NewRows:
        translated = self._translate(statement.query, statement)
        static, dynamic = _partition(statement)
        width = len(self._own_names(translated.sql))
        kinds = {name.lower(): kind for name, kind in schema.columns}
        filled = [name.lower() for name in statement.columns] or [
            name for name in kinds if name not in {*static, *dynamic}
        ]
        filled = [*filled, *(name for name in dynamic if name not in filled)]
        for name in [*filled, *static]:
            if name not in kinds:
                message = (
                    f"{statement.target.name} at {statement.place} has no column {name}; it has {', '.join(kinds)}."
                )
                raise TerminalEngineError(message, code="COLUMN_NOT_FOUND")
        if len(filled) != width:
            message = (
                f"the query gives {width} columns, {statement.target.name} wants {len(filled)}: {', '.join(filled)}."
            )
            raise syntax_error(message, statement.place)
        cast = "CAST" if self._type is TaskType.PRESTO else "TRY_CAST"
        cells = []
        for name, kind in kinds.items():
            value = f"c{filled.index(name)}" if name in filled else static.get(name, "NULL")
            cells.append(f"{cast}({value} AS {kind}) AS {identifier(name)}")
        aliases = ", ".join(f"c{index}" for index in range(width))
        conditions = tuple(f"{identifier(name)} = CAST({value} AS {kinds[name]})" for name, value in static.items())
        sql = f"SELECT {', '.join(cells)} FROM ({translated.sql}) AS incoming({aliases})"
        return _NewRows(sql=sql, partition=conditions, dynamic=dynamic)

    def _own_names(self, sql: str) -> tuple[str, ...]:
        return tuple(name for name, _ in shape_of(self._connection, sql))


def _partition(statement: Write) -> tuple[dict[str, str], tuple[str, ...]]:
    """Static partition columns with their values as SQL, and the names of the dynamic ones."""
    static: dict[str, str] = {}
    dynamic = []
    for part in statement.partition:
        if isinstance(part, exp.EQ) and isinstance(part.expression, exp.Literal | exp.Neg | exp.Cast):
            static[part.this.name.lower()] = part.expression.sql(dialect="duckdb")
        elif isinstance(part, exp.Column | exp.Identifier):
            dynamic.append(part.name.lower())
        else:
            raise unsupported(
                "This PARTITION clause", place_of(part) or statement.place, advice="give constants or names"
            )
    return static, tuple(dynamic)


def _refuse_twins(names: tuple[str, ...], statement: Statement) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise syntax_error(f"the new table would have two columns {name}; give one an alias.", statement.place)
        seen.add(name.lower())
