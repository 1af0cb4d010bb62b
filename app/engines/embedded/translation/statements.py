"""A task's text cut into statements, each of a kind that the engine allows and everything else refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlglot
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from app.engines.embedded.translation.places import Place, place_of_token, syntax_error, unsupported

_LONGEST_TEXT = 1_000_000
_PLACES = frozenset({"external_location", "location", "path", "url"})  # options that name where a table lies


class WriteMode(StrEnum):
    CREATE = "CREATE"
    CREATE_IF_MISSING = "CREATE_IF_MISSING"
    REPLACE = "REPLACE"
    APPEND = "APPEND"
    OVERWRITE = "OVERWRITE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What every statement has: its tree as parsed, its text, and where it starts."""

    tree: exp.Expr
    text: str
    place: Place


@dataclass(frozen=True, kw_only=True, slots=True)
class Query(Statement):
    """A statement with a result set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Write(Statement):
    """A table is made or filled from a query; `columns` is the INSERT's own list, `partition` its PARTITION clause."""

    target: exp.Table
    mode: WriteMode
    query: exp.Expr
    columns: tuple[str, ...] = ()
    partition: tuple[exp.Expr, ...] = ()
    view: bool = False
    temporary: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Define(Statement):
    """CREATE TABLE with columns and no query."""

    target: exp.Table
    mode: WriteMode
    columns: tuple[exp.ColumnDef, ...]
    temporary: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove(Statement):
    """DROP TABLE and DROP VIEW."""

    targets: tuple[exp.Table, ...]
    if_exists: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored(Statement):
    """A session statement that has nothing to set here."""


def parse_statements(text: str, dialect: Dialect) -> list[Statement]:
    """The statements of the text, in order.

    Raises: TerminalEngineError with code SYNTAX or UNSUPPORTED.
    """
    if len(text) > _LONGEST_TEXT:
        raise syntax_error("the text is longer than a million characters.", None)
    try:
        tokens = dialect.tokenize(text)
    except SqlglotError as error:
        raise syntax_error(f"the text cannot be read: {error}", None) from error
    statements = [_statement(chunk, text, dialect) for chunk in _chunks(tokens)]
    if not statements:
        raise syntax_error("the text holds no statement.", None)
    return statements


def _chunks(tokens: Sequence[Token]) -> list[list[Token]]:
    chunks: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            chunks.append([])
        else:
            chunks[-1].append(token)
    return [chunk for chunk in chunks if chunk]


def _statement(tokens: list[Token], text: str, dialect: Dialect) -> Statement:
    place = place_of_token(tokens[0])
    try:
        trees = dialect.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, text)
    except ParseError as error:
        raise _parse_failure(error, place) from error
    except RecursionError as error:
        raise unsupported("A statement nested this deeply", place) from error
    except SqlglotError as error:
        raise syntax_error(str(error).partition("\n")[0], place) from error
    tree = trees[0] if len(trees) == 1 else None
    if tree is None:
        raise syntax_error("this is no statement.", place)
    return _of_kind(tree, text[tokens[0].start : tokens[-1].end + 1], place)


def _parse_failure(error: ParseError, start: Place) -> Exception:
    for fault in error.errors:
        if fault.get("line"):
            near = str(fault.get("highlight") or "")
            place = Place(line=fault["line"], column=max(1, fault["col"] - max(0, len(near) - 1)))
            said = str(fault["description"]).partition(" but got <Token")[0]
            return syntax_error(f"{said}, near {near!r}." if near else f"{said}.", place)
    return syntax_error(str(error).partition("\n")[0], start)


def _of_kind(tree: exp.Expr, text: str, place: Place) -> Statement:  # noqa: PLR0911 - one return for each kind
    match tree:
        case exp.Query() | exp.Values():
            return Query(tree=tree, text=text, place=place)
        case exp.Insert():
            return _insert(tree, text, place)
        case exp.Create():
            return _create(tree, text, place)
        case exp.Drop() if str(tree.args.get("kind")).upper() in {"TABLE", "VIEW"}:
            return Remove(
                tree=tree,
                text=text,
                place=place,
                targets=tuple(_table(table, place) for table in tree.args.get("tables") or [tree.this]),
                if_exists=bool(tree.args.get("exists")),
            )
        case exp.Delete():
            return _delete(tree, text, place)
        case exp.TruncateTable() if len(tree.expressions) == 1:
            return _keep(_table(tree.expressions[0], place), exp.false(), tree, text, place)
        case exp.Set() | exp.Use() | exp.Cache() | exp.Uncache() | exp.Refresh() | exp.Analyze():
            return Ignored(tree=tree, text=text, place=place)
        case exp.MultitableInserts() if len(tree.expressions) == 1:
            insert = tree.expressions[0]
            if isinstance(insert.expression, exp.Select) and tree.args.get("source") is not None:
                insert.expression.set("from_", exp.From(this=tree.args["source"].copy()))
                return _insert(insert, text, place)
    raise unsupported(f"The statement {_first_words(text)}", place)


