"""What a task's text says about itself, found by parsing it in its dialect."""

from dataclasses import dataclass
from functools import lru_cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError

from app.domain.tasks import TaskType

MAX_REMEMBERED = 10_000  # characters; parsing takes 2 ms and more
MAX_CHARACTERS = 100_000  # sqlglot takes seconds for as much, and minutes for a megabyte
DIALECTS = {
    TaskType.HIVE: "hive",
    TaskType.PRESTO: "presto",
    TaskType.SPARK_SQL: "spark",
    TaskType.MYSQL: "mysql",
}


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


def query_fields(type: TaskType, query: str) -> QueryFields:
    """The output columns of the last statement of a text that has any."""
    dialect = DIALECTS.get(type)
    if dialect is None:
        return QueryFields(complete=False, problem="The columns of a PySpark script are known once it has run.")
    if len(query) > MAX_CHARACTERS:
        return QueryFields(
            complete=False, problem=f"The text has more than {MAX_CHARACTERS} characters: too long to look for columns."
        )
    return _remembered(query, dialect) if len(query) <= MAX_REMEMBERED else _columns(query, dialect)


def _columns(query: str, dialect: str) -> QueryFields:
    try:
        return _read(query, dialect)
    except ParseError as error:
        return QueryFields(complete=False, problem=_place(error))
    except RecursionError:
        return QueryFields(complete=False, problem="The text is nested too deeply to be read.")
    except SqlglotError as error:
        return QueryFields(complete=False, problem=f"The text cannot be read: {error}")


_remembered = lru_cache(maxsize=2000)(_columns)  # a playground's page asks for all its tasks, and they seldom change


def _read(query: str, dialect: str) -> QueryFields:
    statements = [statement for statement in sqlglot.parse(query, read=dialect) if statement is not None]
    queries = [statement for statement in statements if isinstance(statement, exp.Query)]
    if not queries:
        return QueryFields(complete=False, problem="The text has no SELECT, so it gives no columns.")
    columns = tuple(
        OutputField(name=item.alias_or_name or item.sql(dialect=dialect), expression=_expression(item, dialect))
        for item in queries[-1].selects
        if not item.is_star
    )
    if any(item.is_star for item in queries[-1].selects):
        return QueryFields(columns=columns, complete=False, problem="`*` hides columns that only the tables tell.")
    if not columns:
        return QueryFields(complete=False, problem="The SELECT names no columns.")
    return QueryFields(columns=columns)


def _expression(item: exp.Expr, dialect: str) -> str:
    return (item.this if isinstance(item, exp.Alias) else item).sql(dialect=dialect)


def _place(error: ParseError) -> str:
    for fault in error.errors:
        line, column, text = fault.get("line"), fault.get("col"), fault.get("description")
        if line is not None:
            return f"Line {line}, column {column}: {text}"
    return f"The text cannot be read: {error}"
