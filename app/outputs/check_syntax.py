"""Patterns and queries of checks, read by DuckDB itself before any output is there."""

import duckdb

from app.domain.checks.rules import Matches, Rule, Sql

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "enable_external_access": False,
    "lock_configuration": True,
}


def wants_a_look(rule: Rule) -> bool:
    return isinstance(rule, Matches | Sql)


def problem_of(rule: Rule) -> tuple[str, str] | None:
    """The argument that cannot be read, and why, where there is one."""
    with duckdb.connect(config=_CONFIG) as connection:
        try:
            match rule:
                case Matches(pattern=pattern):
                    connection.execute("SELECT regexp_full_match('', ?)", [pattern])
                case Sql(query=query):
                    return _problem_of_query(connection, query)
                case _:
                    return None
        except duckdb.Error as error:
            reason = str(error).partition(": ")[2]
            return "pattern", f"This is no regular expression as RE2 has it: {reason}."
    return None


def _problem_of_query(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[str, str] | None:
    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        return "query", f"The query cannot be read. {error}"
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        return (
            "query",
            "A check's query is one SELECT over the table `output`; the rows that it gives are failing ones.",
        )
    return None