def _insert(tree: exp.Insert, text: str, place: Place) -> Statement:
    target, columns = tree.this, ()
    if isinstance(target, exp.Schema):
        columns = tuple(column.name for column in target.expressions)
        target = target.this
    if not isinstance(target, exp.Table):
        raise unsupported("INSERT into a folder", place, advice="read the task's output instead")
    query = tree.expression
    if not isinstance(query, exp.Query | exp.Values):
        raise unsupported(f"The statement {_first_words(text)}", place, advice="insert the rows of a query")
    for unknown in ("conflict", "returning", "alternative", "where", "ignore", "by_name", "exists"):
        if tree.args.get(unknown):
            raise unsupported(f"INSERT with {unknown.replace('_', ' ').upper()}", place)
    query = query.copy()
    if tree.args.get("with_") is not None:
        query.set("with_", tree.args["with_"].copy())
    partition = target.args.get("partition") or tree.args.get("partition")
    return Write(
        tree=tree,
        text=text,
        place=place,
        target=_table(target, place),
        mode=WriteMode.OVERWRITE if tree.args.get("overwrite") else WriteMode.APPEND,
        query=query,
        columns=columns,
        partition=tuple(partition.expressions) if partition else (),
    )


def _delete(tree: exp.Delete, text: str, place: Place) -> Statement:
    where = tree.args.get("where")
    for clause in ("tables", "using", "returning", "order", "limit", "with_"):
        if tree.args.get(clause):
            raise unsupported("DELETE with more than a WHERE clause", place)
    kept = exp.not_(exp.func("COALESCE", exp.paren(where.this.copy()), exp.false())) if where else exp.false()
    return _keep(_table(tree.this, place), kept, tree, text, place)


def _keep(target: exp.Table, condition: exp.Expr, tree: exp.Expr, text: str, place: Place) -> Statement:
    """The table overwritten by those of its rows that stay."""
    source = target.copy()
    query = exp.Select(expressions=[exp.Star()], from_=exp.From(this=source), where=exp.Where(this=condition))
    return Write(tree=tree, text=text, place=place, target=target, mode=WriteMode.OVERWRITE, query=query)


def _create(tree: exp.Create, text: str, place: Place) -> Statement:
    kind = str(tree.args.get("kind")).upper()
    if kind in {"DATABASE", "SCHEMA"}:
        return Ignored(tree=tree, text=text, place=place)
    target, definitions = tree.this, []
    if isinstance(target, exp.Schema):
        definitions = list(target.expressions)
        target = target.this
    if kind not in {"TABLE", "VIEW"} or not isinstance(target, exp.Table):
        raise unsupported(f"The statement {_first_words(text)}", place)
    properties = tree.args["properties"].expressions if tree.args.get("properties") else []
    definitions += _partition_columns(properties, place)
    temporary = any(isinstance(given, exp.TemporaryProperty) for given in properties)
    mode = WriteMode.REPLACE if tree.args.get("replace") else WriteMode.CREATE
    mode = WriteMode.CREATE_IF_MISSING if tree.args.get("exists") else mode
    table = _table(target, place)
    query = tree.expression
    if query is None:
        columns = tuple(part for part in definitions if isinstance(part, exp.ColumnDef) and part.args.get("kind"))
        if kind == "VIEW" or not columns:
            raise unsupported(f"The statement {_first_words(text)}", place, advice="create the table from a query")
        return Define(tree=tree, text=text, place=place, target=table, mode=mode, columns=columns, temporary=temporary)
    names = tuple(part.name for part in definitions)
    if isinstance(query, exp.Subquery):
        query = query.unnest()
    if not isinstance(query, exp.Query | exp.Values):
        raise unsupported(f"The statement {_first_words(text)}", place)
    return Write(
        tree=tree,
        text=text,
        place=place,
        target=table,
        mode=mode,
        query=query,
        columns=names,
        view=kind == "VIEW",
        temporary=temporary,
    )


def _partition_columns(properties: list[exp.Expr], place: Place) -> list[exp.ColumnDef]:
    """Columns that PARTITIONED BY adds; how a table is stored is of no account here, where it lies is refused."""
    columns: list[exp.ColumnDef] = []
    for given in properties:
        elsewhere = type(given) is exp.Property and given.name.lower() in _PLACES
        if elsewhere or isinstance(given, exp.LocationProperty | exp.LikeProperty | exp.ExternalProperty):
            raise unsupported(f"CREATE with {given.sql()[:60]}", place, advice="create the table from a query")
        if isinstance(given, exp.PartitionedByProperty):
            columns += [part for part in given.this.expressions if isinstance(part, exp.ColumnDef)]
    return columns


def _table(node: exp.Expr, place: Place) -> exp.Table:
    if isinstance(node, exp.Schema):
        node = node.this
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        raise unsupported("A target that is no plain table name", place)
    return node


def _first_words(text: str) -> str:
    return " ".join(text.split()[:3])[:60]


def dialect_of(name: str) -> Dialect:
    """The dialect with names that ignore case, as the catalogue's do."""
    return sqlglot.Dialect.get_or_raise(f"{name}, normalization_strategy=case_insensitive")
