"""One dialect's queries as DuckDB's SQL, over tables whose columns are known."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import ErrorLevel, OptimizeError, SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from app.domain.labels import label_projections, labels_of
from app.domain.tasks import TaskType
from app.engines.base import TerminalEngineError
from app.engines.embedded.memory import Memory
from app.engines.embedded.translation.laterals import rewrite_laterals
from app.engines.embedded.translation.macros import macros_for
from app.engines.embedded.translation.numbers import truth
from app.engines.embedded.translation.places import Place, column_not_found, place_of, syntax_error, unsupported
from app.engines.embedded.translation.rules import apply_rules
from app.engines.embedded.translation.statements import Statement, dialect_of, parse_statements
from app.engines.embedded.translation.structure import reshape, reshape_hints
from app.engines.embedded.translation.tables import TableSchema, bind
from app.engines.embedded.translation.types import is_type_boolean

_DIALECTS: Mapping[TaskType, str] = {
    TaskType.HIVE: "hive",
    TaskType.PRESTO: "presto",
    TaskType.SPARK_SQL: "spark",
    TaskType.MYSQL: "mysql",
}
_REMEMBERED_CHARACTERS = 100_000  # of each dialect's texts; a parsed text takes about 130 times its own size
_QUOTED = re.compile(r"[\"'`]([^\"'`]+)[\"'`]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Translated:
    """A query for DuckDB: run the macros' statements first; labels are those of the columns, empty for VALUES.

    `schemas` are the tables that it was translated for, by their keys: with others it may mean something else.
    """

    sql: str
    macros: tuple[str, ...]
    labels: tuple[str, ...]
    schemas: tuple[tuple[str, TableSchema], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Remembered:
    """A translation, and the tables that the text names with the keys that they had."""

    tables: tuple[tuple[exp.Table, str], ...]
    translated: Translated


class Translator:
    """Reads one task type's dialect; what it has read and translated lately, it remembers."""

    types = frozenset(_DIALECTS)

    def __init__(self, task_type: TaskType) -> None:
        self._type = task_type
        self._dialect = dialect_of(_DIALECTS[task_type])
        self._statements: Memory[str, tuple[Statement, ...]] = Memory(limit=_REMEMBERED_CHARACTERS)
        self._translations: Memory[tuple[str, Place], _Remembered] = Memory(limit=_REMEMBERED_CHARACTERS * 4)

    def parse(self, text: str) -> Sequence[Statement]:
        """The statements, whose trees are not to be changed.

        Raises: TerminalEngineError with code SYNTAX or UNSUPPORTED.
        """
        statements = self._statements.get(text)
        if statements is None:
            statements = tuple(parse_statements(text, self._dialect))
            self._statements.put(text, statements, weight=len(text))
        return statements

    def prepare(self) -> None:
        """Load what the first translation loads."""
        text = "SELECT 1"
        (statement,) = self.parse(text)
        self.translate(statement.tree, text=text, place=statement.place, lookup=lambda table: table.name, schemas={})

    def translate(
        self,
        query: exp.Expr,
        *,
        text: str,
        place: Place,
        lookup: Callable[[exp.Table], str],
        schemas: Mapping[str, TableSchema],
    ) -> Translated:
        """Translate the query of the statement at that place of the text.

        `lookup` gives a table's key in `schemas`, which it fills, or raises what says that there is none.

        Raises: TerminalEngineError with code UNSUPPORTED, COLUMN_NOT_FOUND or SYNTAX.
        """
        remembered = self._translations.get((text, place))
        if (
            remembered is not None
            and all(lookup(table) == key for table, key in remembered.tables)
            and remembered.translated.schemas == tuple(schemas.items())
        ):
            return remembered.translated
        tables: list[tuple[exp.Table, str]] = []

        def look_up(table: exp.Table) -> str:
            key = lookup(table)
            tables.append((table.copy(), key))
            return key

        translated = self._translate_anew(query, text, look_up, schemas)
        self._translations.put(
            (text, place),
            _Remembered(tables=tuple(tables), translated=translated),
            weight=len(text) + len(translated.sql),
        )
        return translated

    def _translate_anew(
        self, query: exp.Expr, text: str, lookup: Callable[[exp.Table], str], schemas: Mapping[str, TableSchema]
    ) -> Translated:
        original = query
        tree = query.copy()
        try:
            reshape_hints(tree)
            bind(tree, lookup)
            return self._translate(tree, text, schemas)
        except OptimizeError as error:
            raise _unresolved(error, original, schemas) from error
        except RecursionError as error:
            raise unsupported("A query nested this deeply", None) from error
        except SqlglotError as error:
            raise unsupported(str(error).partition("\n")[0].rstrip("."), place_of(original)) from error

    def _translate(self, tree: exp.Expr, text: str, schemas: Mapping[str, TableSchema]) -> Translated:
        reshape(tree, _map_columns(schemas))
        label_projections(tree, self._type, text)
        schema = MappingSchema(_types(schemas), dialect=self._dialect, normalize=False)
        tree = qualify(tree, schema=schema, dialect=self._dialect, validate_qualify_columns=True)
        tree = annotate_types(tree, schema=schema, dialect=self._dialect)
        labels = labels_of(tree, _spelling(schemas))
        if self._type is TaskType.MYSQL:
            _count_truths(tree)
        tree = apply_rules(tree, self._type)
        rewrite_laterals(tree)
        for table in tree.find_all(exp.Table):
            if table.name in schemas and not table.db:
                table.set("db", exp.to_identifier("temp", quoted=True)) if _is_bound(table) else None
        sql = tree.sql(dialect="duckdb", unsupported_level=ErrorLevel.RAISE, comments=False)
        return Translated(sql=sql, macros=tuple(macros_for(sql)), labels=tuple(labels), schemas=tuple(schemas.items()))


