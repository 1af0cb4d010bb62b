"""The output columns of a text, found by reading it: labels as its engine gives them, and the expressions behind."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import MappingSchema

from app.domain.labels import label_projections, labels_of, projections_as_written
from app.domain.sql import DIALECTS, MAX_REMEMBERED, last_query
from app.domain.tasks import TaskType

_WRITTEN = "written"
Tables = Mapping[str, Sequence[str]]  # a table's columns in order, by its name as texts say it, in lower case


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputField:
    name: str
    expression: str


@dataclass(frozen=True, kw_only=True, slots=True)
class QueryFields:
    """`complete` is False where a `*` hides columns or the text gives no columns that can be told."""

    columns: tuple[OutputField, ...] = ()
    complete: bool = True
    problem: str | None = None


def query_fields(type: TaskType, text: str, *, tables: Tables | None = None) -> QueryFields:
    """The output columns of the last statement of a text that has any; `*` stands for those of `tables`."""
    known = tuple(sorted((name, tuple(columns)) for name, columns in (tables or {}).items()))
    return _remembered(type, text, known) if len(text) <= MAX_REMEMBERED else _fields(type, text, known)


def tables_behind_stars(type: TaskType, text: str) -> frozenset[str]:
    """The names of tables, as written, whose columns must be known to tell the text's own; empty without a `*`."""
    query = last_query(type, text).tree
    if query is None or not _has_star(query):
        return frozenset()
    return frozenset(_shown(table) for table in _tables(query))


def _fields(type: TaskType, text: str, known: tuple[tuple[str, tuple[str, ...]], ...]) -> QueryFields:
    read = last_query(type, text)
    if read.tree is None:
        return QueryFields(complete=False, problem=read.problem)
    names = {_name(table) for table in _tables(read.tree)}
    tables = {name: columns for name, columns in known if name in names}
    try:
        query, labels = _labelled(read.tree, type, text, tables)
        columns = tuple(
            OutputField(name=label, expression=_expression(item, label, DIALECTS[type]))
            for label, item in zip(labels, query.selects, strict=True)
            if not item.is_star
        )
    except SqlglotError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        return QueryFields(complete=False, problem=f"The columns cannot be told: {reason}.")
    except RecursionError:
        return QueryFields(complete=False, problem="The text is nested too deeply to be read.")
    if any(item.is_star for item in query.selects):
        return QueryFields(columns=columns, complete=False, problem=_hidden(names - tables.keys()))
    if not columns:
        return QueryFields(complete=False, problem="The SELECT names no columns.")
    return QueryFields(columns=columns)


_remembered = lru_cache(maxsize=2000)(_fields)


def _labelled(tree: exp.Query, type: TaskType, text: str, known: Tables) -> tuple[exp.Query, list[str]]:
    """The query with every `*` expanded that can be, and its labels."""
    query = tree.copy()
    first = query.find(exp.Select) if isinstance(query, exp.SetOperation) else query
    written = projections_as_written(first, text, DIALECTS[type]) if isinstance(first, exp.Select) else None
    label_projections(query, type, text)
    for item, value in zip(query.selects, written or (), strict=False):
        if isinstance(item, exp.Alias) and isinstance(item.args["alias"], exp.Identifier):
            item.args["alias"].meta[_WRITTEN] = value
    if not _has_star(query):
        return query, labels_of(query, {})
    for table in _tables(query):
        if (name := _name(table)) in known:
            _bind(table, name)
    dialect = DIALECTS[type]
    schema = MappingSchema(
        {name: {column.lower(): "UNKNOWN" for column in columns} for name, columns in known.items()},
        dialect=dialect,
        normalize=False,
    )
    spelling = {column.lower(): column for columns in known.values() for column in columns} | _spelling(query)
    qualified = qualify(
        query,
        schema=schema,
        dialect=dialect,
        validate_qualify_columns=False,
        allow_partial_qualification=True,
        expand_alias_refs=False,
        quote_identifiers=False,
        identify=False,
    )
    if not isinstance(qualified, exp.Query):
        raise TypeError(type)
    return qualified, labels_of(qualified, spelling)


def _expression(item: exp.Expr, label: str, dialect: str) -> str:
    """What gives the column: as it was written, or the column that a `*` stood for."""
    identifier = item.args.get("alias") if isinstance(item, exp.Alias) else None
    written = identifier.meta.get(_WRITTEN) if isinstance(identifier, exp.Identifier) else None
    value = item.this if isinstance(item, exp.Alias) else item
    if written is not None:
        return str(written)
    if isinstance(value, exp.Column):
        return ".".join([*(part.name for part in value.parts[:-1]), label])
    return value.sql(dialect=dialect, comments=False)


def _has_star(query: exp.Query) -> bool:
    return any(item.is_star for select in query.find_all(exp.Select) for item in select.expressions)


def _tables(query: exp.Query) -> Iterable[exp.Table]:
    """The tables of a catalogue that the query reads: all that its WITH does not define."""
    defined = {cte.alias.lower() for cte in query.find_all(exp.CTE)}
    for table in query.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and (table.db or table.name.lower() not in defined):
            yield table


def _shown(table: exp.Table) -> str:
    return ".".join(part.name for part in table.parts)


def _name(table: exp.Table) -> str:
    return _shown(table).lower()


def _bind(table: exp.Table, name: str) -> None:
    """Call the table by one quoted name, and by its own as alias, so that neither dialect nor schema get in the way."""
    if not table.alias:
        table.set("alias", exp.TableAlias(this=table.this.copy()))
    table.set("this", exp.to_identifier(name, quoted=True))
    table.set("db", None)
    table.set("catalog", None)


def _spelling(query: exp.Query) -> dict[str, str]:
    """How the labels within the query are written, for those that come out of it by a `*`."""
    names = (item.alias_or_name for select in query.find_all(exp.Select) for item in select.expressions)
    return {name.lower(): name for name in names}


def _hidden(unknown: set[str]) -> str:
    if not unknown:
        return "`*` hides columns that only running it tells."
    names = sorted(unknown)
    shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")  # noqa: PLR2004 - as many as fit a line
    return f"`*` hides columns that only the tables tell, and these are not known here: {shown}."