def _is_bound(table: exp.Table) -> bool:
    return bool(table.this.meta.get("bound"))


def _types(schemas: Mapping[str, TableSchema]) -> dict[str, object]:
    return {key: {name.lower(): _data_type(kind) for name, kind in table.columns} for key, table in schemas.items()}


def _data_type(kind: str) -> exp.DataType:
    if kind == "HUGEINT":
        return exp.DataType.build("DECIMAL(38, 0)")
    try:
        return exp.DataType.build(kind, dialect="duckdb")
    except SqlglotError:
        return exp.DataType.build("UNKNOWN")


def _map_columns(schemas: Mapping[str, TableSchema]) -> frozenset[str]:
    return frozenset(
        name.lower() for table in schemas.values() for name, kind in table.columns if kind.startswith("MAP(")
    )


def _spelling(schemas: Mapping[str, TableSchema]) -> dict[str, str]:
    return {name.lower(): name for table in schemas.values() for name in table.names}


def _count_truths(tree: exp.Expr) -> None:
    if isinstance(tree, exp.Query):
        for projection in tree.selects:
            value = projection.this if isinstance(projection, exp.Alias) else projection
            if is_type_boolean(value) and not isinstance(value, exp.Column):
                value.replace(truth(value))


def _unresolved(error: OptimizeError, tree: exp.Expr, schemas: Mapping[str, TableSchema]) -> TerminalEngineError:
    """The failure in the user's words: which name, and where it stands."""
    message = str(error).partition("\n")[0]
    names = _QUOTED.findall(message) or message.rpartition(": ")[2:]
    name = names[0].rpartition(".")[2].strip('"')
    if "olumn" in message or "resolve" in message:
        known = {column.lower() for table in schemas.values() for column in table.names}
        known |= {identifier.name.lower() for alias in tree.find_all(exp.Alias) for identifier in [alias.args["alias"]]}
        found = next((column for column in tree.find_all(exp.Column) if column.name.lower() == name.lower()), None)
        if found is not None and found.table and found.table.lower() not in _sources(tree):
            return _no_source(found)
        return column_not_found(found.name if found else name, place_of(found), known - {name.lower()})
    stray = next((column for column in tree.find_all(exp.Column) if column.table.lower() == name.lower()), None)
    return _no_source(stray) if stray is not None else syntax_error(f"{message}.", place_of(tree))


def _sources(tree: exp.Expr) -> set[str]:
    named = (exp.Table, exp.Subquery, exp.CTE, exp.Lateral, exp.Unnest, exp.Values)
    return {source.alias_or_name.lower() for source in tree.find_all(*named)}


def _no_source(column: exp.Column) -> TerminalEngineError:
    place = place_of(column.args["table"])
    where = f" at {place}" if place else ""
    return TerminalEngineError(f"The FROM clause has no table {column.table}{where}.", code="TABLE_NOT_FOUND")
